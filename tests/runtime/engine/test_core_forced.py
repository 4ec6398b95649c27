"""Tokens that a grammar forces: taken without sampling, computed in one extend, told as such."""

from __future__ import annotations

from hash_runner import EOS
from script_grammar import Script, ScriptCompiler, named
from world import Heard, World

from branchline.runtime.protocol import LogprobParams

PROMPT = [5, 9, 2, 7]
# Ten places, of which three leave a choice.
PLACES = [{11}, {12}, {13, 14}, {15}, {16}, {17}, {18, 19, 20}, {21, 22}, {23}, {24}]


def run_script(
    places: list[set[int]] = PLACES,
    *,
    jumps: bool = True,
    max_new_tokens: int = 20,
    world: World | None = None,
    **wishes: object,
) -> tuple[Heard, World]:
    compiler = ScriptCompiler({"it": Script(places, jumps=jumps)})
    world = world or World(compiler=compiler, speculation="off")
    heard = world.submit(PROMPT, max_new_tokens, constraint=named("it"), **wishes)
    world.run()
    world.assert_idle()
    return heard, world


def told(heard: Heard) -> tuple[object, ...]:
    return (heard.token_ids, heard.finish, heard.matched_stop)


def test_forced_tokens_are_the_same_tokens_in_fewer_steps() -> None:
    plain, slow = run_script(jumps=False)
    jumped, fast = run_script()
    assert told(jumped) == told(plain)
    assert (plain.num_forced, jumped.num_forced) == (0, 7)
    assert slow.runner.num_calls == 10
    # The prompt with what is forced first; then one step per choice; the last needs no more.
    assert fast.runner.num_calls <= 3


def test_an_output_without_any_choice_is_taken_whole() -> None:
    heard, world = run_script([{token} for token in range(20, 40)], max_new_tokens=30)
    assert told(heard) == (list(range(20, 40)), "stop", None)
    assert heard.num_forced == 20
    assert world.runner.num_calls == 1


def test_the_budget_counts_forced_tokens() -> None:
    for budget in range(1, 11):
        plain, _ = run_script(jumps=False, max_new_tokens=budget)
        jumped, _ = run_script(max_new_tokens=budget)
        assert told(jumped) == told(plain)
        assert len(jumped.token_ids) == budget


def test_a_stop_string_within_forced_tokens_ends_the_output_there() -> None:
    for stop in ("c", "ab", "ga", "ee", "f"):
        plain, _ = run_script(jumps=False, stop=[stop])
        jumped, _ = run_script(stop=[stop])
        assert told(jumped) == told(plain)


def test_an_end_token_can_be_chosen_behind_forced_tokens() -> None:
    plain, _ = run_script([{11}, {12}, {EOS}, {13}], jumps=False)
    jumped, _ = run_script([{11}, {12}, {EOS}, {13}])
    assert told(jumped) == told(plain) == ([11, 12, EOS], "stop", EOS)


def test_log_probabilities_of_forced_tokens_are_the_models_and_marked() -> None:
    plain, _ = run_script(jumps=False, logprobs=LogprobParams(top=2))
    jumped, _ = run_script(logprobs=LogprobParams(top=2))
    assert told(jumped) == told(plain)
    assert [entry.logprob for entry in jumped.logprobs] == [
        entry.logprob for entry in plain.logprobs
    ]
    assert [entry.forced for entry in jumped.logprobs] == [len(allowed) == 1 for allowed in PLACES]
    assert not any(entry.forced for entry in plain.logprobs)


def test_prompt_log_probabilities_are_not_those_of_forced_tokens() -> None:
    heard, _ = run_script(logprobs=LogprobParams(prompt_start=0))
    assert [entry.token_id for entry in heard.prompt_logprobs] == PROMPT
    assert len(heard.logprobs) == len(heard.token_ids) == 10


def test_seeded_sampling_gives_the_same_tokens_with_and_without() -> None:
    for seed in range(8):
        plain, _ = run_script(jumps=False, temperature=1.0, seed=seed)
        jumped, _ = run_script(temperature=1.0, seed=seed)
        assert told(jumped) == told(plain)


def test_a_sequence_that_was_retracted_goes_on_with_what_is_forced() -> None:
    places = [{10 + i % 50} if i % 4 else {1 + i % 9, 50} for i in range(90)]
    results = []
    for jumps in (False, True):
        world = World(
            120, compiler=ScriptCompiler({"it": Script(places, jumps=jumps)}), max_running=4
        )
        all_heard = [world.submit([i + 1, 5, 6], 100, constraint=named("it")) for i in range(4)]
        world.run()
        world.assert_idle()
        assert world.core.stats()["retractions"] > 0
        results.append([told(heard) for heard in all_heard])
    assert results[0] == results[1]


def test_a_long_forced_run_is_computed_in_chunks_beside_others() -> None:
    places = [{1, 2}, *[{10 + i % 50} for i in range(100)], {1, 2}]
    compiler = ScriptCompiler({"it": Script(places, jumps=True)})
    world = World(compiler=compiler, chunk_tokens=16)
    long = world.submit(PROMPT, 200, constraint=named("it"))
    other = world.submit([8, 8, 8], 40, ignore_eos=True)
    world.run()
    assert len(long.token_ids) == 102
    assert long.num_forced == 100
    world.assert_right(other)


def test_dropping_a_sequence_amid_forced_tokens_frees_its_slots() -> None:
    places = [{1, 2}, *[{10 + i % 50} for i in range(100)]]
    world = World(compiler=ScriptCompiler({"it": Script(places, jumps=True)}), chunk_tokens=16)
    heard = world.submit(PROMPT, 200, logprobs=LogprobParams(), constraint=named("it"))
    while not heard.num_forced:
        world.step()
    world.drop(heard)
    world.assert_idle()


def test_a_setting_switches_it_off() -> None:
    compiler = ScriptCompiler({"it": Script(PLACES, jumps=True)})
    heard, world = run_script(world=World(compiler=compiler, jump_forward=False))
    assert (heard.num_forced, world.runner.num_calls) == (0, 10)


def test_a_grammar_that_fails_while_forcing_fails_its_own_sequence_only() -> None:
    for place in (0, 3):
        script = Script(PLACES, ("forced", place), jumps=True)
        world = World(compiler=ScriptCompiler({"bad": script}))
        bad = world.submit(PROMPT, 20, constraint=named("bad"))
        good = world.submit([8, 8, 8], 20, ignore_eos=True)
        world.run()
        assert bad.failed is not None
        assert bad.failed.code == "internal"
        world.assert_right(good)
        world.assert_idle()
