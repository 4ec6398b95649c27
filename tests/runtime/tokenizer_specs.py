"""Small tokenizers of every family, trained on the spot; used by the tests beside this file."""

from __future__ import annotations

import json

import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, trainers

CORPUS = [
    "hello world, the quick brown fox jumps over the lazy dog",
    "user assistant system end start tool call im_end im_start",
    "é è ü ß 霍格沃茨 👩‍👩‍👧 naïve café",
    "1234567890 \n\n\t {}[]\"'<>|/",
] * 10
CONTROLS = ["<|im_start|>", "<|im_end|>"]


def byte_level() -> dict:
    model = tokenizers.Tokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=["<s>", "</s>", *CONTROLS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    model.train_from_iterator(CORPUS, trainer)
    model.add_tokens([AddedToken("<tool_call>", special=False, normalized=False)])
    return json.loads(model.to_str())


def _with_bytes(trained: tokenizers.Tokenizer) -> tuple[dict[str, int], list]:
    spec = json.loads(trained.to_str())["model"]
    vocab = dict(spec["vocab"])
    for byte in range(256):
        vocab.setdefault(f"<0x{byte:02X}>", len(vocab))
    return vocab, [tuple(merge) for merge in spec["merges"]]


def byte_fallback(legacy: bool = False) -> dict:
    """As Llama 2 and Mistral: `▁` for spaces, `<0x..>` for what the vocabulary lacks."""
    trained = tokenizers.Tokenizer(models.BPE(unk_token="<unk>"))
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<unk>", "<s>", "</s>", *CONTROLS], show_progress=False
    )
    trained.train_from_iterator([text for text in CORPUS if text.isascii()], trainer)
    vocab, merges = _with_bytes(trained)
    model = tokenizers.Tokenizer(
        models.BPE(vocab, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    if legacy:
        model.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
    else:
        model.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    model.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    model.add_special_tokens(["<unk>", "<s>", "</s>", *CONTROLS])
    model.add_tokens([AddedToken("<tool_call>", special=False, normalized=False)])
    return json.loads(model.to_str())


def unigram() -> dict:
    """Unigram with the control tokens' texts as pieces of the vocabulary itself."""
    trained = tokenizers.Tokenizer(models.Unigram())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    trainer = trainers.UnigramTrainer(
        vocab_size=200,
        special_tokens=["<unk>", "<s>", "</s>", *CONTROLS],
        unk_token="<unk>",
        show_progress=False,
    )
    trained.train_from_iterator([*CORPUS, "".join(CONTROLS) * 5], trainer)
    spec = json.loads(trained.to_str())
    known = {piece for piece, _ in spec["model"]["vocab"]}
    spec["model"]["vocab"] += [
        [f"<0x{byte:02X}>", -20.0] for byte in range(256) if f"<0x{byte:02X}>" not in known
    ]
    spec["model"]["byte_fallback"] = True
    model = tokenizers.Tokenizer.from_str(json.dumps(spec))
    model.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return json.loads(model.to_str())


def byte_level_split() -> dict:
    """As Llama 3 and Qwen 2: words by a pattern of their own, composed characters, and a space that
    the tokenizer does not put in front."""
    model = tokenizers.Tokenizer.from_str(json.dumps(byte_level()))
    words = r"(?i:'s|'t|'re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s+"
    model.normalizer = normalizers.NFC()
    model.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(words), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return json.loads(model.to_str())


def byte_level_spaced() -> dict:
    """As RoBERTa and BART: byte level, with a space put in front of every text."""
    model = tokenizers.Tokenizer.from_str(json.dumps(byte_level()))
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    return json.loads(model.to_str())


SPECS = {
    "byte level": byte_level(),
    "byte level, split": byte_level_split(),
    "byte level, spaced": byte_level_spaced(),
    "byte fallback": byte_fallback(),
    "byte fallback, legacy": byte_fallback(legacy=True),
    "unigram": unigram(),
}
