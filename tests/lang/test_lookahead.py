"""Calls that are sent before those in front of them have ended, and what becomes of them."""

from __future__ import annotations

import asyncio

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from scripted import default_reply, text_of
from test_connection_backend import PlayedConnection

import branchline as bl
from branchline.lang import ir
from branchline.lang.backend.runtime_endpoint import ConnectionBackend
from branchline.lang.connection import RequestTable
from branchline.lang.loop import shared_loop
from branchline.runtime import protocol

A, B, C = (bl.gen(name, max_tokens=8) for name in "abc")


class PlayedRuntime(PlayedConnection):
    """A runtime with sessions whose model is the scripted one. It answers a call once `open`, and
    calls behind one that has not ended when that has."""

    def __init__(self, *, is_open: bool = True) -> None:
        super().__init__(lambda message: ())
        self.is_open = is_open
        self.refused: set[str] = set()
        # Of the calls that go on from a session, by number: those that it does not know of.
        self.lost: frozenset[int] = frozenset()
        self.num_based = 0
        self.prompts: list[str] = []
        self._held: dict[int, str] = {}
        self._waiting: list[protocol.Generate] = []

    @property
    def asked(self) -> list[protocol.Generate]:
        return [message for message in self.sent if isinstance(message, protocol.Generate)]

    @property
    def cancelled_rids(self) -> list[str]:
        return [message.rid for message in self.sent if isinstance(message, protocol.Cancel)]

    def _send(self, message):
        super()._send(message)
        if isinstance(message, protocol.Generate):
            self._waiting.append(message)
            if self.is_open:
                shared_loop().call(self.answer_all)

    def open_up(self) -> None:
        self.is_open = True
        shared_loop().call(self.answer_all)

    def answer_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        for message in waiting:
            self._dispatch(self._reply(message))

    def _reply(self, message: protocol.Generate) -> protocol.FrontMessage:
        code = "overloaded" if message.rid in self.refused else None
        if message.base is not None:
            self.num_based += 1
            if message.base not in self._held or self.num_based in self.lost:
                code = "session_lost"
        if code is not None:
            return protocol.Error(message.rid, code, "refused", None, None)
        before = "" if message.base is None else self._held[message.base]
        prompt = before + text_of(message.prompt)
        self.prompts.append(prompt)
        text = default_reply(prompt)
        if message.keep_as is not None:
            self._held[message.keep_as] = prompt + text
        output = protocol.Output(text, [ord(character) for character in text], "length")
        outputs = [output] * message.sampling.n
        return protocol.Done(message.rid, outputs, protocol.Usage(len(prompt), len(text), 0))


@bl.function
def three(s):
    s += bl.user("one" + A) + bl.assistant("two" + B + "three" + C)


@bl.function
def three_read(s):
    for expr in (bl.user("one" + A), bl.assistant_begin() + "two" + B, "three" + C):
        s += expr
        s.sync()
    s += bl.assistant_end()


def until(condition) -> None:
    """Let the loop run until something holds."""

    async def turn() -> None: ...

    while not condition():
        shared_loop().run(turn())


def test_calls_that_are_queued_go_out_together():
    runtime = PlayedRuntime(is_open=False)
    state = three.run(backend=ConnectionBackend(runtime))
    until(lambda: len(runtime.asked) == 3)
    first, second, third = runtime.asked
    assert (first.base, second.base, third.base) == (None, first.keep_as, second.keep_as)
    runtime.open_up()
    assert state.error() is None


def test_a_program_says_the_same_as_one_that_reads_each_result():
    ahead, runtime = PlayedRuntime(), PlayedRuntime()
    states = [
        program.run(backend=ConnectionBackend(connection))
        for program, connection in ((three, ahead), (three_read, runtime))
    ]
    assert states[0].text() == states[1].text()
    assert states[0].messages() == states[1].messages()
    assert ahead.prompts == runtime.prompts
    assert len(ahead.asked) == 3
    assert not ahead.cancelled_rids


