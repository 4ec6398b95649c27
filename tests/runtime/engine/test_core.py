"""Stories about single sequences in the engine core, on the hash-chain model."""

from __future__ import annotations

import pytest
from hash_runner import HashRunner, continuation
from world import World

from branchline.runtime.errors import RequestError
from branchline.runtime.protocol import LogprobParams

PROMPT = [5, 9, 2, 7, 7, 1, 30, 12, 44, 3, 8, 21]


def test_a_sequence_generates_exactly_what_the_model_says() -> None:
    world = World()
    heard = world.submit(PROMPT, 40, ignore_eos=True)
    world.run()
    assert heard.token_ids == continuation(PROMPT, 40, 61)
    assert heard.finish == "length"


def test_a_warm_cache_gives_the_same_output_as_a_cold_one() -> None:
    world = World()
    cold = world.submit(PROMPT, 20)
    world.run()
    warm = world.submit(PROMPT, 20)
    world.run()
    assert (cold.cached_tokens, warm.cached_tokens) == (0, len(PROMPT) - 1)
    assert warm.token_ids == cold.token_ids


def test_generated_tokens_are_cached_for_the_next_turn() -> None:
    world = World()
    first = world.submit(PROMPT, 10, ignore_eos=True)
    world.run()
    conversation = PROMPT + first.token_ids
    second = world.submit([*conversation, 17, 18], 5)
    world.run()
    # The last generated token was never computed.
    assert second.cached_tokens == len(conversation) - 1


@pytest.mark.parametrize("chunk_tokens", [1, 2, 5, 11, 12, 512])
def test_prompts_computed_in_chunks_give_the_same_output(chunk_tokens: int) -> None:
    world = World(chunk_tokens=chunk_tokens)
    heard = world.submit(PROMPT, 20)
    world.run()
    world.assert_right(heard)


def test_no_step_computes_more_prompt_than_the_budget() -> None:
    world = World(chunk_tokens=16)
    for i in range(4):
        world.submit([i + 1, *range(1, 40)], 1)
    while world.core.has_work:
        before = world.runner.num_tokens_computed
        world.step()
        assert world.runner.num_tokens_computed - before <= 16


def test_those_that_decode_are_not_held_up_by_a_long_prompt() -> None:
    world = World(2_000, chunk_tokens=16)
    talker = world.submit(PROMPT, 60, ignore_eos=True)
    world.step()
    world.submit([1 + i % 50 for i in range(500)], 1)
    for _ in range(20):
        world.step()
    assert len(talker.token_ids) == 21


def test_sequences_that_arrive_together_compute_their_common_prefix_once() -> None:
    world = World()
    trunk = [1 + (7 * i) % 60 for i in range(50)]
    all_heard = [world.submit([*trunk, i + 1, 60 - i, 3], 1) for i in range(16)]
    world.run()
    for heard in all_heard:
        world.assert_right(heard)
    assert world.runner.num_tokens_computed == 50 + 16 * 3


def test_a_tree_of_prefixes_that_arrives_at_once_computes_each_branch_once() -> None:
    world = World()
    trunk = [1 + (7 * i) % 60 for i in range(30)]
    branches = [[*trunk, b + 1, *[b + 2] * 19] for b in range(3)]
    for branch in branches:
        for leaf in range(4):
            world.submit([*branch, 50 + leaf, 1], 1)
    world.run()
    assert world.runner.num_tokens_computed == 30 + 3 * 20 + 12 * 2


def test_equal_prompts_that_arrive_together_compute_one_prompt() -> None:
    world = World()
    for _ in range(8):
        world.submit(PROMPT, 1)
    world.run()
    # Each needs the logits of the last token.
    assert world.runner.num_tokens_computed == len(PROMPT) + 7


def test_a_long_prompt_shares_what_it_has_before_it_is_complete() -> None:
    world = World(2_000, chunk_tokens=32)
    long = [1 + (7 * i) % 60 for i in range(600)]
    world.submit(long, 1)
    world.step()
    short = world.submit([*long[:60], 9, 9], 1)
    for _ in range(4):
        world.step()
    assert short.finish == "length"


def test_namespaces_compute_the_same_prompt_apart() -> None:
    world = World()
    for namespace in ("", "a", "b"):
        world.submit(PROMPT, 1, namespace=namespace)
    world.run()
    assert world.runner.num_tokens_computed == 3 * len(PROMPT)


def test_no_new_tokens_means_the_prompt_is_computed_and_cached() -> None:
    world = World()
    only = world.submit(PROMPT, 0)
    world.run()
    assert (only.token_ids, only.finish) == ([], "length")
    assert world.core.stats()["cached_tokens"] == len(PROMPT)


