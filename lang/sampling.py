"""Sampling parameters: what a call and its program's run gave, checked where they are given and
merged into the wire's structs. Called by api.py, function.py and the executor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import msgspec

from branchline.runtime import protocol

from .config import global_config

_WIRE_NAMES = {"max_tokens": "max_new_tokens", "min_tokens": "min_new_tokens"}
# What a run calls what is checked under the wire's names, and what a call does.
_RUN_NAMES = {
    "top": "top_logprobs_num",
    "prompt_start": "logprob_start_len",
    "with_text": "return_text_in_logprobs",
}
_CALL_NAMES = _RUN_NAMES | {wire: public for public, wire in _WIRE_NAMES.items()}
_LOGPROB_FIELDS = {
    "return_logprob",
    "logprob_start_len",
    "top_logprobs_num",
    "return_text_in_logprobs",
}


@dataclass(frozen=True)
class SamplingOptions:
    """Parameters of one call, or of all calls of a run; None means "not given here"."""

    max_tokens: int | None = None
    min_tokens: int | None = None
    n: int | None = None
    stop: str | Sequence[str] | None = None
    stop_token_ids: Sequence[int] | None = None
    stop_regex: str | Sequence[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    ignore_eos: bool | None = None
    return_logprob: bool | None = None
    logprob_start_len: int | None = None
    top_logprobs_num: int | None = None
    return_text_in_logprobs: bool | None = None
    seed: int | None = None
    skip_special_tokens: bool | None = None
    token_healing: bool | None = None
    repetition_penalty: float | None = None
    logit_bias: Mapping[int, float] | None = None

    def checked(self, where: str, *, of_run: bool = False) -> SamplingOptions:
        """These options with lists of their own, or ValueError naming the argument at fault, as
        `gen` or (`of_run`) as `run` calls it.

        Lists are copied so that a caller's list is neither changed by us nor changes under us.
        """
        stop = _strings(self.stop)
        options = replace(
            self,
            stop=None if self.stop is None else stop,
            stop_token_ids=None if self.stop_token_ids is None else tuple(self.stop_token_ids),
            stop_regex=None if self.stop_regex is None else _strings(self.stop_regex),
            logit_bias=None if self.logit_bias is None else dict(self.logit_bias),
        )
        names = _RUN_NAMES if of_run else _CALL_NAMES
        _check(options._wire_fields(), protocol.SamplingParams, where, names)
        _check(options._logprob_fields(), protocol.LogprobParams, where, names)
        return options

    def over(self, defaults: SamplingOptions) -> SamplingOptions:
        """These options where given, `defaults` elsewhere; lists replace, they do not add up."""
        given = self._given()
        if not given:
            return defaults
        # Both were checked; `replace` would go through every field again, for every call.
        merged = object.__new__(SamplingOptions)
        merged.__dict__.update(defaults.__dict__, **given)
        return merged

    def sampling_params(
        self, extra_stops: Sequence[str] = (), skips_special: bool = True
    ) -> protocol.SamplingParams:
        """The wire's struct; `extra_stops` (of a template or a dtype) are added to the stops.
        skips_special: whether special tokens are left out where these options do not say."""
        values = self._wire_fields()
        values.setdefault("skip_special_tokens", skips_special)
        stops = list(dict.fromkeys([*values.pop("stop", []), *extra_stops]))
        return protocol.SamplingParams(stop=stops, **values)

    def logprob_params(self) -> protocol.LogprobParams | None:
        """Which log probabilities are wanted; None for none."""
        wanted = self.top_logprobs_num if self.return_logprob is None else self.return_logprob
        if not wanted:
            return None
        return protocol.LogprobParams(**self._logprob_fields())

    def _given(self) -> dict[str, Any]:
        # A frozen dataclass without slots keeps its fields, and nothing else, in its dict.
        return {name: value for name, value in self.__dict__.items() if value is not None}

    def _wire_fields(self) -> dict[str, Any]:
        given = self._given()
        values = {
            _WIRE_NAMES.get(name, name): value
            for name, value in given.items()
            if name not in _LOGPROB_FIELDS
        }
        for name in ("stop", "stop_regex", "stop_token_ids"):
            if name in values:
                values[name] = list(values[name])
        return values

    def _logprob_fields(self) -> dict[str, Any]:
        start = self.logprob_start_len
        return {
            "top": self.top_logprobs_num or 0,
            # -1 is the convention's "none of the prompt".
            "prompt_start": None if start is None or start == -1 else start,
            "with_text": bool(self.return_text_in_logprobs),
        }


NO_OPTIONS = SamplingOptions()


def wire_params(
    options: SamplingOptions, defaults: SamplingOptions, extra_stops: tuple[str, ...]
) -> tuple[protocol.SamplingParams, protocol.LogprobParams | None]:
    """What a call with these options asks for. A program's calls ask alike again and again."""
    skips_special = global_config.skip_special_tokens_in_output
    if options.logit_bias is None and defaults.logit_bias is None:
        return _known_params(options, defaults, extra_stops, skips_special)
    return _params(options, defaults, extra_stops, skips_special)  # a dict has no hash


def _params(
    options: SamplingOptions,
    defaults: SamplingOptions,
    extra_stops: tuple[str, ...],
    skips_special: bool,
) -> tuple[protocol.SamplingParams, protocol.LogprobParams | None]:
    merged = options.over(defaults)
    return merged.sampling_params(extra_stops, skips_special), merged.logprob_params()


_known_params = lru_cache(maxsize=1_024)(_params)


def checked_timeout(timeout: float | None, where: str) -> float | None:
    """A number of seconds, or None for no limit; ValueError for anything else."""
    if timeout is None or (
        isinstance(timeout, int | float) and not isinstance(timeout, bool) and 0 < timeout < 1e9
    ):
        return timeout
    raise ValueError(f"{where}: timeout={timeout!r}: expected a number of seconds above 0")


def _strings(value: str | Sequence[str] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


def _check(values: dict[str, Any], kind: type, where: str, names: Mapping[str, str]) -> None:
    """Hold values against the wire's own bounds, so that a mistake shows where it is made."""
    for name, value in values.items():
        # A program's calls give the same few numbers again and again.
        is_number = isinstance(value, int | float)
        expected = _known_fault(kind, name, value) if is_number else _fault(kind, name, value)
        if expected is not None:
            raise ValueError(f"{where}: {names.get(name, name)}={value!r}: {expected.lower()}")


def _fault(kind: type, name: str, value: object) -> str | None:
    """What would be expected instead of a value; None where it will do."""
    try:
        msgspec.convert({name: value}, kind)
    except msgspec.ValidationError as error:
        return str(error).split(" - at ")[0]
    return None


_known_fault = lru_cache(maxsize=1_024, typed=True)(_fault)
