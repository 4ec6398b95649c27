"""R7: the engine is killed at any point of a request's way; whoever is on it is told, and nobody is
told anything else than that, or a whole answer. Prints how soon, and how soon all is well again."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import socket
import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection

import pytest
from asking import ENDLESS, generate, request, run, spawn
from processes import children
from stopwatch import Stopwatch, seconds_until

import branchline as bl
from branchline.lang.client import ZmqConnection
from branchline.lang.errors import RuntimeUnavailable
from branchline.lang.launch import RuntimeProcess
from branchline.runtime.protocol import Generate, JsonSchema, SamplingParams, Score, Text

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(1_700)]

Start = Callable[..., RuntimeProcess]
Told = list[Future[str]]

NUM_IN_FLIGHT = 200
# The front gives up on an engine that dies more than five times a minute.
KILLS_EACH = 5
NUM_RUNTIMES = 4


class Site:
    """A runtime and its clients. Every request ends as "done" or "unavailable", or it fails."""

    def __init__(
        self, process: RuntimeProcess, threads: ThreadPoolExecutor, sockets: ExitStack
    ) -> None:
        self.process = process
        self.sockets = sockets
        self.connection = ZmqConnection(process.address)
        self.host = str(process.http_url).removeprefix("http://")
        self.threads = threads

    async def _complete(self, asked: Generate) -> str:
        try:
            done = await self.connection.complete(asked)
        except RuntimeUnavailable:
            return "unavailable"
        assert done.outputs
        return "done"

    def complete(self, ask: Callable[[], Generate]) -> Told:
        return [spawn(self._complete(ask())) for _ in range(NUM_IN_FLIGHT)]

    def post(self, **fields: object) -> str:
        """Over HTTP: 503 with Retry-After, or a stream that says why it ends."""
        body = {"prompt": "the fox", "max_tokens": ENDLESS, "ignore_eos": True, **fields}
        with closing(HTTPConnection(self.host, timeout=30)) as client:
            kind = {"Content-Type": "application/json"}
            client.request("POST", "/v1/completions", json.dumps(body), kind)
            answer = client.getresponse()
            text = answer.read()  # raises IncompleteRead for one that is cut
        if answer.status == 503:
            assert answer.headers["retry-after"]
            return "unavailable"
        assert answer.status == 200, text
        if "stream" not in fields:
            return "done"
        events = re.findall(rb"^data: (.*)$", text, re.MULTILINE)
        failed = [event for event in events if b'"error"' in event]
        assert bool(failed) != (events[-1] == b"[DONE]"), events[-3:]
        return "unavailable" if failed else "done"

    def program(self) -> str:
        """A plan of two calls, compiled and sent whole."""

        @bl.function
        def tell(s: bl.ProgramState) -> None:
            s += "the quick " + bl.gen("a", max_tokens=1_500, ignore_eos=True)
            s += " fox " + bl.gen("b", max_tokens=1_500, ignore_eos=True)

        with bl.RuntimeEndpoint(self.process.address) as endpoint:
            [state] = tell.run_batch([{}], backend=endpoint, compiled=True, retry=bl.Retry.off())
            error = state.error()
        assert error is None or isinstance(error, bl.RuntimeUnavailable), error
        return "done" if error is None else "unavailable"

    def in_threads(self, ask: Callable[[], str], number: int = NUM_IN_FLIGHT) -> Told:
        return [self.threads.submit(ask) for _ in range(number)]

    @property
    def is_busy(self) -> bool:
        stats = run(self.connection.info()).stats
        return stats["running"] + stats["waiting"] + stats["compiling"] > 0

    @property
    def serves(self) -> bool:
        try:
            return bool(generate(self.connection).outputs)
        except RuntimeUnavailable:
            return False

    def kill(self) -> None:
        for engine in children(self.process.pid):
            os.kill(engine, signal.SIGKILL)


def decoding(site: Site) -> Told:
    return site.complete(lambda: request(site.connection, num_tokens=ENDLESS))


def streaming(site: Site) -> Told:
    return site.complete(lambda: request(site.connection, num_tokens=ENDLESS, stream=True))


def in_prefill(site: Site) -> Told:
    numbers = itertools.count()  # none shares another's prompt
    prompt = "the quick brown fox " * 600
    return site.complete(
        lambda: request(site.connection, f"{next(numbers)} {prompt}", num_tokens=8)
    )


def compiling(site: Site) -> Told:
    names = ",".join(f'"p{i}":{{"enum":["a{i}","b{i}"]}}' for i in range(60))
    schema = JsonSchema(f'{{"type":"object","properties":{{{names}}}}}')
    sampling = SamplingParams(max_new_tokens=400)
    rid = site.connection.new_rid
    return site.complete(lambda: Generate(rid(), [Text("the")], sampling, schema))


def branching(site: Site) -> Told:
    sampling = SamplingParams(max_new_tokens=2_000, n=4, ignore_eos=True)
    rid = site.connection.new_rid
    return site.complete(lambda: Generate(rid(), [Text("the")], sampling))


def scoring(site: Site) -> Told:
    async def score(number: int) -> str:
        choices = [f"the {word} fox " * 50 for word in ("quick", "lazy", "sly")]
        asked = Score(site.connection.new_rid(), [Text(f"{number} {'quick ' * 900}")], choices)
        try:
            await site.connection.score(asked)
        except RuntimeUnavailable:
            return "unavailable"
        return "done"

    return [spawn(score(number)) for number in range(NUM_IN_FLIGHT)]


def in_a_plan(site: Site) -> Told:
    return site.in_threads(site.program, 50)


def over_http(site: Site) -> Told:
    return site.in_threads(site.post)


def in_mid_event(site: Site) -> Told:
    return site.in_threads(lambda: site.post(stream=True))


def in_mid_frame(site: Site) -> Told:
    """Beside clients who wait, some that have said half of what they say, on either socket."""
    path = site.process.address.removeprefix("ipc://")
    for _ in range(10):
        raw = site.sockets.enter_context(socket.socket(socket.AF_UNIX))
        raw.connect(path)
        raw.sendall(b"\xff\0\0\0\0\0\0\0\x01\x7f\x03")
        host, _, port = site.host.rpartition(":")
        half = site.sockets.enter_context(socket.create_connection((host, int(port))))
        half.sendall(b"POST /generate HTTP/1.1\r\nHost: localhost\r\nContent-Le")
    return decoding(site)


def at_its_start(site: Site) -> Told:
    """It was killed just now, and is killed again as soon as another is there."""
    before = children(site.process.pid)
    told = decoding(site)
    site.kill()
    seconds_until(lambda: children(site.process.pid) not in ([], before), 30)
    return told


def idle(site: Site) -> Told:
    return []


POINTS = (
    *(idle, decoding, streaming, in_prefill, compiling, branching, scoring),
    *(in_a_plan, over_http, in_mid_event, in_mid_frame, at_its_start),
)


@contextmanager
def site_of(start: Start) -> Iterator[Site]:
    process = start(http="127.0.0.1:0", max_waiting=10_000)
    with ThreadPoolExecutor(NUM_IN_FLIGHT) as threads, ExitStack() as sockets:
        site = Site(process, threads, sockets)
        yield site
        site.connection.close()
    process.close()


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.__name__)
def test_whoever_is_on_the_way_is_told_when_the_engine_is_killed(
    start: Start, point: Callable[[Site], Told]
) -> None:
    ends = Counter[str]()
    told_s: list[float] = []
    back_s: list[float] = []
    kills = KILLS_EACH // 2 if point is at_its_start else KILLS_EACH
    for _ in range(NUM_RUNTIMES):
        with site_of(start) as site:
            for _ in range(kills):
                futures = point(site)
                if futures and point is not at_its_start:
                    seconds_until(lambda last=futures[-1]: site.is_busy or last.done(), 60)
                with Stopwatch() as watch:
                    site.kill()
                    ends.update(future.result(60) for future in futures)
                told_s.append(watch.seconds)
                back_s.append(watch.seconds + seconds_until(lambda: site.serves, 60))
    print(
        f"{len(told_s)} kills, {dict(ends)}; all told after p50 {statistics.median(told_s):.3f}, "
        f"at most {max(told_s):.3f} s; serving again after p50 {statistics.median(back_s):.2f}, "
        f"at most {max(back_s):.2f} s"
    )
    assert ends.keys() <= {"done", "unavailable"}
    assert ends.total() >= (0 if point is idle else len(told_s) * 50)
    assert max(told_s) <= 1.0
