"""Tensors of a local checkpoint, checked one by one; a family's constructor takes what it needs.

Only safetensors are read: a header that says where each tensor lies, and plain bytes. Pickle
formats (.bin, .pt, .pth, .ckpt) can run code and are refused.
"""

from __future__ import annotations

import json
import math
import mmap
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open

from ..kernels.base import LayerOps, LinearOp, WeightUse
from ..kernels.float8 import Float8Weight, float8_weight, stacked
from ..memory.pages import give_back, trim_heap
from .errors import ModelLoadError

_PICKLE_SUFFIXES: Final = (".bin", ".pt", ".pth", ".ckpt")
_FLOAT_TYPES: Final = ("F32", "F16", "BF16")
_FLOAT8: Final = "F8_E4M3"
# Of the tensor beside a float8 weight; the first is DeepSeek's, and despite its name multiplied by.
_SCALE_SUFFIXES: Final = ("_scale_inv", "_scale")
# Old Llama checkpoints carry the rotary frequencies, which follow from the configuration.
_IGNORED: Final = ("rotary_emb.inv_freq",)
# Scales of inputs, and of keys and values, are found anew at every step, or not needed.
_IGNORED_WITH_FLOAT8: Final = (*_IGNORED, ".input_scale", ".k_scale", ".v_scale")
_SINGLE: Final = "model.safetensors"
_INDEX: Final = "model.safetensors.index.json"
_TRIM_EVERY: Final = 32 * 2**20  # bytes of tensors
_MOST_STAGED: Final = 64 * 2**20  # values: more than a layer's largest weight, not a vocabulary


