"""Patterns, choices and tokens on which grammar engines are known to fail, through whole compiled
grammars. The first cases are in test_nasty.py and test_regex.py."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from branchline.runtime.constrained.byte_dfa import byte_dfa
from branchline.runtime.constrained.compiler import GrammarCompiler, build_language
from branchline.runtime.constrained.limits import GrammarLimits
from branchline.runtime.constrained.native_masks import NativeMasks, TokenColumns
from branchline.runtime.constrained.vocabulary import Vocabulary
from branchline.runtime.errors import RequestError
from branchline.runtime.protocol import Choices, Ebnf, JsonSchema, Regex
from branchline.runtime.tokenizer import Tokenizer

PATTERNS = {
    "the longer word": ("yes|yesterday", ["yes", "yesterday"], ["", "yest", "yesyes"]),
    "words that begin each other": ("(a|ab|abc)", ["a", "ab", "abc"], ["", "b", "abcc"]),
    "behind an end": (r"1(\.2)?", ["1", "1.2"], ["1.", ".2"]),
    "numbers": (
        r"[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?",
        ["-3.14", ".5", "12", "+1e-7"],
        ["1.", "-", "1e", ""],
    ),
    "nothing again and again": ("()*", [""], ["a"]),
    "perhaps nothing": ("(a*)*", ["", "aaa"], ["b"]),
    "letters of the world": (r"\w+", ["Zoe"], ["Zoë", "٣"]),
    "not a letter": ("[^a]", ["é", "😀", "\n", "b"], ["a", "éé"]),
    "a NUL": (r"[\x00-\x02]b", ["\x00b", "\x02b"], ["b", "\x03b"]),
    "any case": ("(?i)straße", ["STRAßE", "straße"], ["strase"]),
    "more repetitions than xgrammar takes": (
        "[a-z]{1,100000}",
        ["a", "z" * 300],
        ["", "A", "aA"],
    ),
    "more states than fit": ("[ab]*a[ab]{20}", ["a" + "b" * 20, "ba" + "a" * 20], ["b" * 21, "a"]),
}


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_takes_exactly_its_texts(name, compiler, accepts):
    pattern, taken, refused = PATTERNS[name]
    grammar = compiler.compile(Regex(pattern))
    assert [text for text in taken if not accepts(grammar, text)] == []
    assert [text for text in refused if accepts(grammar, text)] == []


def test_thousands_of_choices_are_one_constraint(compiler, accepts):
    choices = [f"choice {number}" for number in range(4_096)]
    grammar = compiler.compile(Choices(choices))
    assert accepts(grammar, "choice 4095")
    assert not accepts(grammar, "choice 4096")


CONTROL_TEXTS = ["<|im_end|>", "<|im_start|>", "</s>", "[INST]", "<tool_call>"]


@pytest.mark.parametrize(
    "constraint",
    [
        Choices(CONTROL_TEXTS),
        JsonSchema(json.dumps({"enum": CONTROL_TEXTS})),
        Regex(r"<\|im_end\|>|<tool_call>"),
        Ebnf('root ::= "<|im_end|>" | "<tool_call>"'),
    ],
    ids=lambda constraint: type(constraint).__name__,
)
def test_text_that_reads_like_a_control_token_is_spelled_with_others(
    constraint, compiler, tokenizer
):
    grammar = compiler.compile(constraint)
    rng = np.random.default_rng(3)
    for _ in range(8):
        matcher = grammar.matcher()
        written = []
        while not matcher.finished:
            row = np.zeros(-(-(tokenizer.vocab_size + 40) // 32), np.int32)
            matcher.fill_mask(row)
            ids = np.flatnonzero(np.unpackbits(row.view(np.uint8), bitorder="little"))
            forced = matcher.forced().token_ids
            taken = forced or [int(rng.choice(ids))]
            assert all(matcher.accept(token) for token in taken)
            written += taken
        text = [token for token in written if token not in tokenizer.eos_ids]
        assert not tokenizer.control_ids & set(text)
        assert tokenizer.bytes_of(text).decode().strip('"') in CONTROL_TEXTS


def test_a_space_before_the_first_word_is_no_part_of_it(compiler, tokenizer, allowed):
    spaced = {id for id, data in enumerate(tokenizer.token_bytes) if data.startswith(b" b")}
    assert spaced
    assert not spaced & allowed(compiler.compile(Choices(["brown", "blue"])).matcher())
    assert spaced & allowed(compiler.compile(Choices([" brown", "blue"])).matcher())


def test_either_of_two_tokens_of_equal_bytes_leads_to_the_same_place():
    vocabulary = Vocabulary([b"a", b"b", b"a", b"ac", b"c"])
    dfa = byte_dfa(build_language(Choices(["ab", "ac"]), GrammarLimits()))
    masks = NativeMasks(dfa, TokenColumns(vocabulary), (), vocabulary)
    rows = np.zeros((2, 1), np.int32)
    for row, token in enumerate((0, 2)):
        handle = masks.handle()
        assert handle.accept_token(token)
        handle.fill_next_token_bitmask(rows, row)
    assert rows[0] == rows[1] == 0b10010


@pytest.fixture(scope="module")
def normalising() -> Tokenizer:
    """A tokenizer that composes characters before it splits: "e" and an accent become "é"."""
    model = tokenizers.Tokenizer(models.BPE())
    model.normalizer = normalizers.NFC()
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    model.train_from_iterator(["café é è"] * 8, trainer)
    return Tokenizer(json.loads(model.to_str()), eos_ids=(0,))


@pytest.mark.parametrize("choice", ["caf\u00e9", "cafe\u0301", "e\u0301 tail"])
def test_choices_that_a_tokenizer_makes_equal_stay_what_they_are(choice, normalising):
    compiler = GrammarCompiler(normalising, normalising.vocab_size)
    matcher = compiler.compile(Choices([choice])).matcher()
    written: list[int] = []
    while not matcher.finished:
        row = np.zeros(-(-normalising.vocab_size // 32), np.int32)
        matcher.fill_mask(row)
        ids = np.flatnonzero(np.unpackbits(row.view(np.uint8), bitorder="little"))
        for token in matcher.forced().token_ids or [int(ids[0])]:
            assert matcher.accept(token)
            written.append(token)
    assert normalising.bytes_of(written).decode() == choice


def test_tokens_that_span_several_parts_of_a_record_are_allowed_where_they_fit(
    compiler, tokenizer, allowed
):
    spanning = {data: id for id, data in enumerate(tokenizer.token_bytes) if data == b'":"'}
    assert spanning
    item = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    grammar = compiler.compile(JsonSchema(json.dumps({"type": "array", "items": item})))
    matcher = grammar.matcher()
    assert all(matcher.accept(token) for token in tokenizer.encode_text('[{"a'))
    assert spanning[b'":"'] in allowed(matcher)
    assert matcher.accept(spanning[b'":"'])
    within = tokenizer.encode_text("x")
    assert all(matcher.accept(token) for token in within)
    behind = {
        id
        for id, data in enumerate(tokenizer.token_bytes)
        if data.startswith(b'"}') and id not in tokenizer.control_ids
    }
    fits = {id for id in behind if b'"},{"a":"'.startswith(tokenizer.token_bytes[id])}
    assert len(fits) >= 2
    # `"` ends the text, and what goes on behind it is the record's or the list's.
    assert fits <= allowed(matcher)
    ends = {id for id in behind if b'"}]'.startswith(tokenizer.token_bytes[id])}
    assert behind & allowed(matcher) == fits | ends


@pytest.mark.parametrize("pattern", ["", "(|)", "(?:)"])
def test_an_empty_pattern_takes_nothing_but_the_end(pattern, compiler, tokenizer, allowed):
    matcher = compiler.compile(Regex(pattern)).matcher()
    assert allowed(matcher) == set(tokenizer.eos_ids)


def test_thousands_of_alternatives_are_one_pattern_and_twenty_thousand_too_many(compiler, accepts):
    grammar = compiler.compile(Regex("|".join(f"w{number}" for number in range(5_000))))
    assert accepts(grammar, "w4999")
    assert accepts(grammar, "w1")
    assert not accepts(grammar, "w5000")
    with pytest.raises(RequestError, match="over 60000 parts"):
        compiler.compile(Regex("|".join(f"w{number}" for number in range(20_000))))


def test_a_schema_of_a_megabyte_is_refused_by_its_size(compiler):
    source = json.dumps({"enum": [f"value {number}" for number in range(70_000)]})
    assert len(source) > 1_000_000
    with pytest.raises(RequestError, match="at most 262144"):
        compiler.compile(JsonSchema(source))
