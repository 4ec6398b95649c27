"""Tracing: the graph of a program, what cannot be traced, and caching the constant beginning."""

from __future__ import annotations

import pytest
from scripted import Scripted

import branchline as bl
from branchline.lang.trace_graph import TraceError


@bl.function
def few_shot(s, question):
    s += "Q: 1 + 1? A: 2\n"
    s += "Q: " + question + " A:" + bl.gen("answer", stop="\n")
    s += "So " + s["answer"]


def test_a_program_becomes_a_chain_of_nodes() -> None:
    trace = few_shot.trace()
    assert [repr(node.expr) for node in trace.nodes] == [
        "Constant('Q: 1 + 1? A: 2\\n')",
        "Constant('Q: ')",
        "Argument('question')",
        "Constant(' A:')",
        "Gen('answer')",
        "Constant('So ')",
        "Variable('answer', %4)",
    ]
    assert trace.last_node is trace.nodes[-1]


def test_the_graph_is_printed_with_what_each_node_follows() -> None:
    lines = few_shot.trace().last_node.print_graph_dfs().splitlines()
    assert lines[:2] == ["%0 = Constant('Q: 1 + 1? A: 2\\n')", "%1 = %0 + Constant('Q: ')"]
    assert lines[-1] == "%6 = %5 + Variable('answer', %4)"


def test_an_argument_that_is_given_is_text() -> None:
    nodes = few_shot.trace(question="2 + 2?").nodes
    assert repr(nodes[1].expr) == "Constant('Q: 2 + 2? A:')"


def test_the_body_runs_once_and_nothing_is_generated(model: Scripted) -> None:
    seen = []

    @bl.function
    def program(s, x):
        seen.append(x)
        s += "a" + bl.gen("b")

    program.trace(backend=model)
    assert len(seen) == 1
    assert model.calls == []


def test_no_batch_runs_a_body_more_often_than_it_has_items(model: Scripted) -> None:
    seen = []

    @bl.function
    def program(s, x):
        seen.append(x)
        s += "prefix " * 40 + x + bl.gen("b")

    program.run_batch([{"x": "1"}, {"x": "2"}], backend=model)
    assert sorted(seen) == ["1", "2"]


def test_forks_are_branches_of_the_graph() -> None:
    @bl.function
    def program(s, x):
        s += "trunk" + x
        forks = s.fork(2)
        forks += bl.gen("y")
        forks.join()
        s += s["y"][0]
        forks.join("concate_and_append")

    trace = program.trace()
    assert [repr(child.nodes[0].expr) for child in trace.child_states] == [
        "GetForkItem(0)",
        "GetForkItem(1)",
    ]
    assert len(trace.flatten_nodes()) == len(trace.nodes) + 4
    printed = trace.last_node.print_graph_dfs()
    assert "= %2 + GetForkItem(1)" in printed
    assert printed.count("Gen('y')") == 2


def test_turns_are_recorded_once() -> None:
    @bl.function
    def program(s, x):
        s += s.user(x)
        with s.assistant():
            s += bl.gen("y")

    shown = [repr(node.expr) for node in program.trace().nodes]
    assert shown == [
        "RoleBegin(user)",
        "Argument('x')",
        "RoleEnd(user)",
        "RoleBegin(assistant)",
        "Gen('y')",
        "RoleEnd(assistant)",
    ]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (lambda s, x: f"{x}", "Argument('x')"),
        (lambda s, x: s.text(), "s.text"),
        (lambda s, x: x == "a", "Argument('x')"),
        (lambda s, x: 1 if x else 2, "Argument('x')"),
        (lambda s, x: few_shot.run(question=x), "program 'few_shot'"),
        (lambda s, x: {}.get(x), "value of Argument('x')"),
        (lambda s, x: isinstance(x, str), "class of Argument('x')"),
    ],
    ids=["f-string", "text", "comparison", "truth", "another program", "hash", "class"],
)
def test_what_only_a_run_knows_is_refused_with_its_line(body, words: str) -> None:
    with pytest.raises(TraceError) as caught:
        bl.function(body).trace()
    assert words in str(caught.value)
    assert "test_tracing.py:" in str(caught.value)


def test_a_symbol_can_be_printed_once_the_trace_is_there() -> None:
    traced = bl.function(lambda s, x: s.__iadd__(x + bl.gen("y"))).trace()
    assert str(traced["y"]) == "Variable('y', %1)"


def test_caching_computes_what_every_instance_begins_with(model: Scripted) -> None:
    @bl.function
    def program(s, question):
        s += bl.system("You know everything.")
        s += bl.user("Question: " + question)
        s += bl.assistant(bl.gen("answer"))

    program.cache(backend=model)
    call = model.calls[0]
    assert call.sampling.max_new_tokens == 0
    state = program.run("Why?", backend=model)
    assert state.text().startswith(call.text)
    assert call.text.endswith("Question: ")


def test_caching_stops_where_the_body_looks_at_an_argument(model: Scripted) -> None:
    @bl.function
    def program(s, question):
        s += "Always. "
        s += f"{question}"
        raise AssertionError("never reached")

    program.cache(backend=model)
    assert [call.text for call in model.calls] == ["Always. "]


@pytest.mark.parametrize("caught", [Exception, BaseException])
def test_caching_stops_there_whatever_the_body_makes_of_it(
    model: Scripted, caught: type[BaseException]
) -> None:
    @bl.function
    def program(s, question):
        try:
            with s.user():
                s += "Always. " + question
        except caught:
            pass
        s += "Never."

    model.chat_template = bl.get_chat_template("chatml")
    program.cache(backend=model)
    assert [call.text for call in model.calls] == ["<|im_start|>user\nAlways. "]


def test_caching_with_bound_arguments_goes_further(model: Scripted) -> None:
    few_shot.bind(question="Who?").cache(backend=model)
    assert model.calls[0].text == "Q: 1 + 1? A: 2\nQ: Who? A:"


def test_a_program_that_begins_with_an_argument_caches_nothing(model: Scripted) -> None:
    @bl.function
    def program(s, question):
        s += question + bl.gen("answer")

    program.cache(backend=model)
    assert model.calls == []
