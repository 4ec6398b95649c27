"""`f.compile()`: traced once, run as plans, the same results; what does not trace says why."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import pytest
from scripted import Scripted
from scripted_plans import WORDS, ScriptedPlans, seen

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
        s += 'say "hi" <now>\n#1\ud83d'

    assert '["say #quot;hi#quot; #lt;now#gt;↵#35;1\\ud83d"]' in program.compile().to_mermaid()


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


# --- what a trace tells, and what it cannot ---


def in_rounds(s: bl.ProgramState, word: str) -> None:
    assert isinstance(s, bl.ProgramState)
    for number in range(3):
        branches = s.fork(2)
        branches += [f"{number}{branch}" + bl.gen("v", max_tokens=3) for branch in range(2)]
        assert isinstance(branches, bl.ProgramStateGroup)
        branches.join()
        s += s["v"][0] + "|" + s["v"][1]
        with s.copy() as other:
            other += word + bl.gen("w", max_tokens=3)
        s += s["w"][0]


def adding_texts(s: bl.ProgramState, word: str) -> dict[str, str]:
    s += word + bl.gen("a", max_tokens=2)
    s["both"] = "<" + word + ">" + s["a"]
    s += s["both"]
    return {"both": s["both"] + word}


def repeating_turns(s: bl.ProgramState, word: str) -> None:
    turn = s.user("Hi " + word)
    branches = s.fork(2)
    for branch in branches:
        branch += turn
    s += "So " + s.user("again") + bl.gen("a", max_tokens=2)
    branches.join("concate_and_append")


def leaving_a_scope(s: bl.ProgramState, word: str) -> None:
    try:
        with s.var_scope("part"):
            s += word
            raise LookupError
    except LookupError:
        s += "<" + s["part"] + ">" + bl.gen("a", max_tokens=2)


def with_defaults(
    s: bl.ProgramState, word: str, extra: str | None = None, width: int = 2, end: str = "."
) -> None:
    if word is not None:
        s += word
    if extra is not None:
        s += extra
    for _ in range(width):
        s += bl.gen("a", max_tokens=2) + end


@pytest.mark.parametrize(
    "body", [in_rounds, adding_texts, repeating_turns, leaving_a_scope, with_defaults]
)
def test_what_traces_reads_the_same(
    planner: ScriptedPlans, model: Scripted, body: Callable[..., Any]
) -> None:
    program = bl.function(body)
    compiled = program.compile()
    assert compiled.reason is None
    assert seen(compiled.run("one", backend=planner)) == seen(program.run("one", backend=model))


@pytest.mark.parametrize(
    "given",
    [{"extra": "!"}, {"width": 3}, {"word": None}, {"word": bl.gen("a", max_tokens=2)}],
    ids=["default None", "default 2", "None", "expression"],
)
def test_a_run_with_other_values_than_were_traced_is_interpreted(
    planner: ScriptedPlans, model: Scripted, given: dict[str, Any]
) -> None:
    program = bl.function(with_defaults)
    arguments = {"word": "one", **given}
    state = program.compile().run(**arguments, backend=planner)
    assert seen(state) == seen(program.run(**arguments, backend=model))
    assert planner.plans == []
    [batched] = program.compile().run_batch([arguments], backend=planner)
    assert seen(batched) == seen(state)


def test_a_bound_argument_can_be_given_again(planner: ScriptedPlans, model: Scripted) -> None:
    program = bl.function(with_defaults)
    state = program.compile(width=3).run("one", width=1, backend=planner)
    assert seen(state) == seen(program.run("one", width=1, backend=model))


def test_states_are_returned_as_they_are(planner: ScriptedPlans) -> None:
    @bl.function
    def program(s: bl.ProgramState, word: str) -> tuple[Any, ...]:
        s += word
        branches = s.fork(2)
        branches += bl.gen("a", max_tokens=2)
        return s, branches, branches[1]

    state = program.compile().run("one", backend=planner)
    trunk, branches, branch = state.ret_value
    assert trunk is state
    assert [child.text() for child in branches] == [branch.text()] * 2


class Language(StrEnum):
    ENGLISH = "en"


NAMES = {"en": "English"}


def parsing(s: bl.ProgramState, word: str) -> None:
    try:
        number = int(word)
    except (TypeError, ValueError):
        number = 0
    s += f"{number}" + bl.gen("a", max_tokens=2)


def parsing_whatever_happens(s: bl.ProgramState, word: str) -> None:
    try:
        number = int(word)
    except:  # noqa: E722
        number = 0
    s += f"{number}" + bl.gen("a", max_tokens=2)


def asking_a_class(s: bl.ProgramState, word: str) -> None:
    s += ("a text" if isinstance(word, str) else "?") + bl.gen("a", max_tokens=2)


def looking_into_a_state(s: bl.ProgramState, word: str) -> None:
    s += word + bl.gen("a", max_tokens=2)
    s.sync()
    if "a" in s:
        s += "!"


def showing_a_state(s: bl.ProgramState, word: str) -> None:
    s += word
    s += f"<{s}>"


def calling_a_batch(s: bl.ProgramState, word: str) -> None:
    [state] = asking_twice.run_batch([{"word": "x"}], backend=Scripted())
    s += word + state["a"]


async def awaiting(s: bl.ProgramState, word: str) -> None:
    s += word + bl.gen("a", max_tokens=2)


def taking_all(s: bl.ProgramState, *words: str) -> None:
    s += "".join(words) + bl.gen("a", max_tokens=2)


def taking_names(s: bl.ProgramState, word: str, **named: str) -> None:
    s += word + named.get("end", "none") + bl.gen("a", max_tokens=2)


def returning_an_object(s: bl.ProgramState, word: str) -> object:
    s += word + bl.gen("a", max_tokens=2)
    return Language.ENGLISH


def setting_an_object(s: bl.ProgramState, word: str) -> None:
    s["kind"] = Language.ENGLISH
    s += word + bl.gen("a", max_tokens=2)


REFUSED: list[tuple[Any, Any]] = [
    (parsing, "7"),
    (parsing_whatever_happens, "7"),
    (asking_a_class, "one"),
    (looking_into_a_state, "one"),
    (showing_a_state, "one"),
    (calling_a_batch, "one"),
    (awaiting, "one"),
    (taking_all, "one"),
    (taking_names, "one"),
    (returning_an_object, "one"),
    (setting_an_object, "one"),
    *(
        (lambda s, word, texts=texts: s.__iadd__(texts(word)) and None, given)
        for texts, given in [
            (lambda word: NAMES.get(word, "?"), "en"),
            (lambda word: NAMES[word], "en"),
            (lambda word: "yes" if word in {"en", "de"} else "no", "en"),
            (lambda word: f"{word!r}", "one"),
            (lambda word: str([word]), "one"),
            (lambda word: str("<" + word), "one"),
            (lambda word: "yes" if "<" + word == "<one" else "no", "one"),
            (lambda word: word.name, Language.ENGLISH),
            (lambda word: word * 2, "one"),
            (lambda word: json.dumps(word), "one"),
            (lambda word: re.sub("n", "m", word), "one"),
            (lambda word: ", ".join(word), ["one", "two"]),
            (lambda word: "Hi" + bl.gen(word), "a"),
            (lambda word: "Hi" + bl.gen(word, stop=["x"]), "a"),
            (lambda word: "Hi" + bl.select(word, ["x", "y"]), "a"),
            (lambda number: "Hi" + bl.gen("a", max_tokens=number), 3),
            (lambda number: "Hi" + bl.gen("a", temperature=number), 0.5),
            (lambda number: "Hi" + bl.gen("a", timeout=number), 9.0),
            (lambda text: "Hi" + bl.gen("a", regex=text), "[ab]+"),
            (lambda schema: "Hi" + bl.gen("a", json_schema=schema), None),
            (lambda kind: "Hi" + bl.gen("a", schema=kind), None),
        ]
    ),
]


@pytest.mark.parametrize(("body", "given"), REFUSED)
def test_what_does_not_trace_says_its_line_and_reads_the_same(
    planner: ScriptedPlans, model: Scripted, body: Callable[..., Any], given: Any
) -> None:
    program = bl.function(body)
    compiled = program.compile()
    assert compiled.reason is not None
    assert "test_compile.py:" in compiled.reason
    state = compiled.run(given, backend=planner)
    assert seen(state) == seen(program.run(given, backend=model))


@pytest.mark.parametrize(
    "body",
    [
        lambda s: s.fork(0),
        lambda s: s.fork(2).__iadd__(["x"]),
        lambda s: s.fork(2).__iadd__(["x", "y", "z"]),
        lambda s: s.__iadd__(None),
        lambda s: s["nothing"],
    ],
    ids=["fork(0)", "short list", "long list", "None", "unknown variable"],
)
def test_what_a_body_raises_is_raised_by_its_runs(
    planner: ScriptedPlans, body: Callable[..., Any]
) -> None:
    program = bl.function(body)
    compiled = program.compile()
    assert compiled.reason is not None
    with pytest.raises((ValueError, KeyError)) as interpreted:
        program.run(backend=Scripted())
    with pytest.raises(interpreted.type, match=re.escape(f"{interpreted.value}")):
        compiled.run(backend=planner)


def test_several_outputs_are_no_text(planner: ScriptedPlans, model: Scripted) -> None:
    @bl.function
    def program(s: bl.ProgramState) -> None:
        s += "Hi" + bl.gen("a", max_tokens=2)
        s += s["a"]

    for run in (program.run, program.compile().run):
        with pytest.raises(TypeError, match="cannot append list"):
            run(n=2, backend=planner)