def test_a_prompt_that_fills_the_context_can_still_be_computed_without_new_tokens() -> None:
    world = World(runner=HashRunner(100, context_length=len(PROMPT)))
    only = world.submit(PROMPT, 0)
    world.run()
    assert only.finish == "length"


def test_generation_ends_where_the_context_ends() -> None:
    world = World(runner=HashRunner(100, context_length=20))
    heard = world.submit(PROMPT, 500, ignore_eos=True)
    world.run()
    assert len(PROMPT + heard.token_ids) == 20
    assert heard.finish == "length"


def test_a_sequence_may_fill_the_whole_pool() -> None:
    world = World(30)
    world.submit([60] * 10, 0)
    heard = world.submit(PROMPT, 500, ignore_eos=True)
    world.run()
    assert len(PROMPT + heard.token_ids) == 30
    world.assert_right(heard)


def test_flushing_forgets_what_is_cached_and_keeps_what_runs() -> None:
    world = World()
    world.submit([50] * 9, 1)
    world.run()
    running = world.submit(PROMPT, 30, ignore_eos=True)
    world.step()
    assert world.core.flush_cache() == 9
    world.run()
    world.assert_right(running)


class TestPromptLogprobs:
    @pytest.mark.parametrize("chunk_tokens", [1, 4, 512])
    @pytest.mark.parametrize("start", [0, 1, 5, len(PROMPT) - 1, len(PROMPT)])
    def test_each_asked_for_token_has_one_in_order(self, start: int, chunk_tokens: int) -> None:
        world = World(chunk_tokens=chunk_tokens)
        world.submit(PROMPT, 1)
        world.run()
        heard = world.submit(PROMPT, 2, logprobs=LogprobParams(prompt_start=start, top=1))
        world.run()
        assert heard.prompt_logprobs is not None
        assert [entry.token_id for entry in heard.prompt_logprobs] == PROMPT[start:]
        for position, entry in enumerate(heard.prompt_logprobs, start=start):
            if position == 0:
                assert entry.logprob is None
            else:
                best = continuation(PROMPT[:position], 1, 61)[0]
                assert entry.top[0][1] == best
                assert entry.logprob is not None
                assert (entry.logprob > -3.2) == (entry.token_id == best)

    def test_the_cache_serves_what_lies_before_the_first(self) -> None:
        world = World()
        world.submit(PROMPT, 1)
        world.run()
        heard = world.submit(PROMPT, 1, logprobs=LogprobParams(prompt_start=5))
        world.run()
        assert heard.cached_tokens == 4

    def test_they_come_without_any_new_token_too(self) -> None:
        world = World()
        heard = world.submit(PROMPT, 0, logprobs=LogprobParams(prompt_start=3))
        world.run()
        assert heard.prompt_logprobs is not None
        assert len(heard.prompt_logprobs) == len(PROMPT) - 3

    def test_the_rows_of_logits_per_step_are_bounded(self) -> None:
        world = World()
        world.core.scheduler._max_logit_rows = 5
        heard = world.submit(PROMPT, 1, logprobs=LogprobParams(prompt_start=0))
        world.run()
        assert heard.prompt_logprobs is not None
        assert [entry.token_id for entry in heard.prompt_logprobs] == PROMPT
        assert world.runner.num_calls == 3

    def test_generated_tokens_have_theirs(self) -> None:
        world = World()
        heard = world.submit(PROMPT, 5, ignore_eos=True, logprobs=LogprobParams(top=2))
        world.run()
        assert [entry.token_id for entry in heard.logprobs] == heard.token_ids
        assert heard.prompt_logprobs is None


class TestDrop:
    def test_a_running_sequence_leaves_at_once_and_its_work_stays_cached(self) -> None:
        world = World(40)
        heard = world.submit(PROMPT, 20, ignore_eos=True)
        for _ in range(4):
            world.step()
        world.drop(heard)
        world.assert_idle()
        assert world.core.stats()["cached_tokens"] == len(PROMPT) + 3

    def test_a_sequence_in_the_middle_of_its_prompt(self) -> None:
        world = World(chunk_tokens=5)
        heard = world.submit(PROMPT, 20)
        world.step()
        world.drop(heard)
        world.assert_idle()

    def test_a_waiting_sequence(self) -> None:
        world = World(max_running=1)
        first = world.submit(PROMPT, 10)
        second = world.submit([8, 8, 8], 10)
        world.step()
        world.drop(second)
        world.run()
        world.assert_right(first)
        world.assert_idle()

    def test_an_unknown_one_is_ignored(self) -> None:
        world = World()
        world.core.drop(77)
        world.assert_idle()

    def test_the_others_go_on(self) -> None:
        world = World()
        gone, stays = world.submit(PROMPT, 20), world.submit([*PROMPT, 4], 20)
        for _ in range(3):
            world.step()
        world.drop(gone)
        world.run()
        world.assert_right(stays)


