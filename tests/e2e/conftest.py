"""A tiny random Llama with a small tokenizer, and real runtime processes that serve it.

`processes` and `asking` lie beside the tests; make them importable under any pytest import mode.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import safetensors.torch
import tokenizers
import torch

from branchline.lang.client import ZmqConnection
from branchline.lang.launch import RuntimeProcess

sys.path.insert(0, str(Path(__file__).parent))

WORDS = "the quick brown fox jumps over lazy dogs and cats while rivers run to sea under stars"
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
)
CONTEXT = 4096


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint in Hugging Face's format: 2 layers, 32 wide, random weights."""
    folder = tmp_path_factory.mktemp("tiny-llama")
    vocab_size = _write_tokenizer(folder)
    hidden, inner, heads, kv_heads, layers = 32, 64, 4, 2, 2
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": vocab_size,
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "bos_token_id": None,
        "eos_token_id": 2,
        "torch_dtype": "float32",
    }
    (folder / "config.json").write_text(json.dumps(config))
    generator = torch.Generator().manual_seed(7)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * 0.3

    kv = hidden // heads * kv_heads
    weights = {
        "model.embed_tokens.weight": random(vocab_size, hidden),
        "model.norm.weight": torch.ones(hidden),
        "lm_head.weight": random(vocab_size, hidden),
    }
    for layer in range(layers):
        weights |= {
            f"model.layers.{layer}.{name}.weight": random(*shape)
            for name, shape in {
                "self_attn.q_proj": (hidden, hidden),
                "self_attn.k_proj": (kv, hidden),
                "self_attn.v_proj": (kv, hidden),
                "self_attn.o_proj": (hidden, hidden),
                "mlp.gate_proj": (inner, hidden),
                "mlp.up_proj": (inner, hidden),
                "mlp.down_proj": (hidden, inner),
            }.items()
        }
        weights |= {
            f"model.layers.{layer}.{name}.weight": torch.ones(hidden)
            for name in ("input_layernorm", "post_attention_layernorm")
        }
    safetensors.torch.save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def _write_tokenizer(folder: Path) -> int:
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=SPECIALS,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([WORDS] * 4, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"eos_token": "<|im_end|>", "chat_template": TEMPLATE})
    )
    return tokenizer.get_vocab_size()


@pytest.fixture(scope="session")
def runtime(model_dir: Path) -> Iterator[RuntimeProcess]:
    """A runtime that every test shares which does it no harm."""
    with RuntimeProcess(str(model_dir), kv_slots=8192, num_threads=1) as process:
        yield process


Start = Callable[..., RuntimeProcess]


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder in which runtimes that start now put their sockets (a short path: socket
    addresses are limited to 107 bytes)."""
    folder = Path(tempfile.mkdtemp(prefix="bl-test-"))
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def start(model_dir: Path, temporary: Path) -> Iterator[Start]:
    """Start a runtime of the test's own, to be killed as it likes."""
    started: list[RuntimeProcess] = []

    def start_one(**options: str | int | float) -> RuntimeProcess:
        settings: dict[str, str | int | float] = {"kv_slots": 8192, "num_threads": 1, **options}
        started.append(RuntimeProcess(str(model_dir), **settings))  # type: ignore[arg-type]
        return started[-1]

    yield start_one
    for process in started:
        process.close()


@pytest.fixture
def connection(runtime: RuntimeProcess) -> Iterator[ZmqConnection]:
    """A connection of the test's own."""
    connection = ZmqConnection(runtime.address)
    yield connection
    connection.close()
