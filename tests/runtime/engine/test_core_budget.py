"""What a model wants to write is longer than its budget: the output is whole all the same, and a
budget that holds no output is refused with the number that would."""

from __future__ import annotations

import json

import jsonschema
import pytest
from text_runner import TextRunner

from branchline.runtime.constrained.compiler import GrammarCompiler
from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.core import EngineCore
from branchline.runtime.engine_protocol import Failed, Progress, Submit
from branchline.runtime.models.resolve import resolve_model
from branchline.runtime.protocol import Constraint, JsonSchema, SamplingParams, Tag, Tagged
from branchline.runtime.tokenizer import Tokenizer

ITEM = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "price": {"type": "number"}},
    "required": ["name", "price"],
}
SCHEMA = {
    "type": "object",
    "properties": {
        "note": {"type": "string", "minLength": 5},
        "items": {"type": "array", "items": ITEM, "minItems": 1},
        "is_paid": {"type": "boolean"},
    },
    "required": ["note", "items", "is_paid"],
}
WANTED = {
    "note": "to be delivered behind the green gate, please, and not before noon; " * 3,
    "items": [{"name": f"sheet of paper {number}", "price": number + 0.25} for number in range(9)],
    "is_paid": True,
}
PROMPT = (100, 200, 300)


class Desk:
    """An engine whose model writes WANTED."""

    def __init__(self) -> None:
        self.tokenizer = Tokenizer.load(resolve_model("embedded"))
        self.compiler = GrammarCompiler(self.tokenizer, self.tokenizer.vocab_size)
        self.constraint = JsonSchema(json.dumps(SCHEMA))
        self.least = self.compiler.compile(self.constraint).min_tokens

    def ask(
        self, budget: int, constraint: Constraint | None = None, **settings: object
    ) -> tuple[list[Progress], list[Failed]]:
        text = json.dumps(WANTED, separators=(",", ":"))
        runner = TextRunner(self.tokenizer, {PROMPT: text})
        config = EngineConfig(**settings)
        core = EngineCore(config, runner, self.tokenizer, self.compiler, strict=True)
        params = SamplingParams(max_new_tokens=budget, temperature=0.0)
        core.submit(Submit(1, list(PROMPT), params, constraint or self.constraint))
        told: list[Progress] = []
        failed: list[Failed] = []
        while core.has_work:
            events = core.step()
            told += events.progress
            failed += events.failed
        core.check()
        return told, failed


@pytest.fixture(scope="module")
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize("jump_forward", [True, False])
def test_a_text_that_is_too_long_is_closed_in_time(desk: Desk, jump_forward: bool) -> None:
    written = []
    for extra in (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89):
        told, failed = desk.ask(desk.least + extra, jump_forward=jump_forward)
        assert not failed
        ids = [token for progress in told for token in progress.token_ids]
        assert len(ids) <= desk.least + extra
        assert (told[-1].finish, told[-1].closed_by_budget) == ("stop", True)
        value = json.loads(desk.tokenizer.decode(ids))
        jsonschema.validate(value, SCHEMA)
        written.append(len(value["note"]))
    assert written[-1] > written[0]  # what room there is, is used


def test_a_budget_that_holds_no_output_is_refused_with_the_one_that_does(desk: Desk) -> None:
    told, failed = desk.ask(desk.least - 1)
    assert not told
    (failure,) = failed
    assert failure.code == "grammar"
    assert f"may take {desk.least} tokens" in failure.message


def test_free_text_that_is_cut_was_closed_by_nothing(desk: Desk) -> None:
    tag = Tag("<tool_call>", '{"type": "object"}', "</tool_call>")
    tools = Tagged([tag], text="before", trigger="<tool_call>")
    told, _ = desk.ask(4, tools)
    assert (told[-1].finish, told[-1].closed_by_budget) == ("length", False)
