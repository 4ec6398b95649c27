"""What one step's attention calls launch, made from its batch; for `attention.py`.

Layers with another window see other keys, so there is work per window, made when the first layer
asks for it.
"""

from __future__ import annotations

import numpy as np

from ...engine.batch import ForwardBatch
from .decode import Decoding, SharedPiece, decode_work
from .extend import Extending, extend_work
from .prefixes import Branch, branches_of
from .tree_decode import shared_pieces
from .work import DeviceWork, Int64, Machine, Work, token_starts, upload


class TritonPlan:
    """The work of one step, and the batch whose slots it reads: they must stay where they are."""

    __slots__ = ("_decode", "_decoding", "_extend", "_extending", "_root", "batch", "machine")

    def __init__(self, batch: ForwardBatch, machine: Machine) -> None:
        self.batch = batch
        self.machine = machine
        self._decoding = [i for i, length in enumerate(batch.query_lens) if length == 1]
        self._extending = [i for i, length in enumerate(batch.query_lens) if length > 1]
        self._root = _root_of(batch, self._decoding)
        self._decode: dict[int | None, DeviceWork] = {}
        self._extend: dict[int | None, DeviceWork] = {}

    def decode(self, window: int | None) -> DeviceWork | None:
        """The work of the sequences with one new token, None where there are none."""
        if not self._decoding:
            return None
        if window not in self._decode:
            self._decode[window] = self._upload(self.make_decode(window))
        return self._decode[window]

    def extend(self, window: int | None) -> DeviceWork | None:
        """The work of the sequences with several new tokens, None where there are none."""
        if not self._extending:
            return None
        if window not in self._extend:
            self._extend[window] = self._upload(self._make_extend(window))
        return self._extend[window]

    def make_decode(self, window: int | None, shares: bool = True) -> Work:
        """`decode` on the host, where there are sequences with one new token. shares: keys may be
        read once for several sequences."""
        chosen, machine = self._decoding, self.machine
        addresses, lens = self._slots_of(chosen)
        tokens = token_starts(self.batch.query_lens)[chosen]
        first = machine.first_seen(lens - 1, window)
        shared: list[SharedPiece] = []
        if shares and self._root is not None:
            shared = shared_pieces(self._root, lens, first, machine)
        return decode_work(Decoding(tokens, addresses, lens, first), machine, shared)

    def _upload(self, work: Work) -> DeviceWork:
        return upload(work, self.batch.positions.device)

    def _make_extend(self, window: int | None) -> Work:
        chosen = self._extending
        counts = np.asarray(self.batch.query_lens, np.int64)
        addresses, lens = self._slots_of(chosen)
        tokens = token_starts(counts)[chosen]
        return extend_work(Extending(tokens, counts[chosen], addresses, lens), self.machine, window)

    def _slots_of(self, chosen: list[int]) -> tuple[Int64, Int64]:
        """(addresses of the slots of some sequences, how many there are)."""
        slots = self.batch.context_slots
        addresses = np.array([slots[i].data_ptr() for i in chosen], np.int64)
        # A tensor takes ten times as long to tell its length as an array.
        lens = self.batch.host_slots or slots
        return addresses, np.array([len(lens[i]) for i in chosen], np.int64)


def _root_of(batch: ForwardBatch, decoding: list[int]) -> Branch | None:
    """The tree of what decoding sequences share; None where they share nothing, or where the host
    cannot tell without waiting for the device."""
    if batch.host_slots is not None:
        slots = [batch.host_slots[i] for i in decoding]
    elif batch.positions.device.type == "cpu":
        slots = [batch.context_slots[i].numpy() for i in decoding]
    else:
        return None
    if len({own.item(0) for own in slots}) == len(slots):
        return None
    return branches_of(slots)
