"""The tree in a file: what a restarted runtime needs to answer from its cache at once.

One safetensors file: tokens and shape of the tree, the KV of every token, and as metadata the
fingerprint of what computed it and a checksum. Used by the engine core.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import safetensors
import safetensors.torch
import torch

from ..memory.allocator import SlotIds
from .checksum import checksum
from .node import Node
from .tree import RadixCache

_FORMAT: Final = "branchline-tree-1"
_KV: Final = "kv."

ReadKV = Callable[[SlotIds], Mapping[str, torch.Tensor]]
WriteKV = Callable[[SlotIds, Mapping[str, torch.Tensor]], None]


class SnapshotError(ValueError):
    """A file that is no snapshot of this model's cache; the message says why."""


def save(cache: RadixCache, read_kv: ReadKV, fingerprint: str, path: Path) -> int:
    """Write every cached token; how many they are. The file appears whole or not at all.

    read_kv: tensors [heads, slots, dim] by name. fingerprint: of whatever decides what KV means.
    """
    nodes = _newest_first(cache)
    place = {id(node): number for number, node in enumerate(nodes)}
    slots = _concatenate([node.slots for node in nodes])
    tensors = {
        "tokens": torch.from_numpy(
            np.frombuffer(b"".join(node.tokens for node in nodes), np.int32).copy()
        ),
        "lengths": torch.tensor([len(node.slots) for node in nodes], dtype=torch.int64),
        "parents": torch.tensor(
            [place.get(id(node.parent), -1) for node in nodes], dtype=torch.int64
        ),
    }
    for name, tensor in read_kv(slots).items():
        tensors[_KV + name] = tensor.contiguous().cpu()
    namespaces = json.dumps([_namespace(node) for node in nodes])
    metadata = {
        "format": _FORMAT,
        "fingerprint": fingerprint,
        "namespaces": namespaces,
        "checksum": checksum(tensors, namespaces),
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        safetensors.torch.save_file(tensors, temporary, metadata)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except safetensors.SafetensorError as error:
        raise SnapshotError(f"{path} cannot be written: {error}") from None
    finally:
        temporary.unlink(missing_ok=True)
    return len(slots)


def load(cache: RadixCache, write_kv: WriteKV, fingerprint: str, path: Path) -> int:
    """Cache what the file holds, the most recently used first, as far as free slots last; how many
    tokens that are. Raises SnapshotError, and changes nothing, for a file that is damaged or that
    another model, tokenizer or data type wrote."""
    tensors, namespaces = _read(fingerprint, path)
    tokens = tensors["tokens"].numpy()
    lengths = tensors["lengths"].tolist()
    parents = tensors["parents"].tolist()
    ends = np.cumsum(lengths)
    paths: list[np.ndarray[tuple[int], np.dtype[np.int32]] | None] = []
    num_loaded = 0
    for number, (length, parent) in enumerate(zip(lengths, parents, strict=True)):
        before = np.empty(0, np.int32) if parent < 0 else paths[parent]
        own = slice(int(ends[number]) - length, int(ends[number]))
        whole = None if before is None else np.concatenate([before, tokens[own]])
        paths.append(whole)
        if whole is None or before is None:
            continue
        present = cache.match_length(namespaces[number], whole)
        missing = len(whole) - max(present, len(before))
        slots = cache.allocator.allocate(missing) if present >= len(before) else None
        if slots is None:  # no room for it, nor for what hangs below it
            paths[number] = None
            continue
        source = slice(own.stop - missing, own.stop)
        kv = {name[len(_KV) :]: t[:, source] for name, t in tensors.items() if name[:3] == _KV}
        write_kv(slots, kv)
        filler = np.zeros(len(whole) - missing, np.int64)
        cache.insert(namespaces[number], whole, np.concatenate([filler, slots]))
        num_loaded += missing
    return num_loaded


def _read(fingerprint: str, path: Path) -> tuple[dict[str, torch.Tensor], list[str]]:
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            _require(metadata.get("format") == _FORMAT, path, "it is no snapshot of a cache")
            _require(
                metadata.get("fingerprint") == fingerprint,
                path,
                "another model, tokenizer or data type wrote it; save a new one with this runtime",
            )
            names = list(file.keys())
            tensors = {name: file.get_tensor(name) for name in names}
    except (safetensors.SafetensorError, OSError) as error:
        raise SnapshotError(f"{path} cannot be read as a snapshot of a cache: {error}") from None
    found = checksum(tensors, metadata.get("namespaces", ""))
    _require(metadata.get("checksum") == found, path, "its checksum is wrong")
    namespaces = json.loads(metadata["namespaces"])
    lengths, parents = tensors["lengths"], tensors["parents"]
    total = int(lengths.sum())
    _require(
        len(lengths) == len(parents) == len(namespaces)
        and bool((lengths > 0).all())
        and len(tensors["tokens"]) == total
        and bool((parents < torch.arange(len(parents))).all())
        and all(t.shape[1] == total for name, t in tensors.items() if name.startswith(_KV)),
        path,
        "its parts contradict each other",
    )
    return tensors, namespaces


def _require(condition: bool, path: Path, reason: str) -> None:
    if not condition:
        raise SnapshotError(f"{path} is not loaded: {reason}")


def _newest_first(cache: RadixCache) -> list[Node]:
    """All nodes, the most recently used first, and parents before their children: a parent was used
    whenever a child was."""
    depth: dict[int, int] = {}
    nodes: list[Node] = list(cache.roots.values())
    for node in nodes:
        depth[id(node)] = 0 if node.parent is None else depth[id(node.parent)] + 1
        nodes.extend(node.children.values())
    newest: dict[int, float] = {}
    for node in reversed(nodes):
        used_s = max([node.used_s, *(newest[id(child)] for child in node.children.values())])
        newest[id(node)] = used_s
    ordered = nodes[len(cache.roots) :]
    return sorted(ordered, key=lambda node: (-newest[id(node)], depth[id(node)]))


def _namespace(node: Node) -> str:
    while node.parent is not None:
        node = node.parent
    return str(getattr(node, "namespace", ""))


def _concatenate(parts: list[SlotIds]) -> SlotIds:
    return np.concatenate(parts) if parts else np.empty(0, np.int64)
