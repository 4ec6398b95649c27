"""Choosing over a completion API that tells no log probabilities of a prompt: token by token, the
model has only those that some choice goes on with (`logit_bias`). Called by openai.py."""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from branchline.runtime import protocol

from ..errors import InternalError, InvalidRequest

# As much as the API takes, and enough to leave the model no other token.
_BIAS: Final = 100.0
_MAX_BIASED: Final = 300
# Asks for one token behind token ids, biased to some: what it writes.
AskOne = Callable[[list[int], dict[int, float]], Awaitable[str]]


def encoding_of(model: str, backend: str) -> Any:
    """The model's tokenizer, from OpenAI's package for its own models. Raises InvalidRequest."""
    told = (
        f"{backend}: the API tells no log probabilities of a prompt, and to choose by logit_bias "
    )
    try:
        package = importlib.import_module("tiktoken")
    except ModuleNotFoundError:
        raise InvalidRequest(f"{told}takes the package tiktoken: pip install tiktoken") from None
    try:
        return package.encoding_for_model(model)
    except KeyError:
        raise InvalidRequest(
            f"{told}takes the model's tokenizer, which is not public; generate the choice instead"
        ) from None


async def choose_by_bias(
    ask: AskOne, encoding: Any, prompt: str, choices: Sequence[str]
) -> list[protocol.ChoiceScore]:
    """One request for each place where the choices part. A token that the model took counts 0.0,
    one that it did not -1.0; only the choice that it took to its end has nothing but the first."""
    paths = [_ids(encoding, choice) for choice in choices]
    behind = _ids(encoding, prompt)
    taken: list[int] = []
    left = list(range(len(choices)))
    while len({tuple(paths[i]) for i in left}) > 1:
        place = len(taken)
        # What ends here goes on with the end of the text.
        following = {i: [*paths[i], encoding.eot_token][place] for i in left}
        token = await _one_of(ask, encoding, [*behind, *taken], sorted({*following.values()}))
        left = [i for i in left if following[i] == token]
        taken.append(token)
    return [_scored(encoding, path, taken, i in left) for i, path in enumerate(paths)]


async def _one_of(ask: AskOne, encoding: Any, prompt: list[int], tokens: list[int]) -> int:
    if len(tokens) == 1:
        return tokens[0]
    if len(tokens) > _MAX_BIASED:
        raise InvalidRequest(
            f"the choices go on with {len(tokens)} different tokens, and the API takes a bias for "
            f"{_MAX_BIASED}; give fewer choices",
            pointer="choices",
        )
    written = await ask(prompt, dict.fromkeys(tokens, _BIAS))
    for token in tokens:
        if written == ("" if token == encoding.eot_token else encoding.decode([token])):
            return token
    raise InternalError(f"the API wrote {written!r}, which is none of the tokens that it was given")


def _scored(
    encoding: Any, path: list[int], taken: list[int], is_left: bool
) -> protocol.ChoiceScore:
    num_taken = len(path)
    if not is_left:
        same = [one == other for one, other in zip(path, taken, strict=False)]
        # The end of a choice that went on counts as its last token.
        num_taken = min([*same, False].index(False), len(path) - 1)
    values = [0.0 if place < num_taken else -1.0 for place in range(len(path))]
    tokens = [
        protocol.TokenLogprob(value, token, encoding.decode([token]))
        for value, token in zip(values, path, strict=True)
    ]
    return protocol.ChoiceScore(token_ids=path, logprobs=tokens)


def _ids(encoding: Any, text: str) -> list[int]:
    return list(encoding.encode(text, disallowed_special=()))