OPS = {
    "text": lambda number: f" {number}",
    "call": lambda number: bl.gen(f"v{number}"),
    "turn": lambda number: bl.user(f"{number}") + bl.assistant(bl.gen(f"v{number}") + "."),
    "scope": lambda number: (
        ir.VarScopeBegin(f"v{number}") + "a" + bl.gen(f"w{number}") + ir.VarScopeEnd(f"v{number}")
    ),
    "several": lambda number: bl.gen(f"v{number}", n=2),
    "healed": lambda number: bl.gen(f"v{number}", token_healing=True),
}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(sorted(OPS)), max_size=10), st.frozensets(st.integers(1, 12)))
def test_any_program_says_what_it_says_without(names: list[str], lost: frozenset[int]) -> None:
    """Whatever is sent ahead, and whatever of it the runtime does not take."""

    @bl.function
    def at_once(s):
        s += ir.expr_list([OPS[name](number) for number, name in enumerate(names)])

    @bl.function
    def one_by_one(s):
        for number, name in enumerate(names):
            s += OPS[name](number)
            s.sync()

    runtime = PlayedRuntime()
    runtime.lost = lost
    ahead = at_once.run(backend=ConnectionBackend(runtime))
    other = PlayedRuntime()
    plain = one_by_one.run(backend=ConnectionBackend(other))
    assert ahead.text() == plain.text()
    assert ahead.messages() == plain.messages()
    assert ahead.stream_executor.variables == plain.stream_executor.variables
    assert set(runtime.prompts) == set(other.prompts)  # nothing is computed in vain
    assert not runtime._calls


def test_a_template_that_looks_at_what_was_said_is_asked_again():
    class Curious(bl.lang.chat_template.ChatTemplate):
        """Writes the number of characters said so far in front of a turn."""

        def get_prefix_and_suffix(self, role, messages):
            said = sum(len(message["content"]) for message in messages)
            return f"<{role} {said}>", "</>"

    runtime = PlayedRuntime()
    backend = ConnectionBackend(runtime)
    roles = dict.fromkeys(("system", "user", "assistant"), ("", ""))
    backend.chat_template = Curious("curious", None, roles)
    state = three.run(backend=backend)
    assert state.text() == (
        f"<user 0>one{state['a']}</><assistant 11>two{state['b']}three{state['c']}</>"
    )
    # Two were sent with a wrong number of characters first.
    assert len(runtime.asked) == 5


def test_calls_behind_one_that_fails_are_taken_back():
    runtime = PlayedRuntime(is_open=False)
    state = three.run(backend=ConnectionBackend(runtime))
    until(lambda: len(runtime.asked) == 3)
    state.cancel()
    until(lambda: len(runtime.cancelled_rids) == 3)
    assert set(runtime.cancelled_rids) == {request.rid for request in runtime.asked}
    with pytest.raises(bl.Cancelled):
        state["c"]


def test_a_call_that_found_no_room_is_sent_again_in_its_turn():
    runtime = PlayedRuntime(is_open=False)
    state = three.run(backend=ConnectionBackend(runtime))
    until(lambda: len(runtime.asked) == 3)
    runtime.refused.add(runtime.asked[1].rid)
    runtime.open_up()
    assert state.error() is None
    assert len(runtime.asked) > 3
    assert state.text() == three_read.run(backend=ConnectionBackend(PlayedRuntime())).text()


@pytest.mark.parametrize(
    "expr",
    [
        bl.select("b", ["x", "y"]),
        bl.gen("b", n=2),
        bl.gen("b", token_healing=True),
        bl.separate_reasoning(bl.gen("b"), model_type="deepseek-r1"),
    ],
    ids=["select", "several", "healing", "thinking"],
)
def test_nothing_is_sent_ahead_of_what_is_not_certain(expr):
    @bl.function
    def program(s):
        s += "one" + A + expr + C

    runtime = PlayedRuntime(is_open=False)
    state = program.run(backend=ConnectionBackend(runtime))
    until(lambda: runtime.asked)
    shared_loop().run(_turns())
    assert len(runtime.asked) == 1
    state.cancel()


def test_a_streaming_program_sends_each_call_in_its_turn():
    runtime = PlayedRuntime(is_open=False)
    state = three.run(backend=ConnectionBackend(runtime), stream=True)
    until(lambda: runtime.asked)
    shared_loop().run(_turns())
    assert len(runtime.asked) == 1
    state.cancel()


async def _turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_the_table_forgets_what_was_sent_ahead():
    runtime = PlayedRuntime()
    state = three.run(backend=ConnectionBackend(runtime))
    assert state.error() is None
    assert isinstance(runtime, RequestTable)
    assert not runtime._calls
