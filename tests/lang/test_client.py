"""The ZeroMQ connection against a front process played by the test."""

from __future__ import annotations

import concurrent.futures
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_front import MODEL, FakeFront
from msgspec.structs import replace
from stopwatch import Stopwatch

from branchline.lang import client
from branchline.lang import connection as connection_module
from branchline.lang.client import ZmqConnection
from branchline.lang.errors import (
    ContextLengthExceeded,
    InternalError,
    InvalidRequest,
    Overloaded,
    RuntimeUnavailable,
)
from branchline.lang.loop import shared_loop
from branchline.runtime.protocol import (
    MAX_FRAME_BYTES,
    Cancel,
    Chunk,
    Done,
    Error,
    FlushCache,
    Flushed,
    Generate,
    GetInfo,
    Info,
    Output,
    Score,
    Scores,
    Text,
    Usage,
)

USAGE = Usage(1, 1, 0)


@pytest.fixture
def connection(front: FakeFront) -> Iterator[ZmqConnection]:
    connection = ZmqConnection(front.address)
    yield connection
    connection.close()


def ask(connection: ZmqConnection, text: str = "hi") -> concurrent.futures.Future[Done]:
    request = Generate(connection.new_rid(), [Text(text)])
    return shared_loop().spawn(connection.complete(request))


def done(rid: str, text: str = "yes") -> Done:
    return Done(rid, [Output(text, [1], "stop")], USAGE)


def test_connecting_tells_the_model(connection: ZmqConnection) -> None:
    assert connection.model == MODEL
    assert connection.epoch == "one"
    assert connection.runtime_ready


def test_answers_find_their_requests_in_any_order(
    front: FakeFront, connection: ZmqConnection
) -> None:
    first, second = ask(connection, "1"), ask(connection, "2")
    requests = sorted((front.next() for _ in range(2)), key=lambda request: request.prompt[0].text)
    front.reply(done(requests[1].rid, "two"), done(requests[0].rid, "one"))
    assert first.result(60).outputs[0].text == "one"
    assert second.result(60).outputs[0].text == "two"


def test_every_kind_of_request_has_its_answer(front: FakeFront, connection: ZmqConnection) -> None:
    spawn = shared_loop().spawn
    score = spawn(connection.score(Score(connection.new_rid(), [Text("a")], ["b"])))
    asked = front.next()
    assert isinstance(asked, Score)
    front.reply(Scores(asked.rid, [], USAGE))
    assert score.result(60) == Scores(asked.rid, [], USAGE)
    info = spawn(connection.info())
    asked = front.next()
    assert isinstance(asked, GetInfo)
    front.reply(Info(asked.rid, MODEL, {"steps": 3.0}))
    assert info.result(60).stats == {"steps": 3.0}
    flush = spawn(connection.flush_cache())
    asked = front.next()
    assert isinstance(asked, FlushCache)
    front.reply(Flushed(asked.rid, 9))
    assert flush.result(60) == 9


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Error("", "context_length", "too long", "/prompt"), ContextLengthExceeded),
        (Error("", "overloaded", "full", None, 2.5), Overloaded),
        (Error("", "internal", "oops"), InternalError),
    ],
)
def test_an_error_is_raised_as_its_exception(
    front: FakeFront, connection: ZmqConnection, error: Error, kind: type
) -> None:
    future = ask(connection)
    rid = front.next().rid
    front.reply(Error(rid, error.code, error.message, error.pointer, error.retry_after_s))
    with pytest.raises(kind, match=error.message) as caught:
        future.result(60)
    assert caught.value.pointer == error.pointer
    assert caught.value.retry_after_s == error.retry_after_s


def test_a_stream_yields_chunks_then_the_done(front: FakeFront, connection: ZmqConnection) -> None:
    async def collect() -> list[str]:
        request = Generate(connection.new_rid(), [Text("a")], stream=True)
        return [type(reply).__name__ async for reply in connection.generate(request)]

    future = shared_loop().spawn(collect())
    rid = front.next().rid
    front.reply(Chunk(rid, 0, 0, "y", [1]), Chunk(rid, 1, 0, "es", [2]), done(rid))
    assert future.result(60) == ["Chunk", "Chunk", "Done"]


