"""S11: good and broken constraints of every kind, side by side in the same batches."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections import Counter
from collections.abc import Callable

import jsonschema
import pytest
from asking import request, run, spawn

from branchline.lang.client import ZmqConnection
from branchline.lang.errors import GrammarError
from branchline.lang.launch import RuntimeProcess
from branchline.runtime.protocol import Choices, Constraint, Ebnf, Generate, JsonSchema, Regex

Start = Callable[..., RuntimeProcess]

SCHEMA = {
    "type": "object",
    "properties": {"name": {"enum": ["fox", "dog"]}, "n": {"type": "integer"}},
    "required": ["name", "n"],
    "additionalProperties": False,
}
NAMES = ["fox", "dog", "cat"]
GOOD: list[Constraint | None] = [
    None,
    JsonSchema(json.dumps(SCHEMA)),
    Regex("[a-c]{3}-[0-9]{2}"),
    Choices(NAMES),
    Ebnf('root ::= "yes" | "no" [0-9]'),
]
BROKEN: list[Constraint] = [
    JsonSchema("{"),
    JsonSchema('{"type": "alien"}'),
    JsonSchema('{"$ref": "http://127.0.0.1:9/schema.json"}'),
    JsonSchema('{"type": "integer", "minimum": 3, "maximum": 2}'),
    Regex("(a"),
    Regex("a{2000}{2000}"),
    Regex("(?<=a)b"),
    Ebnf("root ::= missing"),
    Ebnf("no root at all"),
]


def holds(constraint: Constraint | None, text: str) -> bool:
    match constraint:
        case JsonSchema():
            jsonschema.validate(json.loads(text), SCHEMA)
            return True
        case Regex(pattern=pattern):
            return re.fullmatch(pattern, text) is not None
        case Choices(choices=choices):
            return text in choices
        case Ebnf():
            return re.fullmatch("yes|no[0-9]", text) is not None
        case _:  # whatever is said, and be it nothing
            return True


NUMBER = 10_000


@pytest.mark.timeout(1_700)
def test_broken_constraints_harm_no_good_one_beside_them(start: Start) -> None:
    # A good grammar may take long where other processes have the cores.
    process = start(grammar_timeout_s=90)
    connection = ZmqConnection(process.address)
    restarts = run(connection.info()).stats["front_engine_restarts"]
    ends = Counter[str]()

    async def ask(index: int) -> None:
        good = index % 2 == 0
        kinds = GOOD if good else BROKEN
        constraint = kinds[index // 2 % len(kinds)]
        asked = request(connection, num_tokens=40, temperature=1.0, seed=index, ignore_eos=False)
        sent = Generate(asked.rid, asked.prompt, asked.sampling, constraint)
        try:
            done = await connection.complete(sent)
        except GrammarError:
            assert not good, constraint
            ends["refused"] += 1
        else:
            assert good, constraint
            assert holds(constraint, done.outputs[0].text), (constraint, done.outputs[0].text)
            ends["right"] += 1

    async def ask_all() -> None:
        indices = iter(range(NUMBER))

        async def ask_on() -> None:
            for index in indices:
                await ask(index)

        # No task for each of them: where making one takes long, the loop would stand still.
        async with asyncio.TaskGroup() as group:
            for _ in range(32):
                group.create_task(ask_on())

    spawn(ask_all()).result(1_600)
    assert ends == {"right": NUMBER // 2, "refused": NUMBER // 2}
    assert process.alive
    assert run(connection.info()).stats["front_engine_restarts"] == restarts
    connection.close()


@pytest.mark.parametrize("index", range(1, len(GOOD)))
def test_an_answer_against_its_constraint_would_be_seen(index: int) -> None:
    """Planted: what another constraint allows."""
    others = ["fox", "yes", "abc-12", '{"name": "fox", "n": 1}']
    right = 0
    for text in others:
        with contextlib.suppress(ValueError, jsonschema.ValidationError):
            right += holds(GOOD[index], text)
    assert right == 1
