"""Forks, joins and copies."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

import branchline as bl
from branchline.lang.transcript import Transcript
from branchline.runtime.protocol import Text, Tokens


def test_children_start_with_the_parents_text_and_variables(model):
    @bl.function
    def program(s):
        s += "root " + bl.gen("a", max_tokens=2)
        group = s.fork(2)
        return [(child.text(), child["a"]) for child in group]

    state = program.run(backend=model)
    assert state.ret_value == [(state.text(), state["a"])] * 2


def test_children_run_at_the_same_time(model):
    model.hold = lambda prompt: "child" in prompt

    @bl.function
    def program(s):
        group = s.fork(5)
        group += lambda i: f"child {i}" + bl.gen("v")
        for _ in range(5):
            model.started.acquire()
        model.release()
        group.join()

    program.run(backend=model)
    assert model.most_running == 5


def test_join_gathers_new_variables_in_the_order_of_the_children(model):
    @bl.function
    def program(s):
        s["old"] = "kept"
        group = s.fork(3)
        for index, child in enumerate(group):
            child["old"] = "changed"
            child["mine"] = index
            if index != 1:
                child["some"] = index
        group.join()

    state = program.run(backend=model)
    assert (state["old"], state["mine"], state["some"]) == ("kept", [0, 1, 2], [0, 2])
    assert state.text() == ""


def test_nested_joins_give_nested_lists(model):
    @bl.function
    def program(s):
        outer = s.fork(2)
        for first, branch in enumerate(outer):
            inner = branch.fork(2)
            inner += lambda i, first=first: f"{first}{i}" + bl.gen("v")
            inner.join()
        outer.join()

    state = program.run(backend=model)
    assert state["v"] == [[model.reply(f"{i}{j}") for j in range(2)] for i in range(2)]


def test_children_stay_readable_after_the_join(model):
    @bl.function
    def program(s):
        group = s.fork(2)
        group += ["a" + bl.gen("v"), "b" + bl.gen("v")]
        group.join()
        return [child["v"] for child in group]

    state = program.run(backend=model)
    assert state.ret_value == state["v"]


def test_concate_and_append_keeps_generated_tokens(model):
    @bl.function
    def program(s):
        s += "x"
        group = s.fork(2)
        group += bl.gen("v", max_tokens=2)
        group[1] += "tail"
        group.join("concate_and_append")
        s += bl.gen("w")

    program.run(backend=model).sync()
    reply = [ord(character) for character in model.reply("x")[:2]]
    parts = model.calls[-1].prompt
    assert [getattr(part, "ids", None) or part.text for part in parts] == [
        "x",
        reply + reply,
        "tail",
    ]


def test_a_branch_inside_an_open_role_continues_the_role(model):
    @bl.function
    def program(s):
        s += bl.user_begin() + "q"
        group = s.fork(2)
        group += lambda i: f"{i}" + bl.user_end()
        return [child.messages() for child in group]

    assert program.run(backend=model).ret_value == [
        [{"role": "user", "content": "q0"}],
        [{"role": "user", "content": "q1"}],
    ]


def test_a_copy_gives_its_new_variables_as_lists_of_one(model):
    @bl.function
    def program(s):
        s += "p"
        with s.copy() as other:
            other += "q" + bl.gen("v")

    state = program.run(backend=model)
    assert (state["v"], state.text()) == ([model.reply("pq")], "p")


@pytest.mark.parametrize("size", [0, -1, 1.5])
def test_a_fork_of_a_wrong_size_is_refused(model, size):
    @bl.function
    def program(s):
        s.fork(size)

    with pytest.raises(ValueError, match="size"):
        program.run(backend=model)


def test_the_size_of_a_fork_may_be_any_whole_number(model):
    class Three:
        def __index__(self):
            return 3

    @bl.function
    def program(s):
        return len(s.fork(Three()))

    assert program.run(backend=model).ret_value == 3


def test_an_unknown_join_mode_is_refused(model):
    @bl.function
    def program(s):
        s.fork(1).join("sum")

    with pytest.raises(ValueError, match="'gather_variable' or 'concate_and_append'"):
        program.run(backend=model)


def test_a_list_of_the_wrong_length_is_refused(model):
    @bl.function
    def program(s):
        group = s.fork(2)
        group += ["a"]

    with pytest.raises(ValueError, match="1 expressions for 2 states"):
        program.run(backend=model)


def test_a_failing_child_is_raised_by_the_join_and_leaves_the_others(model):
    model.fail = lambda prompt: bl.Overloaded("full") if prompt == "1" else None

    @bl.function
    def program(s):
        group = s.fork(3)
        group += lambda i: f"{i}" + bl.gen("v")
        with pytest.raises(bl.Overloaded):
            group.join()
        return group[2]["v"]

    state = program.run(backend=model)
    assert state.ret_value == model.reply("2")
    assert state.error() is None


def test_a_join_does_not_wait_for_others_to_tell_of_a_child_that_failed(model):
    model.hold = lambda prompt: prompt == "0"
    model.fail = lambda prompt: bl.InvalidRequest("no") if prompt == "1" else None

    @bl.function
    def program(s):
        group = s.fork(3)
        group += lambda i: f"{i}" + bl.gen("v")
        with pytest.raises(bl.InvalidRequest):
            group.join()
        with pytest.raises(bl.InvalidRequest):
            asyncio.run(group.join_async())
        model.release()
        return group[0]["v"]

    assert program.run(backend=model).ret_value == model.reply("0")


def test_a_join_tells_of_a_cancelled_child_at_once(model):
    model.hold = lambda prompt: prompt == "0"

    @bl.function
    def program(s):
        group = s.fork(2)
        group += lambda i: f"{i}" + bl.gen("v")
        group[1].cancel()
        group.join()

    with pytest.raises(bl.Cancelled):
        program.run(backend=model)


def test_usages_count_branches_too(model):
    @bl.function
    def program(s):
        group = s.fork(2)
        group += "a" + bl.gen("v", max_tokens=3)
        group.join()

    assert [u.completion_tokens for u in program.run(backend=model).usages()] == [3, 3]


def test_a_prefix_that_was_sent_is_not_sent_again(model):
    @bl.function
    def program(s):
        s += "shared"
        for child in s.fork(2):
            child.fork(2)
        s.fork(2)

    program.run(backend=model).sync()
    assert [call.text for call in model.calls] == ["shared"]


def test_concate_and_append_after_a_generation_adds_only_the_new_tokens(model):
    @bl.function
    def program(s):
        s += "x" + bl.gen("a", max_tokens=2)
        group = s.fork(2)
        group += bl.gen("v", max_tokens=1)
        group.join("concate_and_append")
        s += bl.gen("w")

    state = program.run(backend=model)
    first = model.reply("x")[:2]
    then = model.reply("x" + first)[:1]
    assert state.text().startswith(f"x{first}{then}{then}")
    assert model.calls[-1].prompt == [Text("x"), Tokens([ord(c) for c in first + then + then])]


def test_a_copy_whose_block_raises_is_cancelled(model):
    model.hold = lambda prompt: True

    @bl.function
    def program(s):
        try:
            with s.copy() as other:
                other += "q" + bl.gen("v")
                model.started.acquire()
                raise LookupError
        except LookupError:
            return isinstance(other.error(), bl.Cancelled)

    state = program.run(backend=model)
    assert state.ret_value is True
    while model.running:
        model.get_server_info()
    assert model.cancelled == ["q"]
    assert state.error() is None


def test_a_wide_fork_copies_what_it_has_once_for_each_branch(model, monkeypatch):
    """And once for all of them, as what they were left with; a session is none of it."""
    counted = Counter()
    copied, opened = Transcript.branch, model.session

    def branch(self):
        counted["copies"] += 1
        return copied(self)

    def session():
        counted["sessions"] += 1
        return opened()

    @bl.function
    def program(s):
        s += "one " + bl.gen("a")
        s.sync()
        counted.clear()
        group = s.fork(32)
        assert counted == {"copies": 33}
        group += lambda number: f"{number}" + bl.gen("b")
        group.join()

    monkeypatch.setattr(Transcript, "branch", branch)
    monkeypatch.setattr(model, "session", session)
    state = program.run(backend=model)
    assert len(state["b"]) == 32
