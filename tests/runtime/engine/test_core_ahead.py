"""Forced and guessed tokens with the embedded model: the same text with and without them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

from branchline.runtime.constrained.compiler import GrammarCompiler
from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.core import EngineCore
from branchline.runtime.engine.runner import ModelRunner
from branchline.runtime.engine_protocol import Submit
from branchline.runtime.models.resolve import resolve_model
from branchline.runtime.protocol import (
    Choices,
    Constraint,
    JsonSchema,
    LogprobParams,
    Regex,
    SamplingParams,
    Text,
    TokenLogprob,
)
from branchline.runtime.tokenizer import Tokenizer

PROMPTS = [
    "Order ORD-4821 of Ada Lovelace: 12 boxes of paper, 3 boxes of ink. Total 19.99 EUR.",
    "one two three four five; one two three four five; one two three",
    "Invoice INV-77 from Größe & Söhne for Marta Ilves, due 2024-03-01, total 80.00 EUR.",
    "Please ship 5 lamps to Marta Ilves by express. Order ORD-4821, 5 lamps, express.",
]


def schema(properties: dict[str, object]) -> JsonSchema:
    return JsonSchema(
        json.dumps({"type": "object", "properties": properties, "required": list(properties)})
    )


CONSTRAINTS: list[Constraint] = [
    schema(
        {
            "customer": {"type": "string", "maxLength": 20},
            "quantity": {"type": "integer", "minimum": 0, "maximum": 99},
            "shipping": {"enum": ["standard", "express", "pickup"]},
            "total": {"type": "string", "pattern": "^[0-9]{1,4}\\.[0-9]{2}$"},
        }
    ),
    schema(
        {
            "größe": {"enum": ["klein", "groß", "größer"]},
            "名前": {"type": "string", "maxLength": 6},
            "😀😁": {"type": "boolean"},
        }
    ),
    Choices(["the order is urgent", "the order is usual", "there is no order"]),
    Regex("(INV|ORD)-[0-9]{2,5}: (paid|open), due [0-9]{4}-[0-9]{2}-[0-9]{2}"),
]


@dataclass
class Answer:
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    finish: str | None = None
    num_forced: int = 0
    drafts: tuple[int, int] | None = None


class Bench:
    """One loaded model, run by engines of different settings."""

    def __init__(self) -> None:
        settings = EngineConfig(dtype="float32", kv_slots=4_096)
        self.runner = ModelRunner(settings)
        self.tokenizer = Tokenizer.load(resolve_model("embedded"))
        self.compiler = GrammarCompiler(self.tokenizer, self.runner.vocab_size)

    def answers(self, submits: list[Submit], **settings: object) -> list[Answer]:
        core = EngineCore(
            EngineConfig(**settings), self.runner, self.tokenizer, self.compiler, strict=True
        )
        for submit in submits:
            core.submit(submit)
        answers = {submit.sid: Answer() for submit in submits}
        while core.has_work:
            events = core.step()
            assert not events.failed
            for progress in events.progress:
                answer = answers[progress.sid]
                answer.token_ids += progress.token_ids
                answer.logprobs += progress.logprobs or []
                answer.finish, answer.drafts = progress.finish, progress.drafts
                answer.num_forced += progress.num_forced
            core.check()
        return list(answers.values())

    def submits(
        self, constraints: list[Constraint | None], logprobs: bool = False, **sampling: object
    ) -> list[Submit]:
        params = SamplingParams(**{"max_new_tokens": 80, "temperature": 0.0, **sampling})
        return [
            Submit(
                number,
                self.tokenizer.encode([Text(prompt)]),
                params,
                constraint,
                LogprobParams(top=1) if logprobs else None,
            )
            for number, (prompt, constraint) in enumerate(
                (prompt, constraint) for constraint in constraints for prompt in PROMPTS
            )
        ]

    def text(self, answer: Answer) -> str:
        return self.tokenizer.decode(answer.token_ids)

    def is_canonical(self, answer: Answer) -> bool:
        return self.tokenizer.encode_text(self.text(answer)) == answer.token_ids


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench()


def test_outputs_with_forced_tokens_are_spelled_as_the_tokenizer_does_more_often(
    bench: Bench,
) -> None:
    submits = bench.submits(list(CONSTRAINTS))
    plain = bench.answers(submits, jump_forward=False, speculation="off")
    jumped = bench.answers(submits, speculation="off")
    # Where the model itself splits a text otherwise than the tokenizer, it may go on otherwise.
    for before, after in zip(plain, jumped, strict=True):
        if bench.is_canonical(before):
            assert after.token_ids == before.token_ids
    assert sum(map(bench.is_canonical, jumped)) > sum(map(bench.is_canonical, plain))
    num_tokens = sum(len(answer.token_ids) for answer in jumped)
    assert sum(answer.num_forced for answer in jumped) > 0.3 * num_tokens
    assert not any(answer.num_forced for answer in plain)


def test_outputs_with_forced_tokens_are_complete_and_valid(bench: Bench) -> None:
    for budget in (24, 40, 80):
        submits = bench.submits(
            list(CONSTRAINTS[:1]), max_new_tokens=budget, temperature=1.2, seed=budget
        )
        for answer in bench.answers(submits):
            value = json.loads(bench.text(answer))
            assert list(value) == ["customer", "quantity", "shipping", "total"]
            assert len(answer.token_ids) <= budget


@pytest.mark.parametrize(
    "sampling",
    [
        {"ignore_eos": True},
        {"temperature": 0.9, "seed": 4, "top_p": 0.95},
        {"repetition_penalty": 1.1, "frequency_penalty": 0.2, "temperature": 0.7, "seed": 9},
        {"stop": ["three", "lamps"], "min_new_tokens": 3},
    ],
    ids=["greedy", "seeded", "with penalties", "with stop strings"],
)
def test_guessing_leaves_every_token(bench: Bench, sampling: dict[str, object]) -> None:
    submits = bench.submits([None, CONSTRAINTS[0]], logprobs=True, **sampling)
    plain = bench.answers(submits, speculation="off")
    guessed = bench.answers(submits, speculation="always")
    for before, after in zip(plain, guessed, strict=True):
        assert after.token_ids == before.token_ids
        assert after.finish == before.finish
        expected = [entry.logprob for entry in before.logprobs]
        assert [entry.logprob for entry in after.logprobs] == pytest.approx(expected, abs=1e-3)
    assert sum(answer.drafts[1] for answer in guessed) > 0
