"""From held ops to plans: instances that differ in their texts only share one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from scripted_plans import ScriptedPlans

import branchline as bl
from branchline.lang.held import HeldExecutor
from branchline.lang.lowering import lower
from branchline.lang.plan_runner import PlanRunner
from branchline.lang.run_options import RunOptions


class Kept(PlanRunner):
    """Keeps what it is handed."""

    root: HeldExecutor

    def take(self, root: HeldExecutor) -> None:
        self.root = root


@bl.function
def chat(s: bl.ProgramState, word: str, tokens: int = 5, scoped: bool = False) -> None:
    s += bl.system("Be brief.")
    s += bl.user("About " + word) + bl.assistant(bl.gen("a", max_tokens=tokens) + "!")
    s += bl.user(word) + bl.assistant(bl.gen("b"))
    if scoped:
        with s.var_scope("scope"):
            s += "."


def held(backend: ScriptedPlans, **arguments: Any) -> HeldExecutor:
    runner = Kept(backend)
    options = replace(RunOptions.of({"backend": backend}, "run()"), plans=runner)
    chat.body(chat.bound(arguments, "run()"), options).run()
    return runner.root


def test_an_instance_that_differs_in_its_texts_has_the_same_plan() -> None:
    backend = ScriptedPlans()
    shape = lower(held(backend, word="trains")).shape
    other = held(backend, word="ships")
    found, alone = lower(other, shape), lower(other)
    assert found.shape is shape
    assert found.shape.key == alone.shape.key
    assert (found.texts, found.executors) == (alone.texts, alone.executors)


@pytest.mark.parametrize(
    "arguments",
    [{"word": "ships", "tokens": 6}, {"word": ""}, {"word": "ships", "scoped": True}],
    ids=["another call", "no text", "another op"],
)
def test_an_instance_that_differs_in_more_has_a_plan_of_its_own(arguments: dict[str, Any]) -> None:
    backend = ScriptedPlans()
    shape = lower(held(backend, word="trains")).shape
    other = held(backend, **arguments)
    found, alone = lower(other, shape), lower(other)
    assert found.shape is not shape
    assert (found.shape.key, found.texts) == (alone.shape.key, alone.texts)


def test_where_a_template_looks_at_texts_each_instance_has_a_plan_of_its_own() -> None:
    backend = ScriptedPlans()
    backend.chat_template = bl.get_chat_template("llama-2-chat")
    assert lower(held(backend, word="trains")).shape.nodes is None
