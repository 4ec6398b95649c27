"""Which tokens a tokenizer.json has and under which ids, without the library; for tokenizer.py.

The library needs a second and 36 MB for 150,000 tokens that are only to be listed. It numbers added
tokens by itself, though, whatever the file says: where that could differ, it is to be asked.
"""

from __future__ import annotations

from typing import Any

# Token string to id with added tokens, and of these by id the content and whether it is special.
TokenIds = tuple[dict[str, int], dict[int, tuple[str, bool]]]


def token_ids(spec: dict[str, Any]) -> TokenIds | None:
    """The tokens of a parsed tokenizer.json; None where the library has to say."""
    model = spec.get("model")
    if not isinstance(model, dict) or not isinstance(model.get("vocab"), dict):
        return None
    vocab: dict[str, int] = model["vocab"]
    # Whole numbers from 0 on, each once.
    if sorted(map(_number, vocab.values())) != list(range(len(vocab))):
        return None
    added: dict[int, tuple[str, bool]] = {}
    numbered = dict(vocab)
    for token in spec.get("added_tokens") or []:
        content, index, special = (token.get(key) for key in ("content", "id", "special"))
        if not isinstance(content, str) or not content or type(special) is not bool:
            return None
        # What the library would say: the model's id, or the next one.
        if (
            type(index) is not int
            or index != numbered.get(content, len(numbered))
            or index in added
        ):
            return None
        numbered[content] = index
        added[index] = content, special
    return numbered, added


def _number(value: object) -> int:
    return value if type(value) is int else -1
