"""The backend over a Connection: what goes out, and what happens when a call is left early."""

from __future__ import annotations

import threading

import pytest
from scripted import model_info

import branchline as bl
from branchline.lang.backend.runtime_endpoint import ConnectionBackend
from branchline.lang.connection import RequestTable
from branchline.lang.loop import shared_loop
from branchline.runtime import protocol


class PlayedConnection(RequestTable):
    """A connection whose other end is played by the test: `answer` is called per message."""

    address = "played"
    model = model_info()

    def __init__(self, answer):
        super().__init__()
        self.answer = answer
        self.sent = []
        self.closed = False
        self.cancelled = threading.Event()

    async def _ready(self):
        pass

    def _send(self, message):
        # Through a frame and back, as over the wire.
        message = protocol.client_messages.decode(protocol.encode(message))
        self.sent.append(message)
        for reply in self.answer(message):
            shared_loop().call(self._dispatch, reply)

    def _post(self, message):
        self.sent.append(message)
        self.cancelled.set()

    def close(self):
        self.closed = True


def done(rid, text):
    output = protocol.Output(text, [ord(c) for c in text], "stop")
    return protocol.Done(rid, [output], protocol.Usage(1, len(text), 0))


def answer(message):
    match message:
        case protocol.Generate(rid=rid, stream=stream):
            if stream:
                yield protocol.Chunk(rid, 0, 0, "o", [111])
                yield protocol.Chunk(rid, 1, 0, "k", [107])
            yield done(rid, "ok")
        case protocol.Score(rid=rid, choices=choices):
            scores = [
                protocol.ChoiceScore([1], [protocol.TokenLogprob(-float(len(c)), 1)])
                for c in choices
            ]
            yield protocol.Scores(rid, scores, protocol.Usage(1, 0, 0))
        case protocol.FlushCache(rid=rid):
            yield protocol.Flushed(rid, 5)
        case protocol.GetInfo(rid=rid):
            yield protocol.Info(rid, model_info(), {"requests": 2.0})


@bl.function
def program(s):
    s += bl.user("hi " + bl.gen("x", regex="ok"))
    s += bl.select("y", ["long", "s"])


class Kind(str):
    """Text of another type, as an enum's members and numpy's strings are."""


def test_texts_of_a_subclass_of_str_are_texts():
    @bl.function
    def told(s, kind):
        s += kind
        s += bl.gen("x", regex=kind, stop=kind) + bl.select("y", [kind, "s"])

    connection = PlayedConnection(answer)
    kind = Kind("ok")
    assert told.run(kind, backend=ConnectionBackend(connection)).text() == "okoks"
    generated, scored = connection.sent
    assert generated.prompt == [protocol.Text("ok")]
    assert (generated.constraint.pattern, generated.sampling.stop) == ("ok", ["ok"])
    assert scored.choices == ["ok", "s"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_program_runs_over_a_connection(stream):
    connection = PlayedConnection(answer)
    state = program.run(backend=ConnectionBackend(connection), stream=stream)
    assert "".join(state.text_iter()) == state.text() == "<|user|>hi ok<|end|>\ns"
    generate = connection.sent[0]
    assert (generate.constraint, generate.stream) == (protocol.Regex("ok"), stream)
    assert all(not isinstance(message, protocol.Cancel) for message in connection.sent)


@pytest.mark.parametrize("stream", [False, True])
def test_cancelling_a_program_cancels_its_request(stream):
    connection = PlayedConnection(lambda message: ())
    state = program.run(backend=ConnectionBackend(connection), stream=stream)
    while not connection.sent:
        shared_loop().run(nothing())
    state.cancel()
    with pytest.raises(bl.Cancelled):
        state["x"]
    assert connection.cancelled.wait(30)
    assert connection.sent[1] == protocol.Cancel(rid=connection.sent[0].rid)


def test_an_error_of_the_wire_is_raised_where_the_result_is_read():
    def refuse(message):
        yield protocol.Error(message.rid, "context_length", "prompt of 9 tokens", "/prompt")

    state = program.run(backend=ConnectionBackend(PlayedConnection(refuse)))
    with pytest.raises(bl.ContextLengthExceeded, match=r"prompt of 9 tokens \[program 'program'"):
        state["x"]


def test_the_runtime_can_be_asked_and_told_things():
    backend = ConnectionBackend(PlayedConnection(answer))
    assert bl.flush_cache(backend) is True
    info = bl.get_server_info(backend)
    assert info is not None
    assert (info["architecture"], info["requests"]) == ("ScriptedForCausalLM", 2.0)
    assert backend.get_model_name() == "scripted"


def test_a_template_can_be_named():
    backend = ConnectionBackend(PlayedConnection(answer), chat_template_name="chatml")
    assert program.run(backend=backend).text().startswith("<|im_start|>user\nhi ok")


def test_the_end_of_the_block_closes_the_connection():
    connection = PlayedConnection(answer)
    with ConnectionBackend(connection):
        pass
    assert connection.closed


def test_an_address_where_nobody_listens_is_an_error_at_once():
    with pytest.raises(bl.RuntimeUnavailable, match="no runtime listens"):
        bl.RuntimeEndpoint("ipc:///nonexistent/branchline.sock")


async def nothing():
    pass
