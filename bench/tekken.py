"""A tokenizer.json from a tekken file, for bench.grammar's vocabulary of 131,072 tokens:
`python -m bench.tekken tekken_240911.json tokenizer.json`.

The file is in the package mistral-common (Apache-2.0). It holds tokens with ranks; tokenizers wants
merges, which are the last step by which the ranks build each token.
"""

from __future__ import annotations

import base64
import json
import sys
from itertools import pairwise
from pathlib import Path

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    pre_tokenizers,
)


def main() -> None:
    source, target = map(Path, sys.argv[1:])
    data = json.loads(source.read_text())
    config = data["config"]
    num_special = config["default_num_special_tokens"]
    count = config["default_vocab_size"] - num_special
    ranks = {base64.b64decode(one["token_bytes"]): one["rank"] for one in data["vocab"][:count]}
    letters = _letters()
    spelled = {token: "".join(letters[byte] for byte in token) for token in ranks}
    merges = [
        (spelled[left], spelled[right])
        for token in ranks
        if len(token) > 1
        for left, right in [_last_merge(token, ranks)]
    ]
    vocab = {spelled[token]: num_special + rank for token, rank in ranks.items()}
    names = ["<unk>", "<s>", "</s>", *(f"<special_{n}>" for n in range(3, num_special))]
    vocab |= {name: place for place, name in enumerate(names)}
    tokenizer = Tokenizer(models.BPE(vocab, merges, ignore_merges=True))
    pattern = pre_tokenizers.Split(Regex(config["pattern"]), "isolated")
    in_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pattern, in_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in names])
    tokenizer.save(str(target))


def _last_merge(token: bytes, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    """The two tokens that become this one when its bytes are merged by rank."""
    pieces = [token[place : place + 1] for place in range(len(token))]
    while len(pieces) > 2:
        pairs = [ranks.get(left + right, len(ranks)) for left, right in pairwise(pieces)]
        place = pairs.index(min(pairs))
        pieces[place : place + 2] = [pieces[place] + pieces[place + 1]]
    return pieces[0], pieces[1]


def _letters() -> list[str]:
    """How byte-level tokenizers write each byte: printable ones as themselves."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


if __name__ == "__main__":
    main()