def test_a_lost_chunk_ends_the_stream_instead_of_missing_text(
    front: FakeFront, connection: ZmqConnection
) -> None:
    async def collect() -> None:
        request = Generate(connection.new_rid(), [Text("a")], stream=True)
        async for _ in connection.generate(request):
            pass

    future = shared_loop().spawn(collect())
    rid = front.next().rid
    front.reply(Chunk(rid, 0, 0, "y", [1]), Chunk(rid, 2, 0, "es", [2]), done(rid))
    with pytest.raises(InternalError, match="chunk 1 of a stream was lost"):
        future.result(60)
    assert front.next() == Cancel(rid)


def test_a_lost_end_of_a_stream_is_an_error(front: FakeFront, connection: ZmqConnection) -> None:
    async def collect() -> None:
        request = Generate(connection.new_rid(), [Text("a")], stream=True)
        async for _ in connection.generate(request):
            pass

    future = shared_loop().spawn(collect())
    rid = front.next().rid
    front.reply(Chunk(rid, 0, 0, "y", [1]), replace(done(rid), num_chunks=2))
    with pytest.raises(InternalError, match="chunk 1 of a stream was lost"):
        future.result(60)


def test_a_request_that_nobody_answers_is_sent_again_as_it_was(
    front: FakeFront, connection: ZmqConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "RESEND_S", 0.1)
    future = ask(connection)
    first = front.next()
    again = front.next()
    assert again == first
    front.reply(done(again.rid))
    assert future.result(60).rid == first.rid


def test_cancelling_tells_the_runtime(front: FakeFront, connection: ZmqConnection) -> None:
    future = ask(connection)
    rid = front.next().rid
    future.cancel()
    assert front.next() == Cancel(rid)


def test_a_finished_request_is_not_cancelled(front: FakeFront, connection: ZmqConnection) -> None:
    future = ask(connection)
    front.reply(done(front.next().rid))
    future.result(60)
    ask(connection, "next")
    assert isinstance(front.next(), Generate)


def test_what_is_asked_in_one_turn_of_the_loop_leaves_as_one_message_in_order(
    front: FakeFront, connection: ZmqConnection
) -> None:
    requests = [Generate(connection.new_rid(), [Text(f"{number}")]) for number in range(300)]

    async def ask_all() -> list[Done]:
        begun = [connection.begin(request) for request in requests]
        return [await one.done() for one in begun]

    answers = shared_loop().spawn(ask_all())
    assert [front.next().rid for _ in requests] == [request.rid for request in requests]
    front.reply(*(done(request.rid) for request in requests))
    answers.result(60)
    assert [size for size in front.sizes if size > 1] == [256, 44]


def test_a_request_id_cannot_be_used_twice_at_a_time(
    front: FakeFront, connection: ZmqConnection
) -> None:
    shared_loop().spawn(connection.complete(Generate("same", [Text("a")])))
    front.next()
    with pytest.raises(ValueError, match="'same' is in use"):
        shared_loop().run(connection.complete(Generate("same", [Text("b")])))


def test_a_request_too_long_for_a_frame_never_leaves(connection: ZmqConnection) -> None:
    with pytest.raises(InvalidRequest, match="bytes on the wire"):
        ask(connection, "x" * MAX_FRAME_BYTES).result(60)


def test_a_runtime_that_dies_fails_everything_at_once(
    front: FakeFront, connection: ZmqConnection
) -> None:
    futures = [ask(connection) for _ in range(50)]
    for _ in futures:
        front.next()
    with Stopwatch() as watch:
        front.close()
        for future in futures:
            with pytest.raises(RuntimeUnavailable, match="is gone"):
                future.result(60)
    assert watch.seconds < 1.0


