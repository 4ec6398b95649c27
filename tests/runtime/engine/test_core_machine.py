"""Hypothesis drives the engine through whatever may happen to it, and checks each time."""

from __future__ import annotations

from contextlib import suppress
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from world import Heard, World

from branchline.runtime.errors import RequestError

TRUNKS = ([5, 6, 7, 8, 9, 10], [5, 6, 7, 1, 2], [40, 41])
NAMESPACES = st.sampled_from(["", "", "a"])


class Engine(RuleBasedStateMachine):
    """Programs come, fork, go, expire and are retracted, over tiers of host memory and disk; after
    each rule every slot has one owner, no tenant ever lost to another what its quota holds, and at
    the end every output is what the model says when nothing else runs."""

    @initialize(
        num_slots=st.sampled_from([40, 70, 200]),
        policy=st.sampled_from(["lpm", "dfs-weight", "fcfs", "priority"]),
        max_running=st.integers(1, 6),
        chunk_tokens=st.sampled_from([4, 16, 64]),
        quota=st.sampled_from([0, 10, "240B"]),
        host_tokens=st.sampled_from([0, 30, 200]),
        has_disk=st.booleans(),
    )
    def start(
        self,
        num_slots: int,
        policy: str,
        max_running: int,
        chunk_tokens: int,
        quota: int | str,
        host_tokens: int,
        has_disk: bool,
    ) -> None:
        self.folder = TemporaryDirectory(ignore_cleanup_errors=True)
        self.world = World(
            num_slots,
            policy=policy,
            max_running=max_running,
            chunk_tokens=chunk_tokens,
            namespace_quotas={"a": quota},
            host_cache_tokens=host_tokens,
            disk_cache=self.folder.name if has_disk else None,
        )
        self.now_s = 0.0
        self.world.core.cache.clock = lambda: self.now_s
        self.live: list[Heard] = []
        self.pins: list[int] = []

    @rule(
        trunk=st.sampled_from(TRUNKS),
        cut=st.integers(0, 6),
        tail=st.lists(st.integers(1, 12), min_size=1, max_size=12),
        length=st.integers(0, 25),
        namespace=NAMESPACES,
        priority=st.integers(0, 2),
        session=st.integers(0, 3),
        last=st.booleans(),
        program=st.sampled_from([0, 11, 12]),
        tokens_after=st.sampled_from([None, 0, 40]),
    )
    def submit(
        self,
        trunk: list[int],
        cut: int,
        tail: list[int],
        length: int,
        namespace: str,
        priority: int,
        session: int,
        last: bool,
        program: int,
        tokens_after: int | None,
    ) -> None:
        self.live.append(
            self.world.submit(
                [*trunk[:cut], *tail],
                length,
                namespace=namespace,
                priority=priority,
                session=session,
                session_ttl_s=5.0,
                ends_session=last,
                program=program,
                tokens_after=tokens_after,
            )
        )

    @rule(data=st.data())
    def fork(self, data: st.DataObject) -> None:
        """Several go on from what one has said."""
        if self.live:
            parent = data.draw(st.sampled_from(self.live))
            whole = [*parent.submit.input_ids, *parent.token_ids][:30]
            for i in range(3):
                namespace = parent.submit.namespace
                self.live.append(
                    self.world.submit([*whole, 50 + i], 4, namespace=namespace, ignore_eos=True)
                )

    @rule(num_steps=st.integers(1, 6))
    def step(self, num_steps: int) -> None:
        for _ in range(num_steps):
            self.world.step()
        for heard in [heard for heard in self.live if heard.over]:
            self.world.assert_right(heard)
            self.live.remove(heard)

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if self.live:
            heard = data.draw(st.sampled_from(self.live))
            self.live.remove(heard)
            self.world.drop(heard)

    @rule()
    def retract(self) -> None:
        scheduler = self.world.core.scheduler
        if len(scheduler.running) > 1:
            scheduler._retract_last()

    @rule(trunk=st.sampled_from(TRUNKS), namespace=NAMESPACES)
    def pin(self, trunk: list[int], namespace: str) -> None:
        with suppress(RequestError):  # when pins hold as much as they may
            self.pins.append(self.world.core.pin(namespace, trunk, 20.0)[0])

    @rule()
    def unpin(self) -> None:
        if self.pins:
            self.world.core.unpin(self.pins.pop())

    @rule(session=st.integers(1, 3))
    def release(self, session: int) -> None:
        self.world.core.release_sessions([session])

    @rule(seconds=st.sampled_from([0.5, 4.0, 30.0]))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    @rule(count=st.integers(1, 30), namespace=st.sampled_from([None, "", "a"]))
    def evict(self, count: int, namespace: str | None) -> None:
        self.world.core.cache.evict(count, namespace)

    @rule()
    def flush(self) -> None:
        self.world.core.flush_cache()

    @invariant()
    def is_sound(self) -> None:
        if hasattr(self, "world"):
            self.world.core.check()
            self.world.assert_estimates()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.run()
            for heard in self.live:
                self.world.assert_right(heard)
            self.now_s += 1_000
            self.world.step()
            self.world.assert_idle()
            stats = self.world.core.stats()
            assert (stats["sessions"], stats["pinned_tokens"]) == (0, 0)
            assert len(self.world.core.leases.programs) == 0
            tier = self.world.core.tier
            if tier is not None and tier.below is not None:
                tier.below.wait()
            self.folder.cleanup()


_QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def test_nothing_that_may_happen_breaks_the_engine() -> None:
    run(max_examples=20)


@pytest.mark.nightly
@pytest.mark.timeout(7_200)
def test_nothing_that_may_happen_breaks_the_engine_all_night() -> None:
    run(max_examples=2_000)


def run(max_examples: int) -> None:
    case = Engine.TestCase
    case.settings = settings(
        max_examples=max_examples,
        stateful_step_count=50,
        deadline=None,
        suppress_health_check=_QUIET,
    )
    case().runTest()
