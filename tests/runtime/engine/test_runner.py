"""How the model runner chooses its sizes, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from branchline.runtime.device import cpu as cpu_module
from branchline.runtime.engine.batch import ForwardBatch
from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.runner import ModelRunner
from branchline.runtime.memory.kv_pool import KVPool
from branchline.runtime.models.errors import ModelLoadError


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model")
    config = LlamaConfig(
        vocab_size=50,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        eos_token_id=[3, 4],
    )
    LlamaForCausalLM(config).save_pretrained(path)
    return str(path)


def one_token(slot: int) -> ForwardBatch:
    index = torch.tensor([0])
    return ForwardBatch(
        index, index, torch.tensor([slot]), [1], [torch.tensor([slot])], logit_rows=index
    )


def test_the_model_describes_itself(model_dir: str) -> None:
    runner = ModelRunner(EngineConfig(model_dir, kv_slots=9))
    assert runner.num_slots == 9
    assert runner.vocab_size == 50
    assert runner.context_length == 64
    assert runner.eos_token_ids == (3, 4)
    assert runner.architecture == "LlamaForCausalLM"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_logits_are_float32_whatever_the_weights_are(model_dir: str, dtype: Any) -> None:
    runner = ModelRunner(EngineConfig(model_dir, dtype=dtype, kv_slots=9, device="cpu"))
    logits = runner.forward(one_token(8))
    assert (logits.dtype, logits.shape) == (torch.float32, (1, 50))
    assert logits.isfinite().all()


def test_logits_come_only_for_the_rows_asked_for(model_dir: str) -> None:
    runner = ModelRunner(EngineConfig(model_dir, kv_slots=9, device="cpu"))
    tokens, slots = torch.arange(5), torch.arange(5)
    everything = ForwardBatch(tokens, tokens, slots, [5], [slots], logit_rows=tokens)
    some = ForwardBatch(tokens, tokens, slots, [5], [slots], logit_rows=torch.tensor([4, 1]))
    torch.testing.assert_close(runner.forward(some), runner.forward(everything)[[4, 1]])


def test_a_chunk_in_the_middle_of_a_prompt_has_no_logits(model_dir: str) -> None:
    runner = ModelRunner(EngineConfig(model_dir, kv_slots=9, device="cpu"))
    tokens = torch.arange(5)
    batch = ForwardBatch(tokens, tokens, tokens, [5], [tokens], logit_rows=tokens[:0])
    assert runner.forward(batch).shape == (0, 50)


@pytest.mark.parametrize(("hardware", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_dtype_of_a_big_model_follows_the_hardware(
    model_dir: str, monkeypatch: pytest.MonkeyPatch, hardware: bool, expected: torch.dtype
) -> None:
    monkeypatch.setattr(cpu_module, "_FLOAT32_PARAMETERS", 1_000)
    monkeypatch.setattr(cpu_module, "_has_bfloat16_arithmetic", lambda: hardware)
    assert ModelRunner(EngineConfig(model_dir, device="cpu", kv_slots=4)).dtype is expected


def test_auto_dtype_of_a_small_model_on_a_cpu_is_float32(model_dir: str) -> None:
    assert ModelRunner(EngineConfig(model_dir, device="cpu", kv_slots=4)).dtype is torch.float32


def test_torch_takes_no_more_threads_than_a_container_has_cores(
    model_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(cpu_module, "num_cores", lambda: 2)
    torch.set_num_threads(5)
    ModelRunner(EngineConfig(model_dir, device="cpu", kv_slots=4))
    assert torch.get_num_threads() == 2
    ModelRunner(EngineConfig(model_dir, device="cpu", kv_slots=4, num_threads=1))
    assert torch.get_num_threads() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    torch.set_num_threads(5)
    ModelRunner(EngineConfig(model_dir, device="cpu", kv_slots=4))
    assert torch.get_num_threads() == 5


def test_the_pool_takes_its_share_of_memory(
    model_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu_module, "DEFAULT_KV_BYTES", 1_000_000)
    monkeypatch.setattr(cpu_module, "available_bytes", lambda: 10_000_000)
    slot_bytes = KVPool.bytes_per_slot(2, 2, 8, torch.float32)
    runner = ModelRunner(EngineConfig(model_dir, device="cpu"))
    assert runner.num_slots == 1_000_000 // slot_bytes
    # Whoever asks for more gets it.
    asked = ModelRunner(EngineConfig(model_dir, device="cpu", kv_memory_fraction=0.9))
    assert asked.num_slots > 8_000_000 // slot_bytes


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"context_length": 65}, "longer than the model's 64"),
        ({"device": "abacus"}, "not known to torch"),
        ({"kv_memory_fraction": 1e-15}, "hold no key-value slot"),
        ({"kv_slots": 10**14}, "100000000000000 kv_slots take .* GiB.*ask for fewer"),
        ({"kv_slots": 10**30}, "kv_slots take .* GiB.*ask for fewer"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    model_dir: str, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(ModelLoadError, match=words):
        ModelRunner(EngineConfig(model_dir, **{"device": "cpu", **settings}))


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_a_gpu_that_is_not_there_is_refused(model_dir: str) -> None:
    with pytest.raises(ModelLoadError, match="torch finds no GPU"):
        ModelRunner(EngineConfig(model_dir, device="cuda"))


def test_a_model_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="neither an existing directory"):
        ModelRunner(EngineConfig(str(tmp_path / "nowhere")))


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"model": ""}, "model"),
        ({"dtype": "int8"}, "dtype"),
        ({"device": ""}, "device"),
        ({"attention_backend": "gpu"}, "attention_backend"),
        ({"kv_dtype": "int4"}, "kv_dtype"),
        ({"quantization": "int2"}, "quantization"),
        ({"context_length": 0}, "context_length"),
        ({"kv_slots": -1}, "kv_slots"),
        ({"kv_memory_fraction": 0.0}, "kv_memory_fraction"),
        ({"kv_memory_fraction": float("nan")}, "kv_memory_fraction"),
        ({"max_running": None}, "max_running"),
        ({"chunk_tokens": 0}, "chunk_tokens"),
        ({"num_threads": True}, "num_threads"),
        ({"num_threads": 10_000}, "num_threads must be at most"),
        ({"seed": -1}, "seed"),
    ],
)
def test_an_engine_config_names_the_bad_field(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=field):
        EngineConfig(**settings)
