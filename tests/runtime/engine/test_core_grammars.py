"""Constrained sequences in the engine core: compiling beside the loop, masks, ends."""

from __future__ import annotations

import itertools
import threading
import time

import pytest
from hash_runner import EOS
from script_grammar import TOO_HARD, Script, ScriptCompiler, named
from world import Heard, World

from branchline.runtime.engine.compiling import GrammarThreads
from branchline.runtime.errors import RequestError

PROMPT = [5, 9, 2, 7]


def world_with(**scripts: Script | Exception) -> tuple[World, ScriptCompiler]:
    compiler = ScriptCompiler(scripts)
    return World(compiler=compiler), compiler


def run_constrained(script: Script | Exception, max_new_tokens: int = 9) -> Heard:
    world, _ = world_with(it=script)
    heard = world.submit(PROMPT, max_new_tokens, constraint=named("it"))
    world.run()
    world.assert_idle()
    return heard


def test_only_allowed_tokens_come_and_the_end_needs_no_end_token() -> None:
    heard = run_constrained(Script([{11}, {12, 13}, {14}]))
    assert heard.token_ids[::2] == [11, 14]
    assert heard.token_ids[1] in (12, 13)
    assert (heard.finish, heard.matched_stop) == ("stop", None)


def test_an_end_token_that_the_grammar_allows_ends_it() -> None:
    heard = run_constrained(Script([{11}, {EOS}, {12}]))
    assert heard.token_ids == [11, EOS]
    assert (heard.finish, heard.matched_stop) == ("stop", EOS)


def test_the_last_token_of_budget_and_grammar_together_is_a_stop() -> None:
    heard = run_constrained(Script([{11}, {12}]), max_new_tokens=2)
    assert (heard.token_ids, heard.finish) == ([11, 12], "stop")


def test_the_matcher_is_told_how_many_tokens_remain() -> None:
    world, _ = world_with(it=Script([{11}, {12}, {13}]))
    world.submit(PROMPT, 7, constraint=named("it"))
    matcher = None
    while world.core.has_work:
        matcher = matcher or next((seq.matcher for seq in world.core.scheduler.running), None)
        world.step()
    assert matcher.remaining == [7, 6, 5]


def test_no_allowed_token_fails_that_sequence_with_a_grammar_error() -> None:
    heard = run_constrained(Script([{11}, set()]))
    assert heard.token_ids == [11]
    assert heard.failed is not None
    assert heard.failed.code == "grammar"


def test_a_constraint_that_cannot_be_compiled_says_where() -> None:
    heard = run_constrained(TOO_HARD)
    assert heard.failed is not None
    assert (heard.failed.code, heard.failed.pointer) == ("grammar", TOO_HARD.pointer)


def test_without_new_tokens_nothing_is_compiled() -> None:
    heard = run_constrained(TOO_HARD, max_new_tokens=0)
    assert heard.finish == "length"


def test_others_run_while_a_grammar_compiles() -> None:
    world, compiler = world_with(slow=Script([{11}]))
    slow = world.submit(PROMPT, 5, constraint=named("slow"))
    free = world.submit(PROMPT, 5, ignore_eos=True)
    for _ in range(5):
        world.step()
    assert free.finish == "length"
    assert world.core.stats()["compiling"] == 1
    compiler.gate.set()
    world.run()
    assert slow.token_ids == [11]


def test_what_is_to_be_told_does_not_wait_for_a_grammar(monkeypatch: pytest.MonkeyPatch) -> None:
    world, compiler = world_with(slow=Script([{11}]))
    waits: list[float] = []
    collect = GrammarThreads.collect

    def noting(self: GrammarThreads, wait_s: float = 0.0) -> object:
        waits.append(wait_s)
        return collect(self, wait_s)

    monkeypatch.setattr(GrammarThreads, "collect", noting)
    slow = world.submit(PROMPT, 5, constraint=named("slow"))
    free = world.submit(PROMPT, 5, ignore_eos=True)
    while not free.over:
        world.step()
    assert waits[-1] == 0.0
    world.step()
    assert waits[-1] > 0.0
    compiler.gate.set()
    world.run()
    assert slow.token_ids == [11]


def test_a_sequence_can_be_dropped_while_its_grammar_compiles() -> None:
    world, compiler = world_with(slow=Script([{11}]), it=Script([{12}]))
    world.drop(world.submit(PROMPT, 5, constraint=named("slow")))
    assert not world.core.has_work
    compiler.gate.set()
    other = world.submit(PROMPT, 5, constraint=named("it"))
    world.run()
    assert other.token_ids == [12]


@pytest.mark.parametrize(
    "breaks", [("matcher", 0), ("fill_mask", 0), ("fill_mask", 2), ("accept", 0), ("accept", 1)]
)
def test_a_matcher_that_raises_fails_its_own_sequence_only(breaks: tuple[str, int]) -> None:
    world, _ = world_with(
        bad=Script([{11}, {12}, {13}, {14}], breaks), good=Script([{11}, {12}, {13}, {14}])
    )
    bad = world.submit(PROMPT, 9, constraint=named("bad"))
    good = world.submit(PROMPT, 9, constraint=named("good"))
    free = world.submit([*PROMPT, 3], 9)
    world.run()
    assert bad.failed is not None
    assert bad.failed.code == "internal"
    assert "planted" not in bad.failed.message
    assert good.token_ids == [11, 12, 13, 14]
    world.assert_right(free)
    world.assert_idle()