class Weights:
    """The tensors of one checkpoint; use as a context manager around building the model.

    `take` hands out one tensor; `finish` proves that none was left over. `ops`: the fused operators
    that the layers are to use, if any. float8: weights may be float8 with scales beside them.
    """

    def __init__(
        self,
        model_dir: Path,
        dtype: torch.dtype,
        device: torch.device,
        ops: LayerOps | None = None,
        *,
        float8: bool = False,
    ) -> None:
        self.ops = ops
        self._float8 = float8
        self._model_dir = model_dir
        self.dtype = dtype
        self._device = device
        self._files = ExitStack()
        self._shards: dict[str, Any] = {}
        self._taken = 0  # bytes since the heap was trimmed
        self._staging = torch.empty(0, dtype=dtype)
        try:
            for path in weight_files(model_dir):
                self._open(path)
        except BaseException:
            self._files.close()
            raise

    def __enter__(self) -> Weights:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._files.close()
        self._staging = self._staging.new_empty(0)
        trim_heap()

    def _open(self, path: Path) -> None:
        try:
            shard = self._files.enter_context(safe_open(path, framework="pt", device="cpu"))
            names = list(shard.keys())
        except (SafetensorError, OSError) as error:
            raise ModelLoadError(f"{path} is not a readable safetensors file: {error}") from None
        _refuse_names_given_twice(path)
        for name in names:
            if name in self._shards:
                raise ModelLoadError(f"{path}: tensor {name!r} is also in another file")
            self._shards[name] = shard

    def __contains__(self, name: str) -> bool:
        return name in self._shards

    def take(self, name: str, shape: Sequence[int]) -> torch.Tensor:
        """Tensor `name`, which must have `shape`, as a copy in the dtype and on the device asked
        for. A copy, because a mapped file that someone truncates later would end the process; the
        pages that it was read from are given back at once, so that weights are held once."""
        return self.take_rows([name], [shape])

    def take_rows(self, names: Sequence[str], shapes: Sequence[Sequence[int]]) -> torch.Tensor:
        """Several tensors stacked along their first dimension, for a fused linear layer."""
        parts = self._parts(names, shapes)
        copy = torch.empty(_stacked(shapes), dtype=self.dtype, device=self._device)
        _put_rows(parts, copy)
        return copy

    def pack_rows(
        self, names: Sequence[str], shapes: Sequence[Sequence[int]], use: WeightUse = "layer"
    ) -> torch.Tensor | LinearOp:
        """`take_rows` of a weight [out, in], in the order of the fused operators where these want
        it: one copy."""
        if self.ops is None or self._device.type != "cpu" or self._keeps_float8(names):
            return packed_or_plain(self.keep_rows(names, shapes), self.ops, use)
        # Packing copies. It reads the file itself, or what was put together where the weight before
        # this one was: memory that is new costs more than copying.
        parts = self._parts(names, shapes)
        weight = parts[0]
        if len(parts) > 1 or weight.dtype is not self.dtype:
            weight = self._room(_stacked(shapes))
            _put_rows(parts, weight)
        packed = self.ops.pack_linear(weight, use)
        whole = weight.clone() if packed is None else packed
        if weight is parts[0]:
            _give_back(weight)
        return whole

    def keep_rows(
        self, names: Sequence[str], shapes: Sequence[Sequence[int]]
    ) -> torch.Tensor | Float8Weight:
        """`take_rows`, or the weight as it is where it is float8 and the fused operators can
        multiply by that."""
        if not self._keeps_float8(names):
            return self.take_rows(names, shapes)
        parts = [self._take_float8(n, s) for n, s in zip(names, shapes, strict=True)]
        return stacked([part.to(self._device) for part in parts])

    def _keeps_float8(self, names: Sequence[str]) -> bool:
        takes = self.ops is not None and self.ops.pack_float8 is not None
        return takes and all(self._is_float8(name) for name in names)

    def _is_float8(self, name: str) -> bool:
        shard = self._shards.get(name) if self._float8 else None
        return shard is not None and shard.get_slice(name).get_dtype() == _FLOAT8

    def _take_float8(self, name: str, shape: Sequence[int]) -> Float8Weight:
        """A copy of a float8 weight with its scales, on the CPU."""
        codes = self._mapped(name, shape, (_FLOAT8,))
        named = (name + suffix for suffix in _SCALE_SUFFIXES)
        scales_name = next((each for each in named if each in self._shards), None)
        if scales_name is None:
            raise ModelLoadError(
                f"{self._model_dir}: tensor {name!r} is {_FLOAT8}, and "
                f"{name + _SCALE_SUFFIXES[0]!r} with its scales is missing"
            )
        scales = self._mapped(scales_name, None, _FLOAT_TYPES)
        try:
            weight = float8_weight(codes.clone(), scales.clone(), self.dtype)
        except ValueError as error:
            raise ModelLoadError(f"{self._model_dir}: tensor {scales_name!r}: {error}") from None
        _give_back(codes)
        return weight

    def _room(self, shape: Sequence[int]) -> torch.Tensor:
        """Room for a weight until the next one's."""
        size = math.prod(shape)
        if size > _MOST_STAGED:
            return torch.empty(*shape, dtype=self.dtype)
        if self._staging.numel() < size:
            self._staging = torch.empty(size, dtype=self.dtype)
        return self._staging[:size].view(*shape)

    def _parts(
        self, names: Sequence[str], shapes: Sequence[Sequence[int]]
    ) -> Sequence[torch.Tensor]:
        """Tensors as they lie in their file; float8 ones unpacked."""
        parts = [
            self._take_float8(name, shape).whole()
            if self._is_float8(name)
            else self._mapped(name, shape, _FLOAT_TYPES)
            for name, shape in zip(names, shapes, strict=True)
        ]
        self._taken += sum(part.nbytes for part in parts)
        if self._taken > _TRIM_EVERY:
            # What was packed since left its copies behind.
            trim_heap()
            self._taken = 0
        return parts

    def _mapped(
        self, name: str, shape: Sequence[int] | None, dtypes: Sequence[str]
    ) -> torch.Tensor:
        """Tensor `name` as it lies in its file, of any shape where that is None."""
        shard = self._shards.pop(name, None)
        if shard is None:
            raise ModelLoadError(f"{self._model_dir}: tensor {name!r} is missing")
        stored = shard.get_slice(name)
        if shape is not None and list(stored.get_shape()) != list(shape):
            raise ModelLoadError(
                f"{self._model_dir}: tensor {name!r} has shape {list(stored.get_shape())}, "
                f"config.json asks for {list(shape)}"
            )
        if stored.get_dtype() not in dtypes:
            raise ModelLoadError(
                f"{self._model_dir}: tensor {name!r} has dtype {stored.get_dtype()}; "
                f"supported are {', '.join(dtypes)}"
            )
        tensor: torch.Tensor = shard.get_tensor(name)
        return tensor

    def discard(self, name: str) -> None:
        """Ignore tensor `name` where a checkpoint stores it without need."""
        self._shards.pop(name, None)

    def finish(self) -> None:
        """Raise unless every tensor was taken."""
        ignored = _IGNORED_WITH_FLOAT8 if self._float8 else _IGNORED
        left = sorted(name for name in self._shards if not name.endswith(ignored))
        if left:
            shown = ", ".join(left[:5]) + (", ..." if len(left) > 5 else "")
            raise ModelLoadError(
                f"{self._model_dir}: {len(left)} unexpected tensors ({shown}); the weights do not "
                "belong to this config.json"
            )