def test_answers_sent_before_the_end_still_count(
    front: FakeFront, connection: ZmqConnection
) -> None:
    future = ask(connection)
    front.reply(done(front.next().rid))
    assert future.result(60).outputs[0].text == "yes"
    front.close()


def test_the_next_request_connects_again(front: FakeFront, connection: ZmqConnection) -> None:
    lost = ask(connection)
    front.next()
    front.close()
    with pytest.raises(RuntimeUnavailable):
        lost.result(60)
    second = FakeFront(front.address, epoch="two")
    future = ask(connection)
    second.reply(done(second.next().rid, "again"))
    assert future.result(60).outputs[0].text == "again"
    assert connection.epoch == "two"
    second.close()


def test_a_silent_runtime_is_given_up(
    front: FakeFront, connection: ZmqConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "SILENCE_LIMIT_S", 0.2)
    front.pongs = False
    with pytest.raises(RuntimeUnavailable, match="was silent"):
        ask(connection).result(60)


def test_a_frame_that_is_no_message_ends_the_connection(
    front: FakeFront, connection: ZmqConnection
) -> None:
    future = ask(connection)
    front.next()
    front.reply_bytes(b"\xc1")
    with pytest.raises(RuntimeUnavailable, match="no Branchline runtime"):
        future.result(60)


def test_an_error_without_an_id_fails_everything(
    front: FakeFront, connection: ZmqConnection
) -> None:
    future = ask(connection)
    front.next()
    front.reply(Error(None, "invalid_request", "the frame is not a message"))
    with pytest.raises(RuntimeUnavailable, match="the frame is not a message"):
        future.result(60)


def test_nobody_listening_is_told_at_once(tmp_path: Path) -> None:
    with Stopwatch() as watch:
        with pytest.raises(RuntimeUnavailable, match="no runtime listens"):
            ZmqConnection(f"ipc://{tmp_path}/nothing")
        with pytest.raises(RuntimeUnavailable, match="no runtime listens"):
            ZmqConnection("tcp://127.0.0.1:1")
    assert watch.seconds < 2.0


def test_a_peer_that_does_not_answer_is_given_up_after_the_timeout() -> None:
    mute = FakeFront("tcp://127.0.0.1:0", greets=False)
    with pytest.raises(RuntimeUnavailable, match=r"within 0\.2 s"):
        ZmqConnection(mute.address, connect_timeout_s=0.2)
    mute.close()


def test_a_runtime_of_another_version_says_so() -> None:
    front = FakeFront("tcp://127.0.0.1:0")
    front.greet_with(Error(None, "invalid_request", "the client speaks protocol version 1"))
    with pytest.raises(InvalidRequest, match="protocol version"):
        ZmqConnection(front.address)
    front.close()


def test_an_address_of_another_kind_is_refused() -> None:
    with pytest.raises(RuntimeUnavailable, match="expected ipc:///path, tcp://host:port"):
        ZmqConnection("http://localhost:8000")


def test_a_closed_connection_refuses_and_closing_again_is_harmless(
    connection: ZmqConnection,
) -> None:
    connection.close()
    connection.close()
    with pytest.raises(RuntimeUnavailable, match="closed"):
        ask(connection).result(60)


def test_closed_connections_leave_no_file_descriptors(front: FakeFront) -> None:
    ZmqConnection(front.address).close()
    before = len(os.listdir("/dev/fd"))
    for _ in range(20):
        ZmqConnection(front.address).close()
    # The front's side of the last connection may still be open for a moment.
    assert len(os.listdir("/dev/fd")) <= before + 2


@pytest.mark.parametrize(
    ("address", "meant"),
    [
        ("127.0.0.1:8123", "http://127.0.0.1:8123"),
        ("localhost:5555", "http://localhost:5555"),
        ("/run/x.sock", "ipc:///run/x.sock"),
    ],
)
def test_an_address_without_its_form_is_answered_with_one(address: str, meant: str) -> None:
    with pytest.raises(RuntimeUnavailable, match=f"or http://host:port .*; did you mean {meant}"):
        ZmqConnection(address)
