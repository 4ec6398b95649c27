"""Sessions and healed prompts with a real engine: what states send bit by bit is what they say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import branchline as bl
from branchline.lang.loop import shared_loop
from branchline.runtime.protocol import SamplingParams


@pytest.fixture(scope="module")
def engine(model_dir: Path) -> Iterator[bl.Engine]:
    with bl.Engine(str(model_dir), kv_slots=4096, num_threads=1) as engine:
        yield engine


@bl.function
def program(s, healing):
    s += "the quick bro"
    s += bl.gen("a", max_tokens=6, temperature=0.0, ignore_eos=True, token_healing=healing)
    forks = s.fork(2)
    for number, branch in enumerate(forks):
        branch += f" and {number}"
        branch += bl.gen("b", max_tokens=4, temperature=0.0, ignore_eos=True)
    forks.join()
    s += " then " + bl.select("c", ["dogs", "cats"])
    s += " so " + bl.gen("d", max_tokens=4, temperature=0.0, ignore_eos=True)


@pytest.mark.parametrize("healing", [False, True])
def test_the_whole_prompt_sent_at_once_gives_the_same(engine: bl.Engine, healing: bool) -> None:
    state = program.run(healing, backend=engine)
    assert state.error() is None
    assert state.text() == (f"the quick bro{state['a']} then {state['c']} so {state['d']}")
    # The log of the state in one piece, without the last output's tokens.
    prompt = state.stream_executor.transcript.parts[:-1]
    sampling = SamplingParams(max_new_tokens=4, temperature=0.0, ignore_eos=True)
    done = shared_loop().run(engine.endpoint.generate(prompt, sampling))
    assert done.outputs[0].text == state["d"]
    assert done.usage.prompt_tokens == state.get_meta_info("d")["prompt_tokens"]


@bl.function
def counting(s, reads):
    s += "the quick"
    for number in range(6):
        s += f" and {number}"
        s += bl.gen(f"x{number}", max_tokens=4, temperature=0.0, ignore_eos=True)
        if reads:
            s.sync()


def test_calls_that_are_sent_ahead_are_those_made_one_by_one(engine: bl.Engine) -> None:
    states = [counting.run(reads, backend=engine) for reads in (False, True)]
    ahead, read = (state.stream_executor.transcript for state in states)
    assert ahead.parts == read.parts
    assert [usage.prompt_tokens for usage in states[0].usages()] == [
        usage.prompt_tokens for usage in states[1].usages()
    ]


def test_sessions_end_with_their_states(engine: bl.Engine) -> None:
    state = program.run(False, backend=engine)
    state.sync()
    assert engine.get_server_info()["front_sessions"] >= 1
