"""The deterministic mode: a request's tokens and log probabilities are the same bits cold and warm,
alone and in company, at once and in pieces, with the prefix cache on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.core import EngineCore
from branchline.runtime.engine_protocol import Submit
from branchline.runtime.models.errors import ModelLoadError
from branchline.runtime.protocol import LogprobParams, Regex, SamplingParams
from branchline.runtime.radix_cache.snapshot import SnapshotError

FAMILIES: dict[str, Any] = {
    "llama": lambda shape: LlamaForCausalLM(LlamaConfig(**shape)),
    "qwen3": lambda shape: Qwen3ForCausalLM(Qwen3Config(**shape)),
    "mistral": lambda shape: MistralForCausalLM(MistralConfig(**shape, sliding_window=90)),
    "mixtral": lambda shape: MixtralForCausalLM(MixtralConfig(**shape, num_local_experts=5)),
}
# Attention cuts keys at multiples of 256; the trunk that prompts share ends in the second run.
TRUNK = [(7 * i) % 250 + 5 for i in range(300)]
NUM_NEW = 12
# Of a request: its tokens, their log probabilities and those of its prompt, as they came.
Said = tuple[list[int], list[Any]]


@pytest.fixture(scope="module")
def model_dirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Random weights in float32, which bfloat16 does not hold."""
    coder = tokenizers.Tokenizer(tokenizers.models.BPE())
    coder.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    coder.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<end>"], initial_alphabet=alphabet, show_progress=False
    )
    coder.train_from_iterator(["the invoice of the order"] * 5, trainer)
    shape = {
        "vocab_size": coder.get_vocab_size(),
        "hidden_size": 96,
        "intermediate_size": 160,
        "num_hidden_layers": 2,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 4_608,
        "initializer_range": 0.15,
        "bos_token_id": None,
        "eos_token_id": 0,
        "pad_token_id": 0,
    }
    folders = {}
    for name, make in FAMILIES.items():
        torch.manual_seed(5)
        model: PreTrainedModel = make(shape)
        folders[name] = tmp_path_factory.mktemp(name)
        model.save_pretrained(folders[name])
        coder.save(str(folders[name] / "tokenizer.json"))
        (folders[name] / "tokenizer_config.json").write_text('{"eos_token": "<end>"}')
    return folders


