"""When a sequence is over: end tokens, stop tokens, stop strings and patterns, the token limits."""

from __future__ import annotations

import codecs
from collections.abc import Collection
from typing import Final, NamedTuple

from ..protocol import FinishReason, SamplingParams
from ..stop_pattern import stop_pattern

_UTF8: Final = codecs.getincrementaldecoder("utf-8")


class Finish(NamedTuple):
    """Why a sequence ended, and the stop string or token id that ended it, if one did."""

    reason: FinishReason
    matched_stop: str | int | None = None


class StopChecker:
    """Fed with each generated token in turn.

    Stop strings are matched as bytes on the tail of what was generated, so one may span tokens and
    begin or end inside of one: UTF-8 never matches in the middle of a character. A stop string that
    is the text of a control token, which has no bytes, is watched for as that token. Patterns are
    matched on the text; where a string and a pattern end with the same token, the string counts.

    Below `min_new_tokens` nothing but the grammar ends a sequence.
    """

    def __init__(
        self,
        params: SamplingParams,
        max_new_tokens: int,
        eos_ids: Collection[int],
        token_bytes: list[bytes],
        control_ids: dict[str, int] | None = None,
    ) -> None:
        self._max_new = max_new_tokens
        self._min_new = params.min_new_tokens
        self._token_bytes = token_bytes
        self._stop_ids: dict[int, str | int] = {}
        if not params.ignore_eos:
            self._stop_ids.update((token_id, token_id) for token_id in eos_ids)
        self._stop_ids.update((token_id, token_id) for token_id in params.stop_token_ids)
        strings = [text for text in params.stop if not (control_ids and text in control_ids)]
        if control_ids:
            self._stop_ids.update(
                (control_ids[text], text) for text in params.stop if text in control_ids
            )
        self._stops = [(text, text.encode()) for text in strings]
        self._keep = max((len(stop) for _, stop in self._stops), default=1) - 1
        self._tail = b""
        patterns = [stop_pattern(pattern) for pattern in params.stop_regex]
        self._patterns = [(pattern, pattern.start) for pattern in patterns]
        self._decoder = _UTF8("replace")
        self._num_new = 0

    @property
    def stop_ids(self) -> Collection[int]:
        """Tokens that end the sequence; not to be sampled below `min_new_tokens`."""
        return self._stop_ids.keys()

    def push(self, token_id: int) -> Finish | None:
        """Take the next generated token; tell whether the sequence ends with it, and why."""
        self._num_new += 1
        matched = self._match_string(token_id) if self._stops else None
        if self._patterns:
            matched_pattern = self._match_pattern(token_id)
            matched = matched_pattern if matched is None else matched
        if self._num_new >= self._min_new:
            if token_id in self._stop_ids:
                return Finish("stop", self._stop_ids[token_id])
            if matched is not None:
                return Finish("stop", matched)
        if self._num_new >= self._max_new:
            return Finish("length")
        return None

    def _match_string(self, token_id: int) -> str | None:
        """The stop string that begins first among those that this token completes."""
        new = self._token_bytes[token_id] if token_id < len(self._token_bytes) else b""
        if not new:
            return None
        old = len(self._tail)
        text = self._tail + new
        best: tuple[int, str] | None = None
        for stop, encoded in self._stops:
            # Not from the start: a match must end in the new bytes, the old ones were searched.
            at = text.find(encoded, max(0, old - len(encoded) + 1))
            if at >= 0 and (best is None or at < best[0]):
                best = (at, stop)
        self._tail = text[-self._keep :] if self._keep else b""
        return best[1] if best else None

    def _match_pattern(self, token_id: int) -> str | None:
        """The pattern of which a match ends first within this token."""
        new = self._token_bytes[token_id] if token_id < len(self._token_bytes) else b""
        text = self._decoder.decode(new)
        best: tuple[int, str] | None = None
        for index, (pattern, states) in enumerate(self._patterns):
            for end, character in enumerate(text):
                states = pattern.step(states, character)
                if pattern.found(states) and (best is None or end < best[0]):
                    best = (end, pattern.pattern)
            self._patterns[index] = (pattern, states)
        return best[1] if best else None