class TestRefusal:
    @pytest.mark.parametrize(
        ("prompt", "max_new_tokens", "code"),
        [
            ([], 1, "invalid_request"),
            ([1, 61], 1, "invalid_request"),
            ([1] * 50, 1, "context_length"),
            ([1] * 51, 0, "context_length"),
        ],
        ids=["empty", "outside the vocabulary", "no room for a token", "no room for the prompt"],
    )
    def test_what_can_never_be_served_is_refused_on_arrival(
        self, prompt: list[int], max_new_tokens: int, code: str
    ) -> None:
        for world in (World(runner=HashRunner(1_000, context_length=50)), World(50)):
            with pytest.raises(RequestError) as error:
                world.submit(prompt, max_new_tokens)
            assert error.value.code == code
            world.assert_idle()

    def test_one_more_than_may_wait_is_refused_as_overloaded(self) -> None:
        world = World(max_waiting=3)
        for _ in range(3):
            world.submit(PROMPT, 1)
        with pytest.raises(RequestError) as error:
            world.submit(PROMPT, 1)
        assert error.value.code == "overloaded"
        assert error.value.retry_after_s is not None
        world.run()
        world.submit(PROMPT, 1)

    def test_a_sid_in_use_is_refused_and_its_owner_unharmed(self) -> None:
        world = World()
        heard = world.submit(PROMPT, 5)
        with pytest.raises(RequestError):
            world.core.submit(heard.submit)
        world.run()
        world.assert_right(heard)


def test_the_counters_add_up() -> None:
    world = World()
    world.submit(PROMPT, 5, ignore_eos=True)
    world.submit([*PROMPT, 1, 2], 5, ignore_eos=True)
    world.run()
    stats = world.core.stats()
    assert all(isinstance(value, int | float) for value in stats.values())
    assert stats["prompt_tokens"] == 2 * len(PROMPT) + 2
    assert stats["generated_tokens"] == 10
    assert stats["hit_tokens"] == len(PROMPT)
    assert stats["computed_tokens"] == world.runner.num_tokens_computed
    assert stats["finished"] == 2


class TestSessions:
    def test_a_programs_prefix_is_still_there_when_it_comes_back(self) -> None:
        world = World(60)
        first = world.submit(PROMPT, 4, ignore_eos=True, session=9)
        world.run()
        for i in range(20):
            world.submit([20 + i] * 30, 4, ignore_eos=True)
            world.run()
        second = world.submit(PROMPT + first.token_ids, 1, session=9)
        world.run()
        assert second.cached_tokens == len(PROMPT) + 3

    def test_a_dropped_or_refused_call_leaves_no_session_behind_that_cannot_end(self) -> None:
        world = World()
        world.drop(world.submit(PROMPT, 4, session=9, session_ttl_s=0.5))
        now = world.core.cache.clock()
        world.core.cache.clock = lambda: now + 1
        world.step()
        assert world.core.stats()["sessions"] == 0

    def test_pins_of_the_engine_are_told_by_number(self) -> None:
        world = World(100)
        world.submit(PROMPT, 0)
        world.run()
        pin, length = world.core.pin("", PROMPT, 60)
        assert (length, world.core.stats()["pinned_tokens"]) == (len(PROMPT), len(PROMPT))
        assert world.core.unpin(pin)


class TestQuotas:
    def test_a_tenant_keeps_its_prefix_through_the_traffic_of_another(self) -> None:
        world = World(100, namespace_quotas={"a": 20})
        world.submit(PROMPT, 0, namespace="a")
        world.run()
        all_heard = [world.submit([20 + i] * 40, 30, namespace="b") for i in range(12)]
        world.run()
        again = world.submit(PROMPT, 1, namespace="a")
        world.run()
        assert again.cached_tokens == len(PROMPT) - 1
        for heard in all_heard:
            world.assert_right(heard)

    def test_what_can_never_fit_beside_anothers_quota_is_refused_on_arrival(self) -> None:
        world = World(100, namespace_quotas={"a": 40})
        with pytest.raises(RequestError, match="holds 60"):
            world.submit([5] * 61, 1, namespace="b")
        heard = world.submit([5] * 80, 1, namespace="a")
        world.run()
        world.assert_right(heard)

    def test_quotas_of_more_than_half_the_pool_are_refused(self) -> None:
        with pytest.raises(ValueError, match="at most half"):
            World(100, namespace_quotas={"a": 51})
