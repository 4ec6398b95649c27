"""Token healing: a prompt that ends inside a token goes on as if it ended before it. Used by
requests.py.

A prompt "http:" ends with the token ":", but text that goes on with "//" is one token "://": the
model, which has never seen ":" before "//", goes on badly. So the last tokens are taken back, and
the output must begin with their text; then it may begin with any token that spells it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ..errors import RequestError
from ..protocol import Choices, Constraint, Part, Regex, SamplingParams, Text
from ..tokenizer import Tokenizer

# Tokens that a longer one may begin with in the middle; more are not worth looking for.
_MAX_TOKENS: Final = 4


@dataclass(frozen=True, slots=True)
class Healed:
    """The prompt's tokens that stay, and the text of those that were taken back."""

    input_ids: list[int]
    text: str


def heal(
    prompt: list[Part], prompt_ids: list[int], sampling: SamplingParams, tokenizer: Tokenizer
) -> Healed | None:
    """The prompt to run instead; None when it does not end inside a token: it ends with generated
    tokens or markup, or no token of the vocabulary begins with its end and goes on.

    A stop may begin in the text taken back, and would end the output though the prompt has a part
    of it, so then it is not taken back; of patterns nobody knows where they begin.
    """
    last = prompt[-1] if prompt else None
    if not isinstance(last, Text) or last.markup:
        return None
    for count in range(min(_MAX_TOKENS, len(prompt_ids) - 1), 0, -1):
        taken = prompt_ids[-count:]
        if not tokenizer.control_ids.isdisjoint(taken):
            continue
        text = _text_of(tokenizer.bytes_of(taken))
        if text and last.text.endswith(text) and tokenizer.goes_on(text.encode()):
            break
    else:
        return None
    if sampling.stop_regex or any(_begins_in(text, stop) for stop in sampling.stop):
        return None
    return Healed(prompt_ids[:-count], text)


def held_to(text: str, constraint: Constraint | None) -> Constraint:
    """What an output satisfies that begins with `text` and satisfies `constraint` behind it.
    Raises RequestError."""
    match constraint:
        case None:
            return Regex(f"{re.escape(text)}(?s:.)*")
        case Regex(pattern=pattern, backend=backend):
            return Regex(f"{re.escape(text)}(?:{pattern})", backend)
        case Choices(choices=choices, backend=backend):
            return Choices([text + choice for choice in choices], backend)
    raise RequestError(
        "invalid_request",
        "token_healing goes with free text, a regex and choices; JSON and tool calls begin with "
        "tokens of their own",
        pointer="/sampling/token_healing",
    )


def _begins_in(text: str, stop: str) -> bool:
    return stop in text or any(text.endswith(stop[:count]) for count in range(1, len(stop)))


def _text_of(data: bytes) -> str:
    """Whole characters, or nothing."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return ""
