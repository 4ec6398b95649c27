"""Speculation over APIs (`@function(num_api_spec_tokens=k)`): one call writes on past a gen's stop,
and the gens that follow take their outputs from what it wrote. Called by executor.py.

Every call of an API pays for the whole prompt, so a form of ten fields costs one prompt instead of
ten. Where the model follows the program's text, the result is that of a call per gen, but for gens
that their own `max_tokens` would have cut; where it does not, what was written ahead is dropped and
the gen is a call again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from branchline.runtime import protocol

from . import calls, ir
from .backend.base import Backend
from .calls import Generated
from .errors import GenerationError
from .meta import usage_meta
from .retry import Retry
from .sampling import SamplingOptions
from .transcript import Transcript

# How often a chat model is asked again for a turn that begins as the program's text does.
CHAT_TRIES = 3
_NOTHING = protocol.Usage(0, 0, 0)


class Speculation:
    """What the model wrote ahead in one state: `ahead`, and whether it had `ended` after that."""

    def __init__(self, num_tokens: int) -> None:
        self.num_tokens = num_tokens
        self.ahead = ""
        self.ended = False

    def follow(self, node: ir.Expr) -> None:
        """Take note of what the program does next, before it is done."""
        if isinstance(node, ir.Gen):
            return
        if isinstance(node, ir.Constant) and self.ahead.startswith(node.value):
            self.ahead = self.ahead[len(node.value) :]
        elif not isinstance(node, ir.VarScopeBegin | ir.VarScopeEnd):
            self._forget()

    async def generate(
        self,
        backend: Backend,
        transcript: Transcript,
        node: ir.Gen,
        defaults: SamplingOptions,
        retry: Retry,
    ) -> Generated:
        """The output of a gen: from what is there already, or by a call that writes on."""
        options = node.sampling.over(defaults)
        stops = (*_texts(options.stop), *node.extra_stops)
        said = transcript.text[transcript.role_start :] if transcript.role is not None else ""
        if not _plain(node, options) or not (stops or (backend.is_chat_model and said.strip())):
            self._forget()
            return await calls.generate(
                backend, list(transcript.parts), node, defaults, None, retry
            )
        usage = _NOTHING
        if not self.ahead:
            usage = await self._write_ahead(backend, transcript, said, node, defaults, retry)
        # A chat model cannot be asked to go on in the middle of its turn, so what it has got to
        # say is what there is.
        output = self._take(stops, all_there_is=self.ended or backend.is_chat_model is True)
        if output is not None:
            return Generated([output], [], usage_meta("", usage), usage)
        # Neither a stop nor an end within what was written: the gen's own limit decides.
        self._forget()
        made = await calls.generate(backend, list(transcript.parts), node, defaults, None, retry)
        both = _sum(usage, made.usage)
        return dataclasses.replace(made, usage=both, meta=made.meta | usage_meta("", both))

    async def _write_ahead(
        self,
        backend: Backend,
        transcript: Transcript,
        said: str,
        node: ir.Gen,
        defaults: SamplingOptions,
        retry: Retry,
    ) -> protocol.Usage:
        options = node.sampling.over(defaults)
        own = options.sampling_params().max_new_tokens
        wide = dataclasses.replace(
            node,
            sampling=dataclasses.replace(
                node.sampling, stop=(), max_tokens=max(own, self.num_tokens)
            ),
            extra_stops=(),
        )
        if not backend.is_chat_model:
            made = await calls.generate(
                backend, list(transcript.parts), wide, defaults, None, retry
            )
            self._keep(made, made.texts[0])
            return made.usage
        # A chat model begins its turn anew: it has to begin with what the program said in it.
        prompt = _before_turn(transcript.parts)
        begun = said.lstrip()
        usage = _NOTHING
        for _ in range(CHAT_TRIES):
            made = await calls.generate(backend, prompt, wide, defaults, None, retry)
            usage = _sum(usage, made.usage)
            written = made.texts[0].lstrip() if begun else made.texts[0]
            if written.startswith(begun):
                self._keep(made, written[len(begun) :])
                return usage
        raise GenerationError(
            f"the model does not follow the format: its turn should begin with {begun!r}, and in "
            f"{CHAT_TRIES} tries it did not; the last began with {written[: len(begun) + 20]!r}"
        )

    def _take(self, stops: Sequence[str], all_there_is: bool) -> str | None:
        """What is written up to the first stop, or all of it where no more is to come."""
        found = [at for stop in stops if (at := self.ahead.find(stop)) >= 0]
        if found:
            output, self.ahead = self.ahead[: min(found)], self.ahead[min(found) :]
            return output
        if not all_there_is:
            return None
        output, self.ahead = self.ahead, ""
        return output

    def _keep(self, made: Generated, ahead: str) -> None:
        self.ahead = ahead
        self.ended = made.meta["finish_reason"]["type"] == "stop"

    def _forget(self) -> None:
        self.ahead, self.ended = "", False


def _plain(node: ir.Gen, options: SamplingOptions) -> bool:
    """Whether an output is nothing but text up to a stop."""
    return (
        node.constraint is None
        and node.reasoning is None
        and (options.n or 1) == 1
        and not options.stop_regex
        and not options.stop_token_ids
        and options.logprob_params() is None
        and options.max_tokens != 0
    )


def _texts(stop: str | Sequence[str] | None) -> tuple[str, ...]:
    if stop is None:
        return ()
    return (stop,) if isinstance(stop, str) else tuple(stop)


def _before_turn(parts: Sequence[protocol.Part]) -> list[protocol.Part]:
    """The prompt up to the open turn's prefix, which is its last markup."""
    for index in range(len(parts) - 1, -1, -1):
        part = parts[index]
        if isinstance(part, protocol.Text) and part.markup:
            return list(parts[: index + 1])
    return list(parts)


def _sum(one: protocol.Usage, other: protocol.Usage) -> protocol.Usage:
    return protocol.Usage(
        one.prompt_tokens + other.prompt_tokens,
        one.completion_tokens + other.completion_tokens,
        one.cached_tokens + other.cached_tokens,
    )
