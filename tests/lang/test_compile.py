"""`f.compile()`: traced once, run as plans, the same results; what does not trace says why."""

from __future__ import annotations

import re

import pytest
from scripted import Scripted
from scripted_plans import ScriptedPlans
from test_plans import WORDS, seen

import branchline as bl
from branchline.lang.trace_graph import TraceError


@pytest.fixture
def planner() -> ScriptedPlans:
    return ScriptedPlans()


@bl.function
def quoting(s: bl.ProgramState, word: str, ending: str = ".") -> tuple[str, str]:
    """Quotes its own output."""
    s += bl.user("About " + bl.gen("a", max_tokens=3) + word + ending)
    branches = s.fork(2)
    branches += bl.assistant(bl.gen("b", max_tokens=4))
    branches.join()
    s += s["b"][1] + s["a"]
    more = s.fork(2)
    more += lambda number: f"{number}" + bl.gen("c", max_tokens=2)
    more.join("concate_and_append")
    s["label"] = "by hand"
    s += bl.select("d", choices=["x", "y"])
    return s["a"], s["d"]


def test_a_compiled_program_reads_like_an_interpreted_one(
    planner: ScriptedPlans, model: Scripted
) -> None:
    compiled = quoting.compile().run("one", backend=planner)
    assert seen(compiled) == seen(quoting.run("one", backend=model))
    assert len(planner.plans) == 1


def test_a_compiled_batch_reads_like_an_interpreted_one(
    planner: ScriptedPlans, model: Scripted
) -> None:
    compiled = quoting.compile().run_batch(WORDS, backend=planner)
    interpreted = quoting.run_batch(WORDS, backend=model)
    assert [seen(state) for state in compiled] == [seen(state) for state in interpreted]


@bl.function
def unjoined(s: bl.ProgramState, word: str) -> None:
    """Reads its branches without joining them."""
    s += word
    branches = s.fork(2)
    branches += lambda number: f" {number}:" + bl.gen("x", max_tokens=3) + bl.gen("y")
    s += "first " + branches[0]["x"] + ", second " + branches[1]["y"] + bl.gen("end")


def test_outputs_of_unjoined_branches_are_waited_for(
    planner: ScriptedPlans, model: Scripted
) -> None:
    compiled = unjoined.compile().run("one", backend=planner)
    assert compiled.text() == unjoined.run("one", backend=model).text()


def test_a_failed_output_fails_who_appends_it(planner: ScriptedPlans) -> None:
    planner.fail = lambda prompt: bl.GenerationError("no") if prompt.endswith(" 1:") else None
    state = unjoined.compile().run("one", backend=planner)
    assert isinstance(state.error(), bl.GenerationError)


@bl.function
def going_wrong(s: bl.ProgramState, word: str) -> None:
    s += word + bl.gen("a")
    s += word
    group = s.fork(2)
    group += bl.gen("b")
    group.join()
    with s.user():
        s += s["a"]
        with s.assistant():
            s += "never"


def test_the_lines_of_a_compiled_run_are_those_of_the_program(
    planner: ScriptedPlans, model: Scripted
) -> None:
    def lines(state: bl.ProgramState) -> list[str | None]:
        state.error()
        return [record.origin.source for record in state.stream_executor.records]

    compiled = going_wrong.compile().run("one", backend=planner)
    interpreted = going_wrong.run("one", backend=model)
    assert lines(compiled) == lines(interpreted)
    assert len(set(lines(compiled))) == 3
    for state in (compiled, interpreted):
        with pytest.raises(bl.InvalidRequest, match="Nested roles") as caught:
            state.sync()
        _, line = str(caught.value.source).rsplit(":", 1)
        assert int(line) == going_wrong.func.__code__.co_firstlineno + 9


def test_several_outputs_are_no_text_to_append(planner: ScriptedPlans) -> None:
    @bl.function
    def program(s: bl.ProgramState) -> None:
        s += "A" + bl.gen("x", n=2)
        s += s["x"]

    for one in (program, program.compile()):
        with pytest.raises(TypeError, match="cannot append list"):
            one.run(backend=planner)


@bl.function
def rewriting(s: bl.ProgramState, word: str) -> tuple[str, str]:
    """Uses names again, and what they stood for before."""
    with s.var_scope("part"):
        s += word + bl.gen("a", max_tokens=2)
    first, of_first = s["part"], s["a"]
    with s.var_scope("part"):
        s += "more" + bl.gen("a", max_tokens=3)
    s += first + of_first + s["part"] + s["a"] + bl.gen("end")
    return first, s["part"]


def test_a_name_that_is_used_again_stands_for_what_it_did(
    planner: ScriptedPlans, model: Scripted
) -> None:
    compiled = rewriting.compile().run("one", backend=planner)
    assert seen(compiled) == seen(rewriting.run("one", backend=model))


def test_a_compiled_program_runs_on_a_backend_without_plans(model: Scripted) -> None:
    compiled = quoting.compile().run("one", backend=model)
    assert seen(compiled) == seen(quoting.run("one", backend=Scripted()))


def test_the_body_runs_once_when_it_is_compiled_and_never_again(planner: ScriptedPlans) -> None:
    ran: list[object] = []

    @bl.function
    def program(s: bl.ProgramState, word: str) -> None:
        ran.append(word)
        s += word
        s += bl.gen("a")

    compiled = program.compile()
    compiled.run_batch(WORDS, backend=planner)
    assert len(ran) == 1


