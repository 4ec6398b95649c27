"""Checkpoints on disk: what loads, and what is refused before any weight is used."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.runner import ModelRunner
from branchline.runtime.models.errors import ModelLoadError
from branchline.runtime.models.loader import Weights, weight_files

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"


@pytest.fixture
def checkpoint(make_pair: Any, tmp_path: Path) -> Path:
    """A copy of a tiny checkpoint that the test may break."""
    return Path(shutil.copytree(make_pair("llama").path, tmp_path / "model"))


def load(path: Path, **settings: Any) -> ModelRunner:
    return ModelRunner(EngineConfig(str(path), dtype="float32", kv_slots=8, **settings))


def rewrite(path: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors = load_file(path / SINGLE)
    change(tensors)
    save_file(tensors, path / SINGLE)


def write_index(path: Path, names: list[str]) -> None:
    (path / INDEX).write_text(json.dumps({"weight_map": {str(i): n for i, n in enumerate(names)}}))


def shard(path: Path) -> None:
    """Split the single file in two, as save_pretrained does for large models."""
    tensors = load_file(path / SINGLE)
    names = sorted(tensors)
    files = {"model-00001-of-00002.safetensors": names[::2]}
    files["model-00002-of-00002.safetensors"] = names[1::2]
    for file, members in files.items():
        save_file({name: tensors[name] for name in members}, path / file)
    weight_map = {name: file for file, members in files.items() for name in members}
    (path / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    (path / SINGLE).unlink()


def test_a_sharded_checkpoint_is_the_same_model(checkpoint: Path, make_pair: Any) -> None:
    whole = load(checkpoint).model
    shard(checkpoint)
    parts = load(checkpoint).model
    assert torch.equal(whole.vocabulary.embedding, parts.vocabulary.embedding)
    for a, b in zip(whole.layers, parts.layers, strict=True):
        assert torch.equal(a.mlp.gate_up.weight, b.mlp.gate_up.weight)


def test_weights_do_not_depend_on_the_file_after_loading(checkpoint: Path) -> None:
    model = load(checkpoint).model
    before = model.vocabulary.head.clone()
    (checkpoint / SINGLE).write_bytes(b"")
    assert torch.equal(model.vocabulary.head, before)


def test_half_precision_weights_load_as_float32(checkpoint: Path) -> None:
    def halve(tensors: dict[str, torch.Tensor]) -> None:
        tensors.update({name: x.bfloat16() for name, x in tensors.items()})

    rewrite(checkpoint, halve)
    assert load(checkpoint).model.vocabulary.dtype is torch.float32


def test_old_rotary_buffers_are_ignored(checkpoint: Path) -> None:
    rewrite(
        checkpoint,
        lambda t: t.update({"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(8)}),
    )
    load(checkpoint)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop("model.norm.weight"), "'model.norm.weight' is missing"),
        (lambda t: t.update({"extra": torch.ones(1)}), r"1 unexpected tensors \(extra\)"),
        (
            lambda t: t.update({"model.norm.weight": torch.ones(65)}),
            r"has shape \[65\], config.json asks for \[64\]",
        ),
        (
            lambda t: t.update({"model.norm.weight": torch.ones(64, dtype=torch.int8)}),
            "has dtype I8; supported are F32, F16, BF16",
        ),
    ],
)
def test_weights_that_do_not_fit_the_config_are_refused(
    checkpoint: Path, change: Callable[[dict[str, torch.Tensor]], None], words: str
) -> None:
    rewrite(checkpoint, change)
    with pytest.raises(ModelLoadError, match=words):
        load(checkpoint)


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="does not exist"):
        weight_files(tmp_path / "nowhere")


def test_a_directory_without_weights_is_refused(checkpoint: Path) -> None:
    (checkpoint / SINGLE).unlink()
    with pytest.raises(ModelLoadError, match=r"neither model\.safetensors nor"):
        load(checkpoint)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "w.pt", "w.pth", "w.ckpt"])
def test_pickle_weights_are_refused_unread(checkpoint: Path, name: str) -> None:
    (checkpoint / SINGLE).rename(checkpoint / name)
    with pytest.raises(ModelLoadError, match="pickle weights are not loaded"):
        load(checkpoint)


def test_a_file_that_is_not_safetensors_is_refused(checkpoint: Path) -> None:
    (checkpoint / SINGLE).write_bytes(b"PK\x03\x04 not a header")
    with pytest.raises(ModelLoadError, match="not a readable safetensors file"):
        load(checkpoint)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../model.safetensors", "only files beside the index"),
        ("/etc/x.safetensors", "only files beside the index"),
        ("sub/x.safetensors", "only files beside the index"),
        ("..", "only files beside the index"),
        ("weights.bin", r"only \.safetensors files are read"),
        ("gone.safetensors", "which is missing"),
    ],
)
def test_an_index_names_only_files_beside_it(checkpoint: Path, name: str, words: str) -> None:
    write_index(checkpoint, [name])
    with pytest.raises(ModelLoadError, match=words):
        load(checkpoint)


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"weight_map": 1}', '{"weight_map": {"a": []}}']
)
def test_a_broken_index_is_refused(checkpoint: Path, text: str) -> None:
    (checkpoint / INDEX).write_text(text)
    with pytest.raises(ModelLoadError, match="is not a safetensors index"):
        load(checkpoint)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_what_was_taken_is_not_held_a_second_time_by_the_mapped_file(tmp_path: Path) -> None:
    save_file({"w": torch.ones(2048, 4096)}, tmp_path / "model.safetensors")  # 32 MiB

    def mapped_kib() -> int:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("RssFile:")[2].split()[0])

    with Weights(tmp_path, torch.float32, torch.device("cpu")) as weights:
        before = mapped_kib()
        taken = weights.take("w", (2048, 4096))
        assert mapped_kib() - before < 8 * 1024
    assert (taken == 1).all()
