"""The engines that bench/cpu.py measures itself against, on the same weights: `transformers`
always, OpenVINO GenAI and llama.cpp where `pip install -e '.[peers]'` has put them.

Each answers token ids with token ids, greedily, to the full length; what a peer needs to have
written (OpenVINO's model, GGUF files) is kept beside the checkpoint.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol
from unittest.mock import patch

import torch

from .gguf_models import write_gguf

Prompts = list[list[int]]
_CACHE_GB: Final = 3  # KV of 64 branches of 2,000 tokens of M, each once


class Peer(Protocol):
    """Another engine with its model loaded. `keeps_prefixes` from one call to the next."""

    name: str
    keeps_prefixes: bool

    def generate(self, prompts: Prompts, new_tokens: int) -> Prompts:
        """`new_tokens` greedy tokens behind each prompt, all prompts at once."""

    def generate_json(self, prompts: Prompts, new_tokens: int, schema: str) -> Prompts:
        """At most so many tokens under the JSON schema; free text where the engine has no such
        thing, which asks less of it."""


def load_peers(path: Path, threads: int, dtype: torch.dtype, *, held: bool) -> list[Peer]:
    """All that can run here, computing in `dtype`. held: to less than this processor can do."""
    peers: list[Peer] = [Transformers(path, dtype)]
    if not held and _installed("openvino_genai", "optimum.intel"):
        peers.append(OpenVino(path, threads, dtype))
    return peers


def llama_cpp(path: Path, quantized: str, threads: int) -> Peer | None:
    """llama.cpp with the model's weights as "q8_0" or "q4_0", where it is installed."""
    if not _installed("llama_cpp", "gguf"):
        return None
    return LlamaCpp(write_gguf(path, quantized), quantized, threads)


class Transformers:
    """`generate` of Hugging Face's library."""

    keeps_prefixes = False

    def __init__(self, path: Path, dtype: torch.dtype) -> None:
        from transformers import AutoModelForCausalLM

        self.name = f"transformers {str(dtype).removeprefix('torch.')}"
        self.model: Any = AutoModelForCausalLM.from_pretrained(path, dtype=dtype).eval()

    def generate(self, prompts: Prompts, new_tokens: int) -> Prompts:
        ids = torch.tensor(prompts)
        with torch.inference_mode():
            out = self.model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                min_new_tokens=new_tokens,
                max_new_tokens=new_tokens,
                pad_token_id=0,
            )
        answers: Prompts = out[:, ids.shape[1] :].tolist()
        return answers

    def generate_json(self, prompts: Prompts, new_tokens: int, schema: str) -> Prompts:
        return self.generate(prompts, new_tokens)


class OpenVino:
    """OpenVINO GenAI's continuous batching with its prefix cache; weights in float16, arithmetic
    and KV in bfloat16, as it runs by default on processors that have it, else in float32."""

    name = "OpenVINO"
    keeps_prefixes = True

    def __init__(self, path: Path, threads: int, dtype: torch.dtype) -> None:
        import openvino_genai

        folder = path / "openvino"
        if not (folder / "openvino_model.xml").exists():
            _export(path, folder)
        self.library: Any = openvino_genai
        scheduling = openvino_genai.SchedulerConfig()
        scheduling.cache_size = _CACHE_GB
        scheduling.enable_prefix_caching = True
        name = "bf16" if dtype is torch.bfloat16 else "f32"
        precision = {"INFERENCE_PRECISION_HINT": name, "KV_CACHE_PRECISION": name}
        self.pipeline: Any = openvino_genai.ContinuousBatchingPipeline(
            str(folder), scheduling, "CPU", {"INFERENCE_NUM_THREADS": threads, **precision}
        )

    def generate(self, prompts: Prompts, new_tokens: int) -> Prompts:
        config = self.library.GenerationConfig()
        config.min_new_tokens, config.ignore_eos = new_tokens, True
        return self._run(prompts, new_tokens, config)

    def generate_json(self, prompts: Prompts, new_tokens: int, schema: str) -> Prompts:
        config = self.library.GenerationConfig()
        config.structured_output_config = self.library.StructuredOutputConfig(json_schema=schema)
        return self._run(prompts, new_tokens, config)

    def _run(self, prompts: Prompts, new_tokens: int, config: Any) -> Prompts:
        import numpy
        from openvino import Tensor

        config.max_new_tokens, config.do_sample = new_tokens, False
        ids = [Tensor(numpy.array([prompt], dtype=numpy.int64)) for prompt in prompts]
        answers = self.pipeline.generate(ids, [config] * len(prompts))
        return [list(answer.m_generation_ids[0]) for answer in answers]


class LlamaCpp:
    """llama.cpp through llama-cpp-python, one prompt after the other. Its weights stay as in the
    file: 0.3.36 crashes on processors with AMX where it may pack them for that."""

    keeps_prefixes = False

    def __init__(self, file: Path, quantized: str, threads: int) -> None:
        from llama_cpp import Llama, llama_cpp

        self.name = f"llama.cpp {quantized}"
        settings = llama_cpp.llama_model_default_params()
        settings.use_extra_bufts = False
        with patch.object(llama_cpp, "llama_model_default_params", lambda: settings):
            self.model: Any = Llama(
                str(file), n_ctx=4096, n_threads=threads, n_threads_batch=threads, verbose=False
            )

    def generate(self, prompts: Prompts, new_tokens: int) -> Prompts:
        return [self._one(prompt, new_tokens) for prompt in prompts]

    def generate_json(self, prompts: Prompts, new_tokens: int, schema: str) -> Prompts:
        return self.generate(prompts, new_tokens)

    def _one(self, prompt: list[int], new_tokens: int) -> list[int]:
        made: list[int] = []
        for token in self.model.generate(prompt, temp=0.0, repeat_penalty=1.0, reset=True):
            made.append(token)
            if len(made) == new_tokens:
                break
        return made


def _installed(*modules: str) -> bool:
    """A module's parent must be there to ask for the module."""
    find: Callable[[str], object] = importlib.util.find_spec
    return all(find(module.partition(".")[0]) and find(module) for module in modules)


def _export(path: Path, folder: Path) -> None:
    """Raises CalledProcessError where optimum cannot convert the model."""
    print(f"{path.name}: converting for OpenVINO", file=sys.stderr, flush=True)
    command = [str(Path(sys.executable).with_name("optimum-cli")), "export", "openvino"]
    command += ["--model", str(path), "--task", "text-generation-with-past"]
    command += ["--weight-format", "fp16", str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=1800)
