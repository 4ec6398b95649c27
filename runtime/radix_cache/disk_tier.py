"""What was driven out of the host's memory, kept in files: read back instead of computed again, by
this process or a later one. Used by host_tier.py.

One safetensors file per piece, in a folder per model, named by a hash of what stands before the
piece. A file that is damaged or gone is as if it had never been.
"""

from __future__ import annotations

import hashlib
import logging
import os
import queue
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import safetensors
import safetensors.torch
import torch

from .checksum import checksum
from .fair_lru import FairLru
from .node import TOKEN_BYTES

_log = logging.getLogger(__name__)

_TOKENS: Final = "tokens"
_NAMESPACE: Final = "namespace"
_SUFFIX: Final = ".safetensors"
# Pieces that wait to be written; what comes while so many do is not kept.
_MAX_WAITING: Final = 256


@dataclass(frozen=True, slots=True)
class Piece:
    """Tokens, int32 as bytes, and their keys and values: [heads, tokens, dim] by name."""

    tokens: bytes
    kv: Mapping[str, torch.Tensor]

    @property
    def num_tokens(self) -> int:
        return len(self.tokens) // TOKEN_BYTES


@dataclass(slots=True)
class _File:
    """waiting: what it will hold, until it is written."""

    namespace: str
    tokens: bytes
    waiting: Piece | None = None


class DiskTier:
    """Pieces by a key of 16 bytes or more; the least recently used go when their files would take
    more than `max_bytes`. Written by a thread, so that no step waits for a disk.

    folder: made if it is not there; others than the user cannot read it. fingerprint: of whatever
    decides what keys and values mean. quotas: bytes per namespace that others' files never drive
    out. Raises OSError when nothing can be written there.
    """

    def __init__(
        self,
        folder: Path,
        max_bytes: int,
        fingerprint: str,
        quotas: Mapping[str, int] | None = None,
    ) -> None:
        name = hashlib.blake2b(fingerprint.encode(), digest_size=8).hexdigest()
        self._folder = folder / name
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._files: FairLru[str, _File] = FairLru(max_bytes, quotas or {})
        self._lock = threading.Lock()
        self._waiting: queue.Queue[str] = queue.Queue(_MAX_WAITING)
        self._find()
        threading.Thread(target=self._write_all, name="disk-tier", daemon=True).start()

    @property
    def num_bytes(self) -> int:
        return self._files.size

    def put(self, namespace: str, key: bytes, piece: Piece) -> None:
        """Keep a piece. One that begins with all that it holds is there already stays."""
        name = key.hex()
        num_bytes = sum(tensor.nbytes for tensor in piece.kv.values()) + len(piece.tokens)
        with self._lock:
            known = self._files.get(name)
            if known is not None and known.tokens.startswith(piece.tokens):
                self._files.use(name)
                return
            if num_bytes > self._files.max_size or self._waiting.full():
                return
            self._forget(name)
            self._keep(name, _File(namespace, piece.tokens, piece), num_bytes)
        self._waiting.put(name)

    def tokens(self, key: bytes) -> bytes | None:
        """Of the piece with this key."""
        with self._lock:
            file = self._files.get(key.hex())
            return None if file is None else file.tokens

    def read(self, key: bytes) -> Piece | None:
        """The piece with this key; None when it is gone, or was damaged."""
        name = key.hex()
        with self._lock:
            file = self._files.use(name)
            if file is None:
                return None
            if file.waiting is not None:
                return file.waiting
        piece = self._load(name, file.namespace)
        if piece is None or piece.tokens != file.tokens:
            with self._lock:
                self._forget(name)
            return None
        return piece

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            for name in list(self._files):
                self._forget(name)

    def wait(self) -> None:
        """Until all that was put is written."""
        self._waiting.join()

    def _find(self) -> None:
        """What an earlier process left; the least recently written goes first."""
        found = []
        for path in self._folder.iterdir():
            if path.suffix == _SUFFIX:
                status = path.stat()
                found.append((status.st_mtime_ns, path.stem, status.st_size))
            else:
                path.unlink(missing_ok=True)  # a file that was half written
        for _, name, num_bytes in sorted(found):
            try:
                with safetensors.safe_open(self._path(name), "pt") as file:
                    tokens = file.get_tensor(_TOKENS).numpy().tobytes()
                    namespace = (file.metadata() or {}).get(_NAMESPACE, "")
            except (safetensors.SafetensorError, OSError):
                self._path(name).unlink(missing_ok=True)
                continue
            self._keep(name, _File(namespace, tokens), num_bytes)

    def _write_all(self) -> None:
        while True:
            name = self._waiting.get()
            with self._lock:
                file = self._files.get(name)
                piece = None if file is None else file.waiting
            if file is not None and piece is not None:
                self._write(name, file, piece)
            self._waiting.task_done()

    def _write(self, name: str, file: _File, piece: Piece) -> None:
        tensors = {key: tensor.contiguous() for key, tensor in piece.kv.items()}
        tensors[_TOKENS] = torch.from_numpy(np.frombuffer(piece.tokens, np.int32).copy())
        temporary = self._folder / f"{name}.{os.getpid()}"
        try:
            facts = {"checksum": checksum(tensors, file.namespace)}
            if file.namespace:
                facts[_NAMESPACE] = file.namespace
            safetensors.torch.save_file(tensors, temporary, facts)
            with self._lock:
                if self._files.get(name) is file:
                    temporary.replace(self._path(name))
                    file.waiting = None
        except (safetensors.SafetensorError, OSError) as error:
            _log.warning("a piece of the cache was not written to %s: %s", self._folder, error)
            with self._lock:
                if self._files.get(name) is file:
                    self._forget(name)
        finally:
            temporary.unlink(missing_ok=True)

    def _load(self, name: str, namespace: str) -> Piece | None:
        try:
            with safetensors.safe_open(self._path(name), "pt") as file:
                names = list(file.keys())
                tensors = {key: file.get_tensor(key) for key in names}
                written = (file.metadata() or {}).get("checksum")
        except (safetensors.SafetensorError, OSError):
            return None
        if _TOKENS not in tensors or written != checksum(tensors, namespace):
            return None
        return Piece(tensors.pop(_TOKENS).numpy().tobytes(), tensors)

    def _keep(self, name: str, file: _File, num_bytes: int) -> None:
        """The lock is held."""
        for gone, old in self._files.put(file.namespace, name, file, num_bytes):
            self._remove(gone, old)

    def _forget(self, name: str) -> None:
        """The lock is held."""
        file = self._files.pop(name)
        if file is not None:
            self._remove(name, file)

    def _remove(self, name: str, file: _File) -> None:
        if file.waiting is None:
            self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{_SUFFIX}"
