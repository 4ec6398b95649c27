"""Weights files that somebody bent: each is refused with a text, whatever it declares (S15)."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch

from branchline.runtime.models.errors import ModelLoadError
from branchline.runtime.models.loader import Weights

Tensor = dict[str, Any]
W: Tensor = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
DATA = bytes(16)


def header(text: str | bytes, data: bytes = DATA, length: int | None = None) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def tensors(*, data: bytes = DATA, **named: object) -> bytes:
    return header(json.dumps(named), data)


def changed(**fields: object) -> bytes:
    """The good file with other fields; None leaves one out."""
    given = {key: value for key, value in {**W, **fields}.items() if value is not None}
    return tensors(w=given)


PAIR = {"dtype": "F32", "shape": [2]}
MALFORMED: dict[str, bytes] = {
    "empty": b"",
    "shorter than its length": b"\x08\0\0",
    "no header": struct.pack("<Q", 0),
    "length 2^63": header(json.dumps({"w": W}), length=2**63),
    "length 2^64-1": header(json.dumps({"w": W}), length=2**64 - 1),
    "length beyond the file": header(json.dumps({"w": W}), length=10_000),
    "length within the header": header(json.dumps({"w": W}), length=20),
    "length of 200 MiB": header(json.dumps({"w": W}), length=200 * 2**20),
    "no JSON": header("not JSON at all"),
    "half a JSON": header('{"w": {'),
    "no UTF-8": header(b'{"\xff": 1}'),
    "a list": header("[]"),
    "null": header("null"),
    "a number": header("1e999"),
    "nesting": header('{"w":' + "[" * 200_000 + "]" * 200_000 + "}"),
    "a tensor that is a list": tensors(w=[1, 2]),
    "a tensor that is a text": tensors(w="F32"),
    "data cut": tensors(w=W, data=bytes(15)),
    "data left over": tensors(w=W, data=bytes(17)),
    "no data": tensors(w=W, data=b""),
    "a hole": tensors(
        a={**PAIR, "data_offsets": [0, 8]}, w={**PAIR, "data_offsets": [12, 20]}, data=bytes(20)
    ),
    "a hole in front": tensors(w={**W, "data_offsets": [4, 20]}, data=bytes(20)),
    "an overlap": tensors(
        a={**PAIR, "data_offsets": [0, 8]}, w={**PAIR, "data_offsets": [4, 12]}, data=bytes(12)
    ),
    "the same place twice": tensors(a=W, w=W),
    "offsets turned round": changed(data_offsets=[16, 0]),
    "negative offsets": changed(data_offsets=[-16, 0]),
    "offsets of 2^64": changed(data_offsets=[0, 2**64]),
    "offsets that wrap": changed(data_offsets=[2**64 - 16, 2**64]),
    "offsets beyond the file": changed(data_offsets=[0, 2**40], shape=[2**38]),
    "fractions as offsets": changed(data_offsets=[0.0, 16.0]),
    "texts as offsets": changed(data_offsets=["0", "16"]),
    "one offset": changed(data_offsets=[16]),
    "three offsets": changed(data_offsets=[0, 8, 16]),
    "no offsets": changed(data_offsets=None),
    "a negative side": changed(shape=[-2, -2]),
    "a side that is a fraction": changed(shape=[2.0, 2.0]),
    "sides whose product wraps": changed(shape=[2**63, 4]),
    "sides whose bytes wrap": changed(shape=[2**62, 1]),
    "sides whose product is 0 in 64 bits": changed(shape=[2**32, 2**32]),
    "a side that is null": changed(shape=[None, 2]),
    "no shape": changed(shape=None),
    "a larger shape": changed(shape=[2, 3]),
    "a smaller shape": changed(shape=[2]),
    "an unknown type": changed(dtype="F33"),
    "a type that is a number": changed(dtype=32),
    "no type": changed(dtype=None),
    "a smaller type": changed(dtype="F16"),
    "a larger type": changed(dtype="F64"),
    "metadata that is no text": tensors(__metadata__={"format": 1}, w=W),
    "metadata that is a list": tensors(__metadata__=[], w=W),
    "one name twice": header(f'{{"w":{json.dumps(W)},"w":{json.dumps(W)}}}'),
    "a pickle": b"\x80\x04\x95" + bytes(100),
    "a zip": b"PK\x03\x04" + bytes(100),
    "a GGUF": b"GGUF" + bytes(100),
    "zeros": bytes(4_096),
    "ones": b"\xff" * 4_096,
}


def load(folder: Path) -> torch.Tensor:
    with Weights(folder, torch.float32, torch.device("cpu")) as weights:
        taken = weights.take("w", (2, 2))
        weights.finish()
    return taken


def test_the_file_that_they_were_made_from_loads(tmp_path: Path) -> None:
    """Planted: else anything would be refused."""
    (tmp_path / "model.safetensors").write_bytes(changed())
    assert load(tmp_path).tolist() == [[0, 0], [0, 0]]


def test_there_are_enough_of_them() -> None:
    assert len(MALFORMED) >= 40


@pytest.mark.parametrize("name", MALFORMED)
def test_a_bent_file_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "model.safetensors").write_bytes(MALFORMED[name])
    with pytest.raises(ModelLoadError, match=r"model\.safetensors|'w'"):
        load(tmp_path)


def test_a_header_of_200_mib_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", 200 * 2**20))
        file.truncate(200 * 2**20 + 8)  # takes no room on the disk
    with pytest.raises(ModelLoadError, match=r"model\.safetensors"):
        load(tmp_path)


def test_a_link_to_nowhere_and_a_folder_are_no_weights(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.symlink_to(tmp_path / "gone")
    with pytest.raises(ModelLoadError):
        load(tmp_path)
    file.unlink()
    file.mkdir()
    with pytest.raises(ModelLoadError):
        load(tmp_path)