def test_what_does_not_trace_says_what_and_where_and_runs_as_ever(
    planner: ScriptedPlans, model: Scripted
) -> None:
    @bl.function
    def program(s: bl.ProgramState, word: str) -> None:
        s += word + bl.gen("a")
        if len(s["a"]) > 3:
            s += bl.gen("b")

    compiled = program.compile()
    line = program.func.__code__.co_firstlineno + 3
    assert compiled.reason is not None
    assert "Variable('a'" in compiled.reason
    assert f"test_compile.py:{line}" in compiled.reason
    run = compiled.run("one", backend=planner)
    assert seen(run) == seen(program.run("one", backend=model))


def test_a_program_that_does_not_trace_has_no_graph() -> None:
    @bl.function
    def program(s: bl.ProgramState, word: str) -> None:
        s += word.upper()

    with pytest.raises(TraceError, match=r"Argument\('word'\)\.upper"):
        program.compile().graph()


def test_bound_arguments_are_known_to_the_trace() -> None:
    @bl.function
    def program(s: bl.ProgramState, word: str, width: int) -> None:
        s += word
        s.fork(width).join()

    assert program.compile().reason is not None
    assert "Fork(3)" in program.compile(width=3).graph()


def test_the_graph_has_one_line_per_node() -> None:
    @bl.function
    def program(s: bl.ProgramState, word: str) -> None:
        s += "Say " + word
        s += bl.gen("a")
        s += s["a"]

    assert program.compile().graph() == (
        "%0 = Constant('Say ')\n"
        "%1 = %0 + Argument('word')\n"
        "%2 = %1 + Gen('a')\n"
        "%3 = %2 + Variable('a', %2)  reads %2\n"
    )


def test_the_drawing_shows_branches_and_what_is_read() -> None:
    drawing = quoting.compile().to_mermaid().splitlines()
    assert drawing[0] == "flowchart TD"
    assert any('{{"fork 2"}}' in line for line in drawing)
    assert any('(["gen b"])' in line for line in drawing)
    assert any('{{"gather"}}' in line for line in drawing)
    assert any("-.->" in line for line in drawing)


def test_the_drawing_goes_on_behind_a_join() -> None:
    @bl.function
    def program(s: bl.ProgramState) -> None:
        branches = s.fork(2)
        branches += bl.gen("a")
        branches.join()
        s += "behind"

    drawing = program.compile().to_mermaid()
    (behind,) = re.findall(r'(n\d+)\["behind"\]', drawing)
    gens = re.findall(r'(n\d+)\(\["gen a"\]\)', drawing)
    assert [f"    {gen} -.-> join0" in drawing for gen in gens] == [True, True]
    assert f"    join0 -.-> {behind}\n" in drawing


def test_texts_in_a_drawing_cannot_end_their_label() -> None:
    @bl.function
    def program(s: bl.ProgramState) -> None:
        s += 'say "hi" <now>\n#1'

    assert '["say #quot;hi#quot; #lt;now#gt;↵#35;1"]' in program.compile().to_mermaid()


def test_each_run_asks_by_its_own_template_defaults_and_settings(
    planner: ScriptedPlans, monkeypatch: pytest.MonkeyPatch
) -> None:
    @bl.function
    def program(s: bl.ProgramState) -> None:
        s += bl.gen("a", max_tokens=3) + bl.gen("b", max_tokens=3)

    compiled = program.compile()
    compiled.run(backend=planner, temperature=0.0).sync()
    planner.chat_template = bl.get_chat_template("chatml")
    compiled.run(backend=planner, temperature=0.0).sync()
    compiled.run(backend=planner, temperature=0.5).sync()
    monkeypatch.setattr(bl.global_config, "skip_special_tokens_in_output", False)
    compiled.run(backend=planner, temperature=0.5).sync()
    asked = [call.sampling for call in planner.calls[::2]]
    assert [one.temperature for one in asked] == [0.0, 0.0, 0.5, 0.5]
    assert [one.stop for one in asked] == [[], *[["<|im_end|>"]] * 3]
    assert [one.skip_special_tokens for one in asked] == [True, True, True, False]


@bl.function
def asking_twice(s: bl.ProgramState, word: str, ending: str = ".") -> None:
    s += bl.user("About " + word + ending) + bl.assistant(bl.gen("a", max_tokens=3))
    s += bl.user("More") + bl.assistant(bl.gen("b", max_tokens=3))


def test_runs_that_differ_in_the_same_texts_send_the_same_plan(planner: ScriptedPlans) -> None:
    compiled = asking_twice.compile()
    given = [("one",), ("two",), ("three",), ("four", "!"), ("five",)]
    for arguments in given:
        state = compiled.run(*arguments, backend=planner)
        assert seen(state) == seen(asking_twice.run(*arguments, backend=Scripted()))
    plans, texts = zip(*planner.plans, strict=True)
    assert texts == ([[]], [["two"]], [["three"]], [["four", "!"]], [["five", "."]])
    assert plans[1] is plans[2]
    assert plans[3] is plans[4]


def test_each_run_is_planned_by_the_template_of_its_time(planner: ScriptedPlans) -> None:
    compiled = asking_twice.compile()
    compiled.run("one", backend=planner).sync()
    planner.chat_template = bl.get_chat_template("chatml")
    compiled.run("one", backend=planner).sync()
    asking_twice.compile().run("one", backend=planner).sync()
    before, changed, alone = (plan for plan, _ in planner.plans)
    assert before != changed == alone


def test_a_run_that_cannot_be_planned_does_not_keep_the_next_from_it(
    planner: ScriptedPlans,
) -> None:
    compiled = asking_twice.compile()
    compiled.run("one", backend=planner).sync()
    healed = compiled.run("one", bl.gen("c", token_healing=True), backend=planner)
    assert isinstance(healed.error(), bl.InvalidRequest)  # told by the interpreter
    compiled.run("two", backend=planner).sync()
    assert len(planner.plans) == 2
