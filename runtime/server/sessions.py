"""The sessions of all clients: prompts that the front process holds as token ids, so that a call
sends only what is new. Used by service.py; time comes from outside.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..errors import RequestError
from ..protocol import Part, Text, Tokens


@dataclass(frozen=True, slots=True)
class HeldPrompt:
    """A prompt: ids that stay as they are, then text that is tokenized together with whatever
    follows it, or the tokens would depend on where calls were made."""

    ids: array[int]
    open_text: tuple[Text, ...] = ()

    @classmethod
    def of(cls, parts: list[Part], settled_ids: list[int]) -> HeldPrompt:
        """From a prompt's parts, and the ids that they begin with up to the last Tokens part."""
        num_settled = max(
            (number for number, part in enumerate(parts, 1) if isinstance(part, Tokens)), default=0
        )
        open_text = (part for part in parts[num_settled:] if isinstance(part, Text))
        return cls(array("i", settled_ids), tuple(open_text))

    @property
    def num_tokens(self) -> int:
        """What it is counted with; characters stand for tokens."""
        return len(self.ids) + sum(len(part.text) for part in self.open_text)

    def parts(self) -> list[Part]:
        """The prompt as it would be sent."""
        return [Tokens(self.ids.tolist()), *self.open_text] if self.ids else [*self.open_text]


@dataclass(slots=True)
class _Session:
    prompt: HeldPrompt
    used_s: float
    lease: int
    program: int


class Sessions:
    """Leases: each use renews one, `ttl_s` without use ends it, and when all together hold more
    than `max_tokens` those not used for longest go first. A client whose session is gone is told
    so, and sends the whole prompt again.

    on_end: told the leases of sessions that ended, so that the engine's end with them.
    """

    def __init__(self, ttl_s: float, max_tokens: int, on_end: Callable[[list[int]], None]) -> None:
        self.num_tokens = 0
        self._on_end = on_end
        self._ttl_s = ttl_s
        self._max_tokens = max_tokens
        # Least recently used first.
        self._sessions: OrderedDict[tuple[bytes, int], _Session] = OrderedDict()
        self._numbers: dict[bytes, set[int]] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def use(self, client_id: bytes, number: int, now_s: float) -> tuple[list[Part], int]:
        """What a session holds, and the engine's number of the program that it belongs to. Raises
        RequestError("session_lost")."""
        session = self._sessions.get((client_id, number))
        if session is None:
            raise RequestError(
                "session_lost",
                f"the runtime does not hold session {number}; send the whole prompt",
                pointer="/base",
            )
        session.used_s = now_s
        self._sessions.move_to_end((client_id, number))
        return session.prompt.parts(), session.program

    def keep(
        self,
        client_id: bytes,
        number: int,
        prompt: HeldPrompt,
        now_s: float,
        lease: int,
        program: int,
    ) -> None:
        """Hold a prompt as session `number` of a client. lease, program: the engine's numbers for
        it and for what it belongs to."""
        self.release(client_id, [number])
        self._sessions[client_id, number] = _Session(prompt, now_s, lease, program)
        self._numbers.setdefault(client_id, set()).add(number)
        self.num_tokens += prompt.num_tokens
        while self.num_tokens > self._max_tokens:
            self._on_end([self._drop(*next(iter(self._sessions)))])

    def release(self, client_id: bytes, numbers: Iterable[int]) -> None:
        """Let sessions of a client go; unknown numbers are ignored."""
        known = [number for number in numbers if (client_id, number) in self._sessions]
        if known:
            self._on_end([self._drop(client_id, number) for number in known])

    def forget(self, client_id: bytes) -> None:
        """The client is gone, and its sessions with it."""
        self.release(client_id, list(self._numbers.get(client_id, ())))

    def sweep(self, now_s: float) -> None:
        """End the leases that ran out."""
        while self._sessions:
            key, session = next(iter(self._sessions.items()))
            if session.used_s + self._ttl_s > now_s:
                return
            self._on_end([self._drop(*key)])

    def _drop(self, client_id: bytes, number: int) -> int:
        """Forget a session; its lease."""
        session = self._sessions.pop((client_id, number))
        self.num_tokens -= session.prompt.num_tokens
        numbers = self._numbers[client_id]
        numbers.discard(number)
        if not numbers:
            del self._numbers[client_id]
        return session.lease