def requests() -> list[Submit]:
    """Prompts of 1 to 700 tokens, most of them with a common beginning; sampled and greedy; with
    and without log probabilities of the prompt and a grammar."""
    lengths = [1, 40, 299, 301, 420, 700, 330, 512]
    made = []
    for sid, length in enumerate(lengths):
        own = [(11 * i + 3 * sid) % 250 + 5 for i in range(length)]
        prompt = (TRUNK + own)[:length] if sid % 4 else own
        sampling = SamplingParams(
            max_new_tokens=NUM_NEW,
            temperature=[0.0, 0.8][sid % 2],
            top_p=[1.0, 0.9][sid // 2 % 2],
            seed=sid,
            ignore_eos=True,
        )
        start = length // 2 if sid == 3 else None
        constraint = Regex("[a-z ]{9} [a-z]+") if sid == 6 else None
        made.append(Submit(sid, prompt, sampling, constraint, LogprobParams(3, prompt_start=start)))
    return made


def engine(model_dir: Path, **settings: object) -> EngineCore:
    given = {
        "dtype": "float32",
        "kv_slots": 6_000,
        "grammar_timeout_s": 60.0,  # a busy machine is no reason to fail
        "deterministic": True,
        **settings,
    }
    return EngineCore(EngineConfig(model=str(model_dir), **given))


def run(core: EngineCore, submits: Sequence[Submit]) -> dict[int, Said]:
    said: dict[int, Said] = {}
    for submit in submits:
        core.submit(submit)
        said[submit.sid] = ([], [])
    while core.has_work:
        events = core.step()
        core.check()
        assert not events.failed, events.failed
        for progress in events.progress:
            token_ids, logprobs = said[progress.sid]
            token_ids += progress.token_ids
            logprobs += [*(progress.prompt_logprobs or []), *(progress.logprobs or [])]
    return said


def alone(core: EngineCore, submits: Sequence[Submit]) -> dict[int, Said]:
    """Each by itself, with nothing cached and its prompt in one step."""
    said = {}
    for submit in submits:
        core.flush_cache()
        said |= run(core, [submit])
    return said


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("llama", {}),
        ("llama", {"dtype": "bfloat16"}),
        ("llama", {"quantization": "int8"}),
        ("llama", {"quantization": "int4", "dtype": "bfloat16"}),
        ("qwen3", {}),
        ("mistral", {"dtype": "bfloat16"}),
        ("mixtral", {"quantization": "int8"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value.values())),
)
def test_a_request_says_the_same_to_the_bit_however_it_is_computed(
    model_dirs: dict[str, Path], family: str, settings: dict[str, object]
) -> None:
    submits = requests()
    folder = model_dirs[family]
    core = engine(folder, chunk_tokens=2_048, **settings)
    expected = alone(core, submits)
    core.flush_cache()
    assert run(core, submits) == expected  # together, cold
    assert run(core, submits) == expected  # together, warm
    assert core.stats()["hit_tokens"] > 0
    assert run(core, submits[::-1][:5]) == {sid: expected[sid] for sid in range(7, 2, -1)}
    for odd in (
        {"chunk_tokens": 23},
        {"chunk_tokens": 300, "max_running": 3},
        {"kv_slots": 800, "chunk_tokens": 64, "host_cache_tokens": 400},
        {"speculation": "always"},
    ):
        assert run(engine(folder, **settings, **odd), submits) == expected, odd


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_sequence_that_gave_its_place_up_says_the_same(
    model_dirs: dict[str, Path], dtype: str
) -> None:
    submits = []
    for sid in range(5):
        sampling = SamplingParams(max_new_tokens=60, temperature=sid / 4, seed=sid, ignore_eos=True)
        prompt = [*TRUNK[:12], *([20 + sid] * (1 + 5 * sid))]
        submits.append(Submit(sid, prompt, sampling, None, LogprobParams(1)))
    expected = alone(engine(model_dirs["llama"], dtype=dtype), submits)
    small = engine(model_dirs["llama"], dtype=dtype, kv_slots=150)
    assert run(small, submits) == expected
    assert small.stats()["retractions"] > 0


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("level", ["avx512", "avx2", "portable"])
def test_lower_levels_of_vector_instructions_keep_it_too(
    model_dirs: dict[str, Path], level: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRANCHLINE_CPU_LEVEL", level)
    submits = requests()[1:5]
    try:
        core = engine(model_dirs["llama"], chunk_tokens=2_048, dtype=dtype)
    except ModelLoadError as error:
        pytest.skip(str(error))
    expected = alone(core, submits)
    core.flush_cache()
    for _ in ("cold", "warm"):
        assert run(core, submits) == expected
    assert run(engine(model_dirs["llama"], chunk_tokens=50, dtype=dtype), submits) == expected


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_split_between_cached_and_computed_gives_the_same_bits(
    model_dirs: dict[str, Path], dtype: str
) -> None:
    core = engine(model_dirs["llama"], chunk_tokens=2_048, dtype=dtype)
    prompt = [(13 * i) % 250 + 5 for i in range(290)]
    sampling = SamplingParams(max_new_tokens=4, temperature=1.0, seed=1, ignore_eos=True)
    submit = Submit(0, prompt, sampling, None, LogprobParams(top=2))
    expected = alone(core, [submit])
    for num_cached in range(1, len(prompt)):
        core.flush_cache()
        run(core, [Submit(1, prompt[:num_cached], SamplingParams(max_new_tokens=0))])
        hits = core.stats()["hit_tokens"]
        assert run(core, [submit]) == expected
        assert core.stats()["hit_tokens"] - hits == num_cached


PREFIXES = [1, 511, 512, 513, 2_047, 2_048, 2_049, 4_096, 4_097]


@pytest.mark.parametrize("dtype", [pytest.param("float32", marks=pytest.mark.nightly), "bfloat16"])
def test_fifty_trials_in_any_company_give_one_output(
    model_dirs: dict[str, Path], dtype: str
) -> None:
    """R5: beginnings of one text of any length, in batches of any size, at any place in the cache,
    in pieces of any size."""
    rng = random.Random(5)
    text = [rng.randrange(5, 255) for _ in range(max(PREFIXES))]
    sampling = SamplingParams(max_new_tokens=8, temperature=0.0, ignore_eos=True)
    cores = [
        engine(model_dirs["llama"], dtype=dtype, kv_slots=9_000, chunk_tokens=size)
        for size in (100, 1_000, 5_000)
    ]
    seen: dict[int, set[str]] = {length: set() for length in PREFIXES}
    for trial in range(50):
        core = rng.choice(cores)
        if rng.random() < 0.3:
            core.flush_cache()
        lengths = PREFIXES if trial == 0 else rng.choices(PREFIXES, k=rng.randint(1, 16))
        submits = [
            Submit(sid, text[:length], sampling, None, LogprobParams(2))
            for sid, length in enumerate(lengths)
        ]
        for sid, said in run(core, submits).items():
            seen[lengths[sid]].add(repr(said))
    assert [len(outputs) for outputs in seen.values()] == [1] * len(PREFIXES)


def test_a_cache_saved_without_the_mode_is_another_ones(
    model_dirs: dict[str, Path], tmp_path: Path
) -> None:
    without = engine(model_dirs["llama"], deterministic=False)
    run(without, requests()[1:2])
    without.save_cache(tmp_path / "cache")
    with pytest.raises(SnapshotError, match="another"):
        engine(model_dirs["llama"]).load_cache(tmp_path / "cache")


def test_without_the_mode_company_changes_bits(model_dirs: dict[str, Path]) -> None:
    """What the mode is for, and that the tests above can fail."""
    core = engine(model_dirs["llama"], deterministic=False)
    submits = requests()
    expected = alone(core, submits)
    core.flush_cache()
    assert run(core, submits) != expected


@pytest.mark.parametrize(
    "settings", [{"attention_backend": "torch"}, {"dtype": "float16"}], ids=str
)
def test_where_nothing_deterministic_is_to_be_had_the_engine_does_not_start(
    model_dirs: dict[str, Path], settings: dict[str, object]
) -> None:
    with pytest.raises(ModelLoadError, match="deterministic"):
        engine(model_dirs["llama"], **settings)
