"""Calls that follow each other in the engine: a sequence goes on with the next one."""

from __future__ import annotations

import numpy as np
from hash_runner import EOS, HashRunner, continuation
from script_grammar import Script, ScriptCompiler, named
from world import Heard, World

from branchline.runtime.engine_protocol import NextCall
from branchline.runtime.protocol import Constraint, LogprobParams, SamplingParams

PROMPT = [5, 6, 7, 8]


def call(
    *ids: int,
    max_new_tokens: int = 3,
    constraint: Constraint | None = None,
    logprobs: LogprobParams | None = None,
    **sampling: object,
) -> NextCall:
    params = SamplingParams(
        **{"max_new_tokens": max_new_tokens, "temperature": 0.0, "ignore_eos": True, **sampling}
    )
    return NextCall(list(ids), params, constraint, logprobs)


def family(heard: Heard) -> list[Heard]:
    """A call and those that its sequence went on with."""
    return [heard, *(family(heard.heir) if heard.heir else [])]


def stopping_prompt(world: World, length: int) -> list[int]:
    """A prompt behind which the model says `length` tokens and then ends."""
    for start in range(1, 60):
        for second in range(1, 60):
            said = continuation([start, second], length + 1, world.runner.vocab_size)
            if EOS in said and said.index(EOS) == length:
                return [start, second]
    raise AssertionError("the model never ends so soon")


def test_every_call_says_what_it_would_have_said_by_itself() -> None:
    world = World()
    first = world.submit(PROMPT, 3, ignore_eos=True, then=[call(1, 2), call(9), call(3, 3, 3)])
    world.run()
    calls = family(first)
    assert len(calls) == 4
    for heard in calls:
        world.assert_right(heard)
    world.assert_idle()


def test_the_next_call_computes_nothing_that_the_one_before_has_computed() -> None:
    world = World()
    first = world.submit(PROMPT, 3, ignore_eos=True, then=[call(1, 2)])
    world.run()
    # The last token of all is never computed.
    assert world.runner.num_tokens_computed == len(PROMPT) + 3 + 2 + 3 - 1
    _, second = family(first)
    assert second.cached_tokens == len(PROMPT) + 2


def test_the_next_call_runs_in_the_step_after_the_last_token() -> None:
    world = World(max_running=1)
    first = world.submit(PROMPT, 3, ignore_eos=True, then=[call(1, 2)])
    other = world.submit([40, 41], 1)
    for _ in range(6):
        world.step()
    assert [heard.over for heard in family(first)] == [True, True]
    assert not other.over


def test_the_end_token_is_not_part_of_the_next_prompt() -> None:
    world = World()
    prompt = stopping_prompt(world, 3)
    first = world.submit(prompt, 20, then=[call(1, 2)])
    world.run()
    heir = first.heir
    assert heir is not None
    assert EOS not in heir.submit.input_ids
    world.assert_right(heir)
    world.assert_idle()


def test_a_call_without_text_between_computes_its_last_token_again() -> None:
    world = World()
    first = world.submit(stopping_prompt(world, 3), 20, then=[call()])
    world.run()
    assert first.heir is not None
    world.assert_right(first.heir)


def test_a_call_that_says_nothing_ends_its_sequence() -> None:
    world = World()
    first = world.submit(stopping_prompt(world, 0), 20, then=[call(1, 2)])
    world.run()
    assert first.finish == "stop"
    assert first.heir is None


def test_a_call_that_a_stop_string_ends_ends_its_sequence() -> None:
    world = World()
    said = continuation(PROMPT, 4, world.runner.vocab_size)
    stop = world.tokenizer.decode(said[2:4])
    first = world.submit(PROMPT, 20, ignore_eos=True, stop=[stop], then=[call(1, 2)])
    world.run()
    assert first.matched_stop == stop
    assert first.heir is None
    world.assert_idle()


def test_a_call_whose_prompt_does_not_fit_the_context_ends_its_sequence() -> None:
    world = World(runner=HashRunner(100, context_length=12))
    first = world.submit(PROMPT, 3, ignore_eos=True, then=[call(1, 2, 3, 4, 5)])
    world.run()
    assert first.finish == "length"
    assert first.heir is None
    world.assert_idle()


def test_the_next_call_gets_no_more_tokens_than_the_context_holds() -> None:
    world = World(runner=HashRunner(100, context_length=12))
    first = world.submit(PROMPT, 3, ignore_eos=True, then=[call(1, max_new_tokens=50)])
    world.run()
    assert first.heir is not None
    assert len(first.heir.token_ids) == 4
    world.assert_right(first.heir)


