"""A model that spells as the tokenizer does writes the same tokens with forced ones and without;
one that ends strings its own way gets the tokenizer's tokens where text is forced."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
from text_runner import TextRunner

from branchline.runtime.constrained.compiler import GrammarCompiler
from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.core import EngineCore
from branchline.runtime.engine_protocol import Submit
from branchline.runtime.models.resolve import resolve_model
from branchline.runtime.protocol import (
    Choices,
    Constraint,
    JsonSchema,
    LogprobParams,
    Regex,
    SamplingParams,
    TokenLogprob,
)
from branchline.runtime.tokenizer import Tokenizer


def record(**values: object) -> tuple[Constraint, str]:
    """A schema that a value satisfies, and the value's text."""
    kinds: dict[type, object] = {
        str: {"type": "string"},
        int: {"type": "integer"},
        bool: {"type": "boolean"},
    }
    properties = {name: kinds[type(value)] for name, value in values.items()}
    schema = {"type": "object", "properties": properties, "required": list(values)}
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    return JsonSchema(json.dumps(schema)), text


CASES = [
    record(customer="Ada Lovelace", quantity=12, is_urgent=True, note="ink, paper"),
    record(**{"größe": "klein", "名前": 7, "é": "è", "😀😁": False}),
    record(**{'a"b\\': "x", "line\n": "y\tz", "ключ": "значение"}),
    (Choices(["the order is urgent", "the order is usual"]), "the order is usual"),
    (Choices(["霍格沃茨", "霍比特人"]), "霍比特人"),
    (Regex("(INV|ORD)-[0-9]{3,5}: (paid|open) on [0-9]{4}"), "ORD-4821: paid on 2024"),
]


@dataclass
class Answer:
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    finish: str | None = None
    num_forced: int = 0


class Writer:
    """Engines around one tokenizer, whose model writes the texts of CASES."""

    def __init__(self) -> None:
        self.tokenizer = Tokenizer.load(resolve_model("embedded"))
        self.compiler = GrammarCompiler(self.tokenizer, self.tokenizer.vocab_size)
        self.num_calls = 0

    def answers(
        self,
        *,
        lone_quotes: bool = False,
        logprobs: bool = False,
        retract: bool = False,
        budgets: list[int] | None = None,
        **settings: object,
    ) -> list[Answer]:
        prompts = [(100 + number, 200, 300 + number, 400) for number in range(len(CASES))]
        texts = {prompt: text for prompt, (_, text) in zip(prompts, CASES, strict=True)}
        runner = TextRunner(self.tokenizer, texts, lone_quotes=lone_quotes)
        config = EngineConfig(speculation="off", **settings)
        core = EngineCore(config, runner, self.tokenizer, self.compiler, strict=True)
        for sid, (constraint, _) in enumerate(CASES):
            budget = 120 if budgets is None else budgets[sid]
            params = SamplingParams(max_new_tokens=budget, temperature=0.0)
            wanted = LogprobParams() if logprobs else None
            core.submit(Submit(sid, list(prompts[sid]), params, constraint, wanted))
        answers = [Answer() for _ in CASES]
        while core.has_work:
            events = core.step()
            core.check()
            if retract and runner.num_calls % 2 and core.scheduler.running:
                core.scheduler._retract(core.scheduler.running[0])
            assert not events.failed, events.failed
            for progress in events.progress:
                answer = answers[progress.sid]
                answer.token_ids += progress.token_ids
                answer.logprobs += progress.logprobs or []
                answer.num_forced += progress.num_forced
                answer.finish = progress.finish
        self.num_calls = runner.num_calls
        self.stats = core.stats()
        return answers

    def spelled(self) -> list[list[int]]:
        return [self.tokenizer.encode_text(text) for _, text in CASES]

    def text(self, answer: Answer) -> str:
        return self.tokenizer.decode(answer.token_ids)


@pytest.fixture(scope="module")
def writer() -> Writer:
    return Writer()


def without_end(answer: Answer, writer: Writer) -> list[int]:
    ids = answer.token_ids
    return ids[:-1] if ids[-1] in writer.tokenizer.eos_ids else ids


def test_the_same_tokens_come_with_fewer_steps(writer: Writer) -> None:
    plain = writer.answers(jump_forward=False)
    num_plain = writer.num_calls
    jumped = writer.answers()
    assert [without_end(answer, writer) for answer in plain] == writer.spelled()
    assert [answer.token_ids for answer in jumped] == [answer.token_ids for answer in plain]
    assert [answer.finish for answer in jumped] == [answer.finish for answer in plain]
    assert all(answer.num_forced for answer in jumped[:3])
    assert writer.num_calls < num_plain


def test_a_quote_by_itself_is_spelled_together_with_what_is_forced_behind_it(
    writer: Writer,
) -> None:
    plain = writer.answers(jump_forward=False, lone_quotes=True)
    jumped = writer.answers(lone_quotes=True)
    assert [writer.text(answer) for answer in jumped] == [text for _, text in CASES]
    assert [writer.text(answer) for answer in plain] == [text for _, text in CASES]
    assert [without_end(answer, writer) for answer in plain] != writer.spelled()
    assert [without_end(answer, writer) for answer in jumped] == writer.spelled()


@pytest.mark.parametrize("lone_quotes", [False, True])
def test_each_token_has_its_log_probability_and_forced_ones_a_mark(
    writer: Writer, lone_quotes: bool
) -> None:
    answers = writer.answers(logprobs=True, lone_quotes=lone_quotes)
    assert [without_end(answer, writer) for answer in answers] == writer.spelled()
    for answer in answers:
        assert [entry.token_id for entry in answer.logprobs] == answer.token_ids
        assert sum(entry.forced for entry in answer.logprobs) == answer.num_forced


def test_a_budget_of_just_the_tokens_is_kept(writer: Writer) -> None:
    # A grammar may count on more tokens than are needed in the end.
    least = [writer.compiler.compile(constraint).min_tokens for constraint, _ in CASES]
    budgets = [max(len(ids), num) for ids, num in zip(writer.spelled(), least, strict=True)]
    answers = writer.answers(budgets=budgets)
    assert [without_end(answer, writer) for answer in answers] == writer.spelled()


def test_retracted_sequences_go_on_in_the_same_tokens(writer: Writer) -> None:
    answers = writer.answers(retract=True)
    assert writer.stats["retractions"] > 5
    assert [without_end(answer, writer) for answer in answers] == writer.spelled()
