"""Raw prompts, one or many, as text or as token ids. Used by completions.py and
native_fields.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ...protocol import Part, Text, Tokens
from .errors import refuse

MAX_PROMPTS: Final = 128

# A text, several texts, token ids, or several lists of token ids.
PromptField = str | list[str | int | list[int]]


def prompts_of(
    given: str | Sequence[str | int | list[int]],
    name: str,
    *,
    markup: bool,
    most: int = MAX_PROMPTS,
) -> list[list[Part]]:
    """The prompts, at most so many. Raises ApiError with the field's `name`.

    markup: whether text that looks like a control token is one.
    """
    if isinstance(given, str):
        return [[Text(given, markup=markup)]]
    if not given:
        raise refuse(f"{name} is empty", name)
    ids = [item for item in given if isinstance(item, int)]
    if len(ids) == len(given):
        return [[Tokens(_checked(ids, name))]]
    texts = [item for item in given if isinstance(item, str)]
    lists = [item for item in given if isinstance(item, list)]
    if len(given) not in (len(texts), len(lists)):
        raise refuse(f"{name} mixes texts, token ids and lists; give one kind", name)
    if len(given) > most:
        raise refuse(f"{name} holds {len(given)} prompts; at most {most} are allowed", name)
    if texts:
        return [[Text(text, markup=markup)] for text in texts]
    return [[Tokens(_checked(item, name))] for item in lists]


def is_batch(given: PromptField | None) -> bool:
    """Whether the field holds several prompts, if only one in a list."""
    return isinstance(given, list) and bool(given) and not isinstance(given[0], int)


def _checked(ids: list[int], name: str) -> list[int]:
    if ids and min(ids) < 0:
        raise refuse(f"token id {min(ids)} is negative", name)
    return ids
