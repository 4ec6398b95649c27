"""Frames that are no messages, on a live socket: refused, counted, and without any other effect."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator
from statistics import quantiles

import pytest
import zmq
from asking import generate, request, run, spawn
from processes import resident_bytes

from branchline.lang.client import ZmqConnection
from branchline.lang.errors import InvalidRequest
from branchline.lang.launch import RuntimeProcess
from branchline.runtime.protocol import (
    PROTOCOL_VERSION,
    Error,
    Generate,
    Hello,
    JsonSchema,
    Ping,
    Pong,
    Regex,
    SamplingParams,
    Score,
    Several,
    Text,
    Tokens,
    Welcome,
    encode,
    front_frames,
    front_messages,
)

# With every commit, and by night with figures.
CAMPAIGN = pytest.mark.parametrize(
    "share",
    [1, pytest.param(20, marks=[pytest.mark.nightly, pytest.mark.timeout(1_700)])],
)
NUM_FRAMES = 5_000
NUM_RAW = 500


@pytest.fixture
def dealer(runtime: RuntimeProcess) -> Iterator[zmq.Socket[bytes]]:
    """A bare socket to the runtime."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    dealer = context.socket(zmq.DEALER)
    dealer.setsockopt(zmq.RCVTIMEO, 10_000)
    dealer.connect(runtime.address)
    yield dealer
    context.destroy(linger=0)


def mutations(seed: int, number: int) -> Iterator[bytes]:
    """Frames that were messages before bytes were changed, cut, doubled or swapped."""
    rng = random.Random(seed)
    sampling = SamplingParams(max_new_tokens=2, temperature=0.5, stop=["x"], logit_bias={3: 1.0})
    seeds = [
        encode(message)
        for message in (
            Hello(PROTOCOL_VERSION, "me"),
            Generate("r", [Text("hello", markup=True), Tokens([1, 2])], sampling),
            Generate("r", [Text("é")], sampling, Regex("[a-z]+"), stream=True, timeout_s=1.0),
            Generate("r", [Text("a")], sampling, JsonSchema('{"type":"object"}')),
            Score("s", [Text("a")], ["b", "c"], unconditional=True),
        )
    ]
    for _ in range(number):
        frame = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(frame))
            match rng.randrange(4):
                case 0:
                    frame[place] = rng.randrange(256)
                case 1:
                    del frame[place : place + rng.randint(1, 8)]
                case 2:
                    frame[place:place] = rng.randbytes(rng.randint(1, 8))
                case 3:
                    frame[place:place] = frame[place : place + 16]
            frame = frame or bytearray(b"\xc0")
        yield bytes(frame)


def canary_s(connection: ZmqConnection, expected: object) -> float:
    """How long a client that behaves waits; its answer is the one it always gets."""
    begun_s = time.perf_counter()
    assert generate(connection, "canary", num_tokens=2).outputs == expected
    return time.perf_counter() - begun_s


@CAMPAIGN
def test_mutated_frames_never_end_the_loop_nor_disturb_a_canary(
    dealer: zmq.Socket[bytes], runtime: RuntimeProcess, connection: ZmqConnection, share: int
) -> None:
    """S2: prints the canary's p99 beside that of an idle runtime, and what the front grew."""
    expected = generate(connection, "canary", num_tokens=2).outputs
    idle_s = [canary_s(connection, expected) for _ in range(20 * share)]
    before = resident_bytes(runtime.pid)
    restarts = run(connection.info()).stats["front_engine_restarts"]
    times_s = []
    for index, frame in enumerate(mutations(1, NUM_FRAMES * share)):
        dealer.send(frame)
        if index % 250 == 0:
            times_s.append(canary_s(connection, expected))
            while dealer.poll(0):
                front_frames.decode(dealer.recv())
    ratio = quantiles(times_s, n=100)[98] / quantiles(idle_s, n=100)[98]
    grown_mib = (resident_bytes(runtime.pid) - before) / 2**20
    print(f"{NUM_FRAMES * share} frames: p99 x{ratio:.2f}, {grown_mib:.1f} MiB more")
    stats = run(connection.info()).stats
    assert stats["front_frames_refused"] > NUM_FRAMES * share / 2
    assert grown_mib <= 16
    assert runtime.alive
    assert stats["front_engine_restarts"] == restarts


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\xc1",
        b"\xdb\xff\xff\xff\xff",  # a string of 4 GiB, declared
        b"\xdf\xff\xff\xff\xff",  # a map of 4 Gi entries, declared
        b"\x91" * 100_000,  # nested deeply
        b"\x81\xa4type\xa4exec",
        encode(Hello(PROTOCOL_VERSION)) + b"\x00",
        b"x" * (1024 * 1024),
    ],
    ids=lambda frame: repr(frame[:12]),
)
def test_a_frame_that_is_no_message_gets_an_error_without_an_id(
    dealer: zmq.Socket[bytes], frame: bytes
) -> None:
    dealer.send(frame)
    answer = front_messages.decode(dealer.recv())
    assert isinstance(answer, Error)
    assert (answer.rid, answer.code) == (None, "invalid_request")
    dealer.send(encode(Hello(PROTOCOL_VERSION)))
    assert isinstance(front_messages.decode(dealer.recv()), Welcome)


def test_a_field_out_of_bounds_ends_its_own_request_and_no_other_of_its_client(
    connection: ZmqConnection,
) -> None:
    other = spawn(connection.complete(request(connection, num_tokens=300)))
    asked = request(connection)
    large = Generate(asked.rid, asked.prompt, asked.sampling, JsonSchema(" " * 300_000))
    with pytest.raises(InvalidRequest, match="constraint"):
        run(connection.complete(large))
    assert len(other.result(60).outputs[0].token_ids) == 300


def test_half_a_surrogate_pair_is_refused_before_it_is_sent(connection: ZmqConnection) -> None:
    with pytest.raises(InvalidRequest, match=r"'\\ud800'"):
        generate(connection, "hello \ud800")
    assert generate(connection).outputs


def test_each_part_of_a_message_is_a_frame_of_its_own(dealer: zmq.Socket[bytes]) -> None:
    dealer.send_multipart([b"", encode(Hello(PROTOCOL_VERSION)), encode(Ping(seq=7))])
    answers = front_frames.decode(dealer.recv())
    assert isinstance(answers, Several)
    refused, *others = answers.messages
    assert isinstance(refused, Error)
    assert "not a message" in refused.message
    assert [type(other) for other in others] == [Welcome, Pong]


@CAMPAIGN
def test_bytes_that_are_not_even_zeromq_end_nothing(
    runtime: RuntimeProcess, connection: ZmqConnection, share: int
) -> None:
    rng = random.Random(2)
    path = runtime.address.removeprefix("ipc://")
    for _ in range(NUM_RAW * share):
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(path)
            raw.sendall(rng.choice([b"\xff\0\0\0\0\0\0\0\x01\x7f", b""]) + rng.randbytes(100))
    assert generate(connection).outputs