def test_a_retracted_sequence_resumes_its_grammar_where_it_was() -> None:
    script = Script([{10 + i % 50} for i in range(90)])
    world = World(120, compiler=ScriptCompiler({"it": script}), max_running=4)
    all_heard = [world.submit([i + 1, 5, 6], 100, constraint=named("it")) for i in range(4)]
    world.run()
    assert world.core.stats()["retractions"] > 0
    for heard in all_heard:
        assert heard.token_ids == [10 + i % 50 for i in range(90)]


class TestTimeLimit:
    """On a clock that the test moves."""

    def setup_method(self) -> None:
        self.now_s = 0.0
        self.compiler = ScriptCompiler({"slow": Script([{11}]), "fast": Script([{12}])})
        self.threads = GrammarThreads(self.compiler, 5.0, clock=lambda: self.now_s)
        self.world = World(compiler=self.compiler)
        self.world.core._compiling = self.threads

    def teardown_method(self) -> None:
        self.compiler.gate.set()

    def test_a_compilation_over_its_time_fails_that_request(self) -> None:
        heard = self.world.submit(PROMPT, 5, constraint=named("slow"))
        self.world.step()
        assert heard.failed is None
        self.now_s = 5.1
        self.world.step()
        assert heard.failed is not None
        assert (heard.failed.code, heard.failed.pointer) == ("grammar", "/constraint")
        self.world.assert_idle()

    def test_hanging_compilations_do_not_hold_up_others(self) -> None:
        for _ in range(4):
            self.world.submit(PROMPT, 5, constraint=named("slow"))
        self.now_s = 5.1
        self.world.run()
        fast = self.world.submit(PROMPT, 5, constraint=named("fast"))
        self.world.run()
        assert fast.token_ids == [12]

    def test_too_many_hanging_at_once_and_new_ones_are_refused_until_they_end(self) -> None:
        for _ in range(8):
            self.world.submit(PROMPT, 5, constraint=named("slow"))
        self.now_s = 5.1
        self.world.run()
        with pytest.raises(RequestError) as error:
            self.world.submit(PROMPT, 5, constraint=named("fast"))
        assert error.value.code == "overloaded"
        self.compiler.gate.set()
        while self.threads.num_hung:
            list(self.threads.collect(wait_s=1.0))
        fast = self.world.submit(PROMPT, 5, constraint=named("fast"))
        self.world.run()
        assert fast.token_ids == [12]

    def test_a_call_that_is_refused_leaves_no_session(self) -> None:
        for _ in range(8):
            self.world.submit(PROMPT, 5, constraint=named("slow"))
        self.now_s = 5.1
        self.world.run()
        with pytest.raises(RequestError):
            self.world.submit(PROMPT, 5, constraint=named("fast"), session=5)
        assert self.world.core.stats()["sessions"] == 0


class Asking:
    """What `GrammarThreads` need of a sequence."""

    max_new_tokens = 9
    matcher = None

    def __init__(self, sid: int) -> None:
        self.sid = sid


def test_what_is_taken_over_in_one_step_beside_others_takes_a_millisecond(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = 0.0
    threads = GrammarThreads(ScriptCompiler({"it": Script([{11}])}), 5.0, lambda: now_s)

    def start(sids: range) -> None:
        for sid in sids:
            threads.start(Asking(sid), named("it"))  # type: ignore[arg-type]
        while threads._done.qsize() < len(sids):
            threading.Event().wait(0.001)

    def taken(wait_s: float) -> list[int]:
        spent_s = 0.0

        def look_ahead(seq: object) -> None:
            nonlocal spent_s
            spent_s += 0.0006

        with monkeypatch.context() as patch:
            patch.setattr(time, "perf_counter", lambda: spent_s)
            return [seq.sid for seq, error in threads.ready_ones(wait_s, look_ahead)]

    start(range(5))
    now_s = 5.1  # those that wait to be taken over are in time
    beside = [taken(0.0) for _ in range(4)]
    assert [len(some) for some in beside] == [2, 2, 1, 0]
    assert {sid for some in beside for sid in some} == set(range(5))
    start(range(5, 9))
    assert sorted(taken(0.1)) == [5, 6, 7, 8]


def test_none_of_those_that_took_too_long_is_lost_where_a_step_has_no_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = 0.0
    compiler = ScriptCompiler({"slow": Script([{11}])})
    threads = GrammarThreads(compiler, 5.0, lambda: now_s)
    for sid in range(4):
        threads.start(Asking(sid), named("slow"))  # type: ignore[arg-type]
    now_s = 5.1
    seconds = itertools.count()
    told: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(time, "perf_counter", lambda: next(seconds))
        for _ in range(4):
            told += [seq.sid for seq, error in threads.ready_ones(0.0, lambda seq: None) if error]
    compiler.gate.set()
    assert told == [0, 1, 2, 3]


def test_grammar_threads_do_not_keep_the_process_alive() -> None:
    world, _ = world_with(it=Script([{11}]))
    world.submit(PROMPT, 5, constraint=named("it"))
    world.run()
    mine = [thread for thread in threading.enumerate() if thread.name == "grammar"]
    assert mine
    assert all(thread.daemon for thread in mine)
