"""The grammars of the embedded model's evaluation: what is right passes, and nothing else does."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import torch

from branchline.runtime.constrained.compiler import GrammarCompiler
from branchline.runtime.models import embedded
from branchline.runtime.models.embedded.corpus import Sample, generate
from branchline.runtime.models.embedded.corpus.schema import json_schema
from branchline.runtime.models.embedded.grammars import Masked, constraint
from branchline.runtime.tokenizer.tokenizer import Tokenizer

FOLDER = Path(embedded.__path__[0])


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.load(FOLDER)


@pytest.fixture(scope="module")
def compiler(tokenizer: Tokenizer) -> GrammarCompiler:
    return GrammarCompiler(tokenizer, tokenizer.vocab_size)


def samples(task: str) -> list[Sample]:
    return list(generate(31, 12, task)) + list(generate(31, 12, task, heldout=True))


@pytest.mark.parametrize("task", ["extraction", "tools"])
def test_every_gold_answer_is_allowed_whole(
    task: str, tokenizer: Tokenizer, compiler: GrammarCompiler
) -> None:
    for sample in samples(task):
        held_to = constraint(sample)
        assert held_to is not None
        for turn in sample.gold_turns:
            matcher = compiler.compile(held_to).matcher()
            ids = tokenizer.encode_text(sample.messages[turn].content + "<|im_end|>", markup=True)
            assert all(matcher.accept(token) for token in ids)
            assert matcher.finished


def test_the_schema_of_a_record_holds_for_its_gold_record_and_for_none_with_a_key_less() -> None:
    for sample in samples("extraction"):
        record = json.loads(sample.messages[sample.gold_turns[0]].content)
        schema = json_schema(sample.fields)
        jsonschema.validate(record, schema)
        record.popitem()
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(record, schema)


def test_masks_let_only_the_grammar_s_tokens_through(
    tokenizer: Tokenizer, compiler: GrammarCompiler
) -> None:
    held_to = constraint(next(iter(generate(31, 1, "extraction"))))
    assert held_to is not None
    masks = Masked(compiler.compile(held_to).matcher(), 3, 200)
    scores = torch.zeros(1, tokenizer.vocab_size)
    passed = masks(torch.tensor([[7, 8, 9]]), scores)[0]
    allowed = (passed == 0).nonzero().flatten().tolist()
    assert allowed
    assert all(tokenizer.token_bytes[token].startswith(b"{") for token in allowed)


def test_a_question_in_free_text_is_held_to_nothing() -> None:
    assert constraint(next(iter(generate(31, 1, "reading")))) is None
