"""The tokenizer of the embedded model: how text is cut, trained on the corpus, and saved.

Copying has to be an identity, so that `Kovalenko`, `INV-2093` and `149.90` are the same tokens in
prose and between JSON quotes: only lower-case words take their leading space, digits go in pairs
from the left, JSON punctuation forms runs and every other mark stands alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from .corpus import CHAT_TEMPLATE

VOCABULARY_SIZE = 4096
PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CALL_TOKENS = ("<tool_call>", "</tool_call>")
MAX_LENGTH = 4096
PIECES = (
    r" \p{Ll}+(?![\p{L}\p{N}@_]|[.\-/'][\p{L}\p{N}])"  # a plain lower-case word with its space
    r"|\p{Lu}\p{Ll}+|\p{Lu}+|\p{Ll}+|[\p{L}\p{M}]"
    r"|\p{N}{1,2}"
    r'|[{}\[\]",:]+'  # runs of JSON punctuation
    r"|\n+| +|\s"
    r"|[^\s\p{L}\p{M}\p{N}]"
)


def train_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """Byte-level BPE over the pieces; every text round-trips."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE - len(CALL_TOKENS),
        special_tokens=[PAD, START, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in CALL_TOKENS])
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write tokenizer.json and tokenizer_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": None,
        "eos_token": END,
        "pad_token": PAD,
        "unk_token": None,
        "additional_special_tokens": [START],
        "clean_up_tokenization_spaces": False,
        "model_max_length": MAX_LENGTH,
        "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(
        json.dumps(config, ensure_ascii=False, indent=2) + "\n"
    )
