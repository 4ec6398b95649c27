"""A state's session: what the runtime holds is not sent again, and what it lost is sent whole."""

from __future__ import annotations

import gc
import threading

import pytest
from scripted import model_info

import branchline as bl
from branchline.lang.backend.runtime_endpoint import ConnectionBackend
from branchline.lang.connection import RequestTable
from branchline.lang.loop import shared_loop
from branchline.runtime import protocol


class HoldingConnection(RequestTable):
    """A runtime played by the test that holds sessions as lists of parts. In it a token is a
    character; the model says "<" and the number of the call. `whole` are the prompts as the
    runtime puts them together, `sent` what came over the wire."""

    address = "holding"
    model = model_info()

    def __init__(self):
        super().__init__()
        self.sessions = {}
        self.sent = []
        self.whole = []
        self.emptied = threading.Event()

    async def _ready(self):
        pass

    def _send(self, message):
        message = protocol.client_messages.decode(protocol.encode(message))
        if isinstance(message, protocol.GetInfo):
            reply = protocol.Info(message.rid, self.model, {})
        else:
            self.sent.append(message)
            reply = self._answer(message)
        shared_loop().call(self._dispatch, reply)

    def _answer(self, message):
        if message.base is not None and message.base not in self.sessions:
            return protocol.Error(message.rid, "session_lost", "not held")
        prompt = [*self.sessions.get(message.base, []), *message.prompt]
        self.whole.append(text_of(prompt))
        if isinstance(message, protocol.Score):
            self.sessions[message.keep_as] = prompt
            scores = [
                protocol.ChoiceScore([1], [protocol.TokenLogprob(-float(len(c)), 1)])
                for c in message.choices
            ]
            return protocol.Scores(message.rid, scores, protocol.Usage(1, 0, 0))
        said = f"<{len(self.whole)}" if message.sampling.max_new_tokens else ""
        output = protocol.Output(said, [ord(c) for c in said], "stop")
        kept = [protocol.Tokens(output.token_ids)] if message.keep_output and said else []
        self.sessions[message.keep_as] = prompt + kept
        return protocol.Done(message.rid, [output], protocol.Usage(1, len(said), 0))

    def _post(self, message):
        if isinstance(message, protocol.Release):
            for number in message.sessions:
                self.sessions.pop(number, None)
            if not self.sessions:
                self.emptied.set()

    def close(self):
        pass


def text_of(parts):
    return "".join(
        part.text if isinstance(part, protocol.Text) else "".join(map(chr, part.ids))
        for part in parts
    )


@pytest.fixture
def connection():
    return HoldingConnection()


@pytest.fixture
def backend(connection):
    return ConnectionBackend(connection)


@bl.function
def chat(s):
    for question in ("one", "two", "three"):
        s += bl.user(question)
        s += bl.assistant(bl.gen(question))


def test_each_call_sends_only_what_is_new(connection, backend):
    state = chat.run(backend=backend)
    state.sync()
    assert [text_of(message.prompt) for message in connection.sent] == [
        "<|user|>one<|end|>\n<|assistant|>",
        "<|end|>\n<|user|>two<|end|>\n<|assistant|>",
        "<|end|>\n<|user|>three<|end|>\n<|assistant|>",
    ]
    assert state.text() == connection.whole[-1] + "<3<|end|>\n"


def test_markup_stays_markup_and_text_stays_text(connection, backend):
    chat.run(backend=backend).sync()
    assert connection.sent[1].prompt == [
        protocol.Text("<|end|>\n<|user|>", markup=True),
        protocol.Text("two"),
        protocol.Text("<|end|>\n<|assistant|>", markup=True),
    ]


def test_branches_go_on_from_their_parents_session(connection, backend):
    @bl.function
    def branches(s):
        s += "trunk "
        forks = s.fork(3)
        forks += lambda i: f"{i}" + bl.gen("x")
        forks += " more" + bl.gen("y")
        forks.join()

    state = branches.run(backend=backend)
    assert len(state["y"]) == 3
    trunk, *rest = connection.sent
    assert text_of(trunk.prompt) == "trunk "
    assert sorted(text_of(message.prompt) for message in rest) == [" more"] * 3 + ["0", "1", "2"]
    assert all(text.startswith("trunk ") for text in connection.whole)


def test_choices_are_scored_in_the_session(connection, backend):
    @bl.function
    def program(s):
        s += "pick " + bl.select("a", ["long", "s"]) + " then " + bl.select("b", ["no", "x"])

    assert program.run(backend=backend).text() == "pick s then x"
    assert [text_of(message.prompt) for message in connection.sent] == ["pick ", "s then "]


def test_thinking_that_is_cut_out_is_not_held(connection, backend):
    @bl.function
    def program(s):
        s += "a" + bl.separate_reasoning(bl.gen("x"), "deepseek-r1") + "b" + bl.gen("y")

    state = program.run(backend=backend)
    assert state.text() == connection.whole[-1] + "<2"
    assert not connection.sent[0].keep_output


def test_a_session_that_was_lost_is_replayed_from_the_log(connection, backend):
    @bl.function
    def program(s):
        s += "a" + bl.gen("x")
        s["x"]
        connection.sessions.clear()
        s += "b" + bl.gen("y")

    state = program.run(backend=backend)
    assert state.error() is None
    assert [text_of(message.prompt) for message in connection.sent] == ["a", "b", "a<1b"]
    assert connection.sent[2].prompt[1] == protocol.Tokens([ord("<"), ord("1")])
    assert connection.sent[2].base is None
    assert state.text() == "a<1b<2"


def test_what_no_state_needs_is_released(connection, backend):
    def run():
        chat.run(backend=backend).sync()

    run()
    # The loop's thread may still be leaving the state when this one collects.
    assert any(gc.collect() < 0 or connection.emptied.wait(0.05) for _ in range(200))


def test_a_forked_child_does_not_release_its_parents_sessions(connection, monkeypatch):
    monkeypatch.setattr("os.getpid", lambda: -1)
    connection.release(1)
    assert not connection._released
