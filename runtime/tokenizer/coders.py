"""The library's tokenizers for one tokenizer.json: as it is, without its control tokens, without
the space before a text; built by tokenizer.py."""

from __future__ import annotations

import json
from typing import Any, Final

import tokenizers

_SPACING: Final = ("pre_tokenizer", "normalizer")


class TokenizerError(ValueError):
    """The model directory has no tokenizer that can be used; the message says why."""


def build_coder(spec: dict[str, Any], *, controls: bool = True) -> tokenizers.Tokenizer:
    """The library's tokenizer of a parsed tokenizer.json. controls: whether it knows the control
    tokens. Raises TokenizerError."""
    try:
        tokenizer = tokenizers.Tokenizer.from_str(json.dumps(spec))
    except Exception as error:  # the library raises bare Exception
        raise TokenizerError(f"tokenizer.json cannot be read: {error}") from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = not controls
    return tokenizer


def without_controls(spec: dict[str, Any]) -> dict[str, Any]:
    """The same tokenizer with every control token special, so that it can be told to ignore
    them all."""
    tokens = [
        {**token, "special": True} if token["content"].strip() else token
        for token in spec.get("added_tokens") or []
    ]
    return {**spec, "added_tokens": tokens}


def without_prefixes(spec: dict[str, Any]) -> dict[str, Any]:
    """The same tokenizer, putting no space before a text."""
    return {**spec, **{key: _without_prefix(spec[key]) for key in _SPACING if key in spec}}


def _without_prefix(component: dict[str, Any] | None) -> dict[str, Any] | None:
    if component is None:
        return None
    kind = component["type"]
    if kind == "Sequence":
        key = "pretokenizers" if "pretokenizers" in component else "normalizers"
        inner = [_without_prefix(part) for part in component[key]]
        return {**component, key: [part for part in inner if part is not None]}
    if kind == "Prepend":
        return None
    if kind == "Metaspace":
        return {**component, "prepend_scheme": "never"}
    if kind == "ByteLevel":
        return {**component, "add_prefix_space": False}
    return component
