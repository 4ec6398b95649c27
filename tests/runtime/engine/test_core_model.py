"""The engine core with the real runner, sampler and grammars, against transformers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Literal

import jsonschema
import numpy as np
import pytest
import tokenizers
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.core import EngineCore
from branchline.runtime.engine_protocol import Progress, Submit
from branchline.runtime.protocol import (
    Constraint,
    EmbedParams,
    JsonSchema,
    LogprobParams,
    Regex,
    SamplingParams,
)

NUM_NEW = 64
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "n": {"type": "integer"}},
    "required": ["name", "n"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama with a byte-level tokenizer."""
    path = tmp_path_factory.mktemp("model")
    coder = tokenizers.Tokenizer(tokenizers.models.BPE())
    coder.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    coder.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<end>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    coder.train_from_iterator(["the invoice of the order", 'the "name": "n"'] * 5, trainer)
    coder.save(str(path / "tokenizer.json"))
    (path / "tokenizer_config.json").write_text('{"eos_token": "<end>"}')
    config = LlamaConfig(
        vocab_size=coder.get_vocab_size(),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        initializer_range=0.15,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
    )
    torch.manual_seed(5)
    LlamaForCausalLM(config).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def reference(model_dir: Path) -> LlamaForCausalLM:
    return LlamaForCausalLM.from_pretrained(model_dir, dtype=torch.float32).eval()


def prompts() -> list[list[int]]:
    trunk = [(7 * i) % 250 + 5 for i in range(12)]
    return [trunk + [20 + i] * (1 + 5 * i) for i in range(4)]