def test_dropping_a_sequence_that_has_gone_on_frees_it() -> None:
    world = World()
    first = world.submit(PROMPT, 3, ignore_eos=True, then=[call(1, 2, max_new_tokens=50), call(3)])
    for _ in range(6):
        world.step()
    assert first.heir is not None
    world.drop(first.heir)
    world.assert_idle()


def test_a_call_whose_grammar_is_known_goes_on_under_it() -> None:
    script = Script([{11}, {12}])
    world = World(compiler=ScriptCompiler({"known": script}))
    world.submit([1, 2], 2, constraint=named("known"))
    world.run()
    first = world.submit(PROMPT, 3, ignore_eos=True, then=[call(1, constraint=named("known"))])
    world.run()
    assert first.heir is not None
    assert first.heir.token_ids == [11, 12]


def test_a_call_whose_grammar_is_not_compiled_yet_ends_its_sequence() -> None:
    world = World(compiler=ScriptCompiler({"known": Script([{11}])}))
    first = world.submit(PROMPT, 3, ignore_eos=True, then=[call(1, constraint=named("known"))])
    world.run()
    assert first.heir is None
    world.assert_idle()


def test_a_grammar_that_fails_at_once_ends_the_sequence_before_and_no_other() -> None:
    script = Script([{11}])
    compiler = ScriptCompiler({"broken": script})
    world = World(compiler=compiler, strict=False)
    world.submit([1, 2], 1, constraint=named("broken"))
    world.run()
    script.breaks = ("matcher", 0)
    first = world.submit(PROMPT, 3, ignore_eos=True, then=[call(1, constraint=named("broken"))])
    other = world.submit([40, 41], 8)
    world.run()
    assert (first.finish, first.heir) == ("length", None)
    world.assert_right(other)
    world.assert_idle()


def test_log_probabilities_are_those_of_the_call_that_asks() -> None:
    world = World()
    first = world.submit(
        PROMPT, 3, ignore_eos=True, then=[call(1, logprobs=LogprobParams(top=2)), call(2)]
    )
    world.run()
    assert [len(heard.logprobs) for heard in family(first)] == [0, 3, 0]


def test_what_went_on_stays_in_its_namespace() -> None:
    world = World()
    first = world.submit(PROMPT, 3, ignore_eos=True, namespace="a", then=[call(1, 2)])
    world.run()
    last = family(first)[-1]
    tokens = np.array([*last.submit.input_ids, *last.token_ids], np.int32)
    assert world.core.cache.match_length("a", tokens) == len(tokens) - 1
    assert world.core.cache.match_length("", tokens) == 0


def test_a_session_lasts_until_its_last_call() -> None:
    world = World()
    world.submit(PROMPT, 3, ignore_eos=True, session=7, session_ttl_s=9.0, then=[call(1, 2)])
    world.run()
    assert world.core.stats()["sessions"] == 1
    world.core.release_sessions([7])
    assert world.core.stats()["sessions"] == 0


def test_retracted_calls_go_on_all_the_same() -> None:
    world = World(48, max_running=6)
    firsts = [
        world.submit([10 + n, 7, 9], 6, ignore_eos=True, then=[call(1, 2, max_new_tokens=8)] * 2)
        for n in range(6)
    ]
    world.run()
    assert world.core.stats()["retractions"] > 0
    for first in firsts:
        calls = family(first)
        assert len(calls) == 3
        for heard in calls:
            world.assert_right(heard)
    world.assert_idle()


def test_a_call_may_be_told_while_the_one_before_it_runs() -> None:
    world = World()
    first = world.submit(PROMPT, 3, ignore_eos=True)
    world.step()
    world.follow(first, call(1, 2))
    world.follow(first, call(9))
    while first.heir is None:
        world.step()
    world.follow(first, call(4, 4))
    world.run()
    calls = family(first)
    assert [heard.submit.input_ids[-1] for heard in calls] == [8, 2, 9, 4]
    for heard in calls:
        world.assert_right(heard)
    world.assert_idle()


def test_a_call_that_is_told_too_late_is_forgotten() -> None:
    world = World()
    first = world.submit(PROMPT, 3, ignore_eos=True)
    world.run()
    world.follow(first, call(1, 2))
    assert not world.core.has_work
    world.run()
    assert first.heir is None
    world.assert_idle()
