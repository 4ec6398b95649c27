"""Constrained sequences at the edges: minimum lengths, many grammars in one batch, calls that
follow one another under different grammars."""

from __future__ import annotations

import pytest
from hash_runner import EOS
from script_grammar import Script, ScriptCompiler, named
from world import World

PROMPT = [5, 9, 2, 7]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (Script([{11}, {12}]), [11, 12]),
        (Script([{11}, {EOS}]), [11, EOS]),
        (Script([{11}, {EOS, 12}, {13}]), [11, 12, 13]),
    ],
    ids=["nothing may follow", "only the end may follow", "the end or more"],
)
def test_a_minimum_length_never_outranks_the_grammar(script: Script, expected: list[int]) -> None:
    world = World(compiler=ScriptCompiler({"it": script}))
    heard = world.submit(PROMPT, 9, constraint=named("it"), min_new_tokens=6)
    world.run()
    assert (heard.token_ids, heard.finish) == (expected, "stop")


def test_sixty_four_grammars_and_free_sequences_share_a_batch() -> None:
    scripts = {f"g{n}": Script([{10 + n % 50}, {10 + n * 7 % 50}, {EOS}]) for n in range(64)}
    world = World(4_000, compiler=ScriptCompiler(scripts), max_running=96)
    held = [world.submit([*PROMPT, n % 60], 9, constraint=named(f"g{n}")) for n in range(64)]
    free = [world.submit([n % 60, *PROMPT], 6) for n in range(16)]
    world.run()
    for n, heard in enumerate(held):
        assert heard.token_ids == [10 + n % 50, 10 + n * 7 % 50, EOS]
    for heard in free:
        world.assert_right(heard)
    world.assert_idle()


def test_what_follows_an_output_may_be_held_to_another_grammar() -> None:
    scripts = {"first": Script([{11}, {12}]), "then": Script([{21}, {22}])}
    world = World(compiler=ScriptCompiler(scripts))
    first = world.submit(PROMPT, 9, constraint=named("first"), session=1)
    world.run()
    then = world.submit([*PROMPT, *first.token_ids, 3], 9, constraint=named("then"), session=1)
    free = world.submit([*PROMPT, *first.token_ids, 4], 3, session=1)
    world.run()
    assert then.token_ids == [21, 22]
    assert then.cached_tokens
    world.assert_right(free)
