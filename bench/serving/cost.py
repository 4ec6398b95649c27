"""What a generated token costs the front process, over ZeroMQ and over HTTP. Used by
__main__.py."""

from __future__ import annotations

import asyncio
from typing import Any

from branchline.lang.client import ZmqConnection
from branchline.lang.launch import RuntimeProcess
from branchline.lang.loop import shared_loop
from branchline.runtime.protocol import Generate, SamplingParams, Text

from ..processes import cpu_seconds
from ..report import Report, interleaved
from .clients import Heard, ask, completion

STREAMS = 64
ZMQ_US = 50.0
HTTP_US = 150.0
_PROMPT = "the quick brown"


def measure(report: Report, process: RuntimeProcess, *, num_tokens: int, rounds: int) -> None:
    """64 streams at a time; the runtime guesses no tokens, so each comes with a step of its own."""
    connection = ZmqConnection(process.address)
    url = str(process.http_url)
    chat: dict[str, Any] = {
        "messages": [{"role": "user", "content": _PROMPT}],
        **{name: value for name, value in completion("", num_tokens).items() if name != "prompt"},
    }

    async def over_zmq() -> int:
        request = Generate(
            rid=connection.new_rid(),
            prompt=[Text(_PROMPT)],
            sampling=SamplingParams(max_new_tokens=num_tokens, temperature=0.0, ignore_eos=True),
            stream=True,
        )
        return sum([1 async for _ in connection.generate(request)])

    async def over_http(path: str, body: dict[str, Any]) -> Heard:
        heard = await ask(url, body, path=path)
        if not heard.whole:
            raise RuntimeError(f"a stream of {path} was not whole: status {heard.status}")
        return heard

    def cpu_us(make: Any) -> float:
        async def all_of_them() -> None:
            await asyncio.gather(*(make() for _ in range(STREAMS)))

        front = {"front": process.pid}
        before_s = cpu_seconds(front)["front"]
        shared_loop().run(all_of_them())
        return (cpu_seconds(front)["front"] - before_s) * 1e6 / (STREAMS * num_tokens)

    costs, samples = interleaved(
        {
            "ZeroMQ": lambda: cpu_us(over_zmq),
            "HTTP": lambda: cpu_us(
                lambda: over_http("/v1/completions", completion(_PROMPT, num_tokens))
            ),
            "HTTP chat": lambda: cpu_us(lambda: over_http("/v1/chat/completions", chat)),
        },
        rounds,
    )
    connection.close()
    for name, goal in (("ZeroMQ", ZMQ_US), ("HTTP", HTTP_US), ("HTTP chat", HTTP_US)):
        spread = ", ".join(f"{sample:.1f}" for sample in samples[name])
        report.add(
            f"front's CPU per token, {STREAMS} streams, {name}",
            costs[name],
            "us",
            goal=goal,
            at_most=True,
            detail=f"{STREAMS * num_tokens:,} tokens a round: {spread}",
        )
