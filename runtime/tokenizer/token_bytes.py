"""The exact bytes that each token id stands for; called once by Tokenizer.load.

Three families cover the causal language models in use: byte-level BPE (GPT-2, Llama 3, Qwen),
SentencePiece-style vocabularies where `▁` is a space and `<0x0A>` a raw byte (Llama 2, Mistral,
Gemma), and both again without byte fallback. Anything else is refused by name, because a wrong
table would let a grammar accept what the model did not write.
"""

from __future__ import annotations

import re
from typing import Any, Literal

Family = Literal["byte_level", "sentencepiece"]

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def byte_of_char() -> dict[str, int]:
    """GPT-2's map from printable stand-ins to bytes (openai/gpt-2, encoder.py)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {chr(byte): byte for byte in printable}
    others = [byte for byte in range(256) if byte not in set(printable)]
    table.update({chr(0x100 + index): byte for index, byte in enumerate(others)})
    return table


def _types(component: dict[str, Any] | None) -> set[str]:
    """Type names of a tokenizer.json component, looking into Sequence."""
    if component is None:
        return set()
    names = {str(component.get("type"))}
    for key in ("decoders", "pretokenizers", "normalizers"):
        for part in component.get(key) or []:
            names |= _types(part)
    return names


def family_of(spec: dict[str, Any]) -> Family:
    """Which family a parsed tokenizer.json belongs to; ValueError names what is not supported."""
    decoder = _types(spec.get("decoder"))
    if "ByteLevel" in decoder or "ByteLevel" in _types(spec.get("pre_tokenizer")):
        return "byte_level"
    if decoder & {"Metaspace", "ByteFallback", "Replace"}:
        return "sentencepiece"
    found = ", ".join(sorted(decoder)) or "none"
    raise ValueError(
        f"the tokenizer's decoder ({found}) is neither ByteLevel nor Metaspace/ByteFallback; "
        "only byte-level BPE and SentencePiece-style tokenizers are supported"
    )


def build_token_bytes(
    spec: dict[str, Any], vocab: dict[str, int], added: dict[int, str], special: frozenset[int]
) -> list[bytes]:
    """Bytes per id for ids 0..max; ids without a token and `special` ids get empty bytes.

    vocab: token string to id, including added tokens. added: id to content of added tokens.
    """
    family = family_of(spec)
    fallback = bool((spec.get("model") or {}).get("byte_fallback"))
    if family == "byte_level":
        bytes_of = _byte_level
    else:
        bytes_of = _with_fallback if fallback else _sentencepiece
    result = [b""] * (max(vocab.values(), default=-1) + 1)
    for token, index in vocab.items():
        if index not in special:
            result[index] = added[index].encode() if index in added else bytes_of(token)
    return result


def _translation() -> dict[int, int]:
    """`byte_of_char` for str.translate; what is no stand-in becomes what latin-1 cannot say."""
    unknown = dict.fromkeys(range(256), 0xFFFF)
    return unknown | {ord(char): byte for char, byte in byte_of_char().items()}


_BYTE_LEVEL = _translation()


def _byte_level(token: str) -> bytes:
    try:
        return token.translate(_BYTE_LEVEL).encode("latin-1")
    except UnicodeEncodeError:
        # Tokens with characters outside the map (a trainer's extras) stand for themselves.
        return token.encode()


def _with_fallback(token: str) -> bytes:
    match = _BYTE_TOKEN.fullmatch(token)
    return bytes([int(match[1], 16)]) if match else _sentencepiece(token)


def _sentencepiece(token: str) -> bytes:
    return token.replace("▁", " ").encode()