def greedy(reference: LlamaForCausalLM, prompt: list[int]) -> list[int]:
    ids = list(prompt)
    with torch.inference_mode():
        for _ in range(NUM_NEW):
            ids.append(int(reference(torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[len(prompt) :]


def engine(model_dir: Path, **settings: object) -> EngineCore:
    return EngineCore(
        EngineConfig(model=str(model_dir), dtype="float32", **{"kv_slots": 2_000, **settings})
    )


def run(
    core: EngineCore,
    all_prompts: list[list[int]],
    max_new_tokens: int = NUM_NEW,
    constraint: Constraint | None = None,
    logprobs: LogprobParams | None = None,
    temperature: float = 0.0,
) -> tuple[list[list[int]], list[Progress]]:
    """The tokens of each prompt's continuation, and all Progress of the last one."""
    for sid, prompt in enumerate(all_prompts):
        params = SamplingParams(
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            ignore_eos=constraint is None,
            seed=sid,
        )
        core.submit(Submit(sid, prompt, params, constraint, logprobs))
    outputs: list[list[int]] = [[] for _ in all_prompts]
    heard: list[Progress] = []
    while core.has_work:
        events = core.step()
        core.check()
        assert not events.failed, events.failed
        for progress in events.progress:
            outputs[progress.sid] += progress.token_ids
            if progress.sid == len(all_prompts) - 1:
                heard.append(progress)
    return outputs, heard


@pytest.mark.parametrize(
    "settings",
    [{}, {"chunk_tokens": 5}, {"max_running": 1}, {"kv_slots": 150}],
    ids=["at once", "in small chunks", "one by one", "with retraction"],
)
def test_greedy_tokens_are_those_of_transformers_cold_and_warm(
    model_dir: Path, reference: LlamaForCausalLM, settings: dict[str, object]
) -> None:
    core = engine(model_dir, **settings)
    expected = [greedy(reference, prompt) for prompt in prompts()]
    assert run(core, prompts())[0] == expected
    assert run(core, prompts())[0] == expected
    assert core.stats()["hit_tokens"] > 0
    assert ("kv_slots" in settings) == (core.stats()["retractions"] > 0)


def test_every_split_between_cached_and_computed_gives_the_same_tokens(
    model_dir: Path, reference: LlamaForCausalLM
) -> None:
    core = engine(model_dir)
    prompt = prompts()[2]
    expected = greedy(reference, prompt)[:8]
    for num_cached in range(1, len(prompt)):
        core.flush_cache()
        run(core, [prompt[:num_cached]], max_new_tokens=0)
        outputs, heard = run(core, [prompt], max_new_tokens=8)
        assert heard[0].cached_tokens == num_cached
        assert outputs == [expected]


def test_log_probabilities_of_a_prompt_are_those_of_transformers(
    model_dir: Path, reference: LlamaForCausalLM
) -> None:
    prompt = prompts()[3]
    with torch.inference_mode():
        expected = reference(torch.tensor([prompt])).logits[0].log_softmax(-1)
    core = engine(model_dir, chunk_tokens=9)
    _, heard = run(core, [prompt], 1, logprobs=LogprobParams(prompt_start=1, top=2))
    found = heard[0].prompt_logprobs
    assert found is not None
    for position, entry in enumerate(found, start=1):
        assert entry.token_id == prompt[position]
        assert entry.logprob == pytest.approx(
            float(expected[position - 1, prompt[position]]), abs=1e-4
        )
        assert entry.top[0][1] == int(expected[position - 1].argmax())


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_constrained_outputs_obey_their_constraint_within_the_budget(
    model_dir: Path, temperature: float
) -> None:
    core = engine(model_dir)
    schema = JsonSchema(json.dumps(SCHEMA))
    for output in run(core, prompts(), 40, schema, temperature=temperature)[0]:
        jsonschema.validate(json.loads(core.tokenizer.decode(output)), SCHEMA)
    pattern = r"(in|out)voice [0-9]{2,4}"
    for output in run(core, prompts(), 30, Regex(pattern), temperature=temperature)[0]:
        assert re.fullmatch(pattern, core.tokenizer.decode(output))


def embed(core: EngineCore, all_prompts: list[list[int]], wanted: EmbedParams) -> list[np.ndarray]:
    for sid, prompt in enumerate(all_prompts):
        params = SamplingParams(max_new_tokens=0)
        core.submit(Submit(sid, prompt, params, embed=wanted))
    vectors: dict[int, np.ndarray] = {}
    while core.has_work:
        events = core.step()
        core.check()
        assert not events.failed, events.failed
        for progress in events.progress:
            assert progress.embedding is not None
            vectors[progress.sid] = np.frombuffer(progress.embedding, "<f4")
    return [vectors[sid] for sid in range(len(all_prompts))]


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_embeddings_are_those_of_transformers_in_chunks_beside_a_cache(
    model_dir: Path, reference: LlamaForCausalLM, pooling: Literal["mean", "last"]
) -> None:
    core = engine(model_dir, chunk_tokens=16)
    for _ in range(2):  # the second time everything is cached
        vectors = embed(core, prompts(), EmbedParams(pooling, 40))
        for prompt, vector in zip(prompts(), vectors, strict=True):
            with torch.inference_mode():
                states = reference.model(torch.tensor([prompt])).last_hidden_state[0].numpy()
            expected = states.mean(axis=0) if pooling == "mean" else states[-1]
            expected = expected[:40] / np.linalg.norm(expected[:40])
            np.testing.assert_allclose(vector, expected, atol=2e-5)


def test_embedding_beside_generating_changes_neither(
    model_dir: Path, reference: LlamaForCausalLM
) -> None:
    [alone] = embed(engine(model_dir), [prompts()[1]], EmbedParams())
    core = engine(model_dir)
    params = SamplingParams(max_new_tokens=NUM_NEW, temperature=0.0, ignore_eos=True)
    core.submit(Submit(7, prompts()[0], params))
    core.submit(Submit(8, prompts()[1], SamplingParams(max_new_tokens=0), embed=EmbedParams()))
    said: list[int] = []
    vectors: list[bytes] = []
    while core.has_work:
        for progress in core.step().progress:
            said += progress.token_ids
            vectors += [progress.embedding] if progress.embedding else []
    assert said == greedy(reference, prompts()[0])
    np.testing.assert_allclose(np.frombuffer(vectors[0], "<f4"), alone, atol=1e-5)


def test_an_embedding_in_a_pool_too_small_for_all_begins_again(model_dir: Path) -> None:
    """Retracted sequences pool their states from the start."""
    expected = embed(engine(model_dir), prompts(), EmbedParams())
    core = engine(model_dir, kv_slots=60, chunk_tokens=8)
    for vector, other in zip(embed(core, prompts(), EmbedParams()), expected, strict=True):
        np.testing.assert_allclose(vector, other, atol=1e-5)
