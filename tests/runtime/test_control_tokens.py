"""Control tokens as characters of a grammar, on tokenizers of every family."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizer_specs import SPECS

from branchline.runtime.constrained.compiler import GrammarCompiler
from branchline.runtime.constrained.control_tokens import ControlTokens
from branchline.runtime.constrained.vocabulary import Vocabulary
from branchline.runtime.protocol import Tag, Tagged
from branchline.runtime.tokenizer import Tokenizer

TEXT = '<tool_call>\n{"name": "é", "arguments": '


@pytest.fixture(scope="module", params=[name for name in SPECS if name != "unigram"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return Tokenizer(SPECS[request.param], eos_token="</s>")


def test_marked_text_is_the_text_but_for_the_control_token(tokenizer):
    (call,) = tokenizer.encode_text("<tool_call>", markup=True)
    controls = ControlTokens(tokenizer)
    mark = controls.marked("<tool_call>")
    vocabulary = controls.vocabulary(Vocabulary(tokenizer.token_bytes))
    assert vocabulary.token_bytes[call] == mark.encode()
    assert [data for data in vocabulary.token_bytes if 0xF4 in data] == [
        chr(0x100000 + place).encode()
        for place in range(len(tokenizer.control_ids - {*tokenizer.eos_ids}))
    ]
    # Old SentencePiece tokenizers put a space after every control token.
    marked = controls.marked(TEXT).replace(f"{mark} ", mark)
    assert marked == mark + TEXT.removeprefix("<tool_call>")


@given(text=st.text(st.characters(max_codepoint=0xFFFFF, exclude_categories=["Cs"]), max_size=12))
@settings(max_examples=50, deadline=None)
def test_text_between_control_tokens_is_spelled_and_comes_back(tokenizer, text):
    (call,) = tokenizer.encode_text("<tool_call>", markup=True)
    controls = ControlTokens(tokenizer)
    mark = controls.marked("<tool_call>")
    ids = controls.encode_text(f"{mark}{text}{mark}")
    assert ids[0] == ids[-1] == call
    assert call not in ids[1:-1]


def test_a_call_as_the_tokenizer_spells_it_is_accepted(tokenizer):
    compiler = GrammarCompiler(tokenizer, tokenizer.vocab_size)
    matcher = compiler.compile(
        Tagged([Tag(TEXT, '{"type":"string"}', "}")], text="before", trigger="<tool_call>")
    ).matcher()
    ids = tokenizer.encode_text(f'I call: {TEXT}"</tool_call>"}}', markup=True)
    assert all(matcher.accept(token) for token in ids)
    assert matcher.finished