def packed_or_plain(
    weight: torch.Tensor | Float8Weight, ops: LayerOps | None, use: WeightUse = "layer"
) -> torch.Tensor | LinearOp:
    """`weight: [out, in]` in the order of the fused operators where these want it: one copy."""
    if isinstance(weight, Float8Weight):
        if ops is not None and ops.pack_float8 is not None:
            return ops.pack_float8(weight)
        weight = weight.whole()
    packed = None if ops is None else ops.pack_linear(weight, use)
    return weight if packed is None else packed


def _stacked(shapes: Sequence[Sequence[int]]) -> Sequence[int]:
    return sum(shape[0] for shape in shapes), *shapes[0][1:]


def _put_rows(parts: Sequence[torch.Tensor], whole: torch.Tensor) -> None:
    start = 0
    for part in parts:
        whole[start : start + len(part)].copy_(part)
        start += len(part)
        _give_back(part)


def _give_back(mapped: torch.Tensor) -> None:
    """Take the whole pages of a tensor that nobody reads again out of the process's memory. Without
    this the mapped file stays resident beside the copies until the last tensor is read."""
    if not sys.platform.startswith("linux"):
        return
    start = -(-mapped.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
    end = (mapped.data_ptr() + mapped.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    if start < end:
        give_back(start, end)


def weight_files(model_dir: Path) -> list[Path]:
    """The safetensors files of a checkpoint: the single file, or those that its index names."""
    if not model_dir.is_dir():
        raise ModelLoadError(
            f"model directory {model_dir} does not exist; give a local directory, a hub id such "
            "as 'Qwen/Qwen3-0.6B', or 'embedded'"
        )
    if (model_dir / _INDEX).is_file():
        return _indexed_files(model_dir)
    if (model_dir / _SINGLE).is_file():
        _check_inside(model_dir, _SINGLE)
        return [model_dir / _SINGLE]
    pickles = sorted(p.name for p in model_dir.iterdir() if p.suffix in _PICKLE_SUFFIXES)
    if pickles:
        raise ModelLoadError(
            f"{model_dir} holds only pickle weights ({', '.join(pickles[:3])}); pickle weights are "
            "not loaded because reading them can run code. Convert them on a machine where you "
            "trust them: transformers' save_pretrained() writes safetensors"
        )
    raise ModelLoadError(f"{model_dir} holds neither {_SINGLE} nor {_INDEX}")


def _indexed_files(model_dir: Path) -> list[Path]:
    path = model_dir / _INDEX
    try:
        weight_map = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        names = sorted(set(weight_map.values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelLoadError(f"{path} is not a safetensors index: {error!r}") from None
    files = []
    for name in names:
        if not isinstance(name, str) or Path(name).name != name or name in ("", ".", ".."):
            raise ModelLoadError(f"{path} names {name!r}; only files beside the index are read")
        if not name.endswith(".safetensors"):
            raise ModelLoadError(f"{path} names {name!r}; only .safetensors files are read")
        if not (model_dir / name).is_file():
            raise ModelLoadError(f"{path} names {name!r}, which is missing")
        _check_inside(model_dir, name)
        files.append(model_dir / name)
    return files


def _check_inside(model_dir: Path, name: str) -> None:
    """Refuse a link that leads out of the model directory. The hub's cache is made of links from
    `snapshots/REVISION/` to `blobs/` beside it; these are followed."""
    root, target = model_dir.resolve(), (model_dir / name).resolve()
    allowed = [root]
    if root.parent.name == "snapshots":
        allowed.append(root.parent.parent / "blobs")
    if not any(target.is_relative_to(folder) for folder in allowed):
        raise ModelLoadError(
            f"{model_dir / name} is a link to {target}, outside of the model directory; put the "
            "file itself there, or give the directory that holds it"
        )


def _refuse_names_given_twice(path: Path) -> None:
    """The library takes the last of two; another reader of the same file takes the first."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ModelLoadError(f"{path} is not a readable safetensors file: a name stands twice")
        return found

    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        json.loads(file.read(length), object_pairs_hook=once)
