"""One engine: runner, radix cache, scheduler, grammars and sampling, turned over by `step`.

Driven by engine/process.py (a ZeroMQ loop) and, in one process, by branchline/engine.py.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np

from ..engine_protocol import Failed, NextCall, StepEvents, Submit, TreeNode
from ..errors import RequestError
from ..memory.allocator import SlotAllocator
from ..protocol import TokenLogprob
from ..radix_cache import snapshot
from ..radix_cache.events import EventLog
from ..scheduler.leases import LeaseTable
from ..scheduler.sequence import Sequence
from ..scheduler.stop import Finish
from ..tokenizer import Tokenizer
from ..views import EngineQuery, EngineView
from . import loading
from .audit import Auditor
from .choose import Chooser
from .compiling import Compiler, GrammarThreads
from .config import EngineConfig
from .forward import Runner
from .inspection import dump_tree, inspect
from .intake import Intake
from .overlap import Overlap
from .passes import Passes
from .profiling import Profiler
from .reporting import Outbox, failure_of, progress_of, tier_stats
from .speculating import Drafter, PromptLookup, Speculator
from .succession import Succession
from .taking import Taker
from .turn import Turn

_log = logging.getLogger(__name__)

_COUNTED = (
    *("steps", "step_seconds", "finished", "failed"),
    *("prompt_tokens", "computed_tokens", "generated_tokens", "forced_tokens"),
)
# How long a step that has nothing but grammars to wait for waits for one.
_GRAMMAR_WAIT_S = 0.002


class EngineCore:
    """Sequences in, tokens out. Not thread-safe: one loop calls everything.

    A sequence is compiling (its grammar), waiting or running, until an event of `step` carries its
    `finish` or its failure, or until it is dropped. What goes wrong with one sequence ends that
    sequence alone.

    What is not given is loaded as `config` says; a model that cannot be loaded raises
    ModelLoadError or TokenizerError.

    drafter: guesses what sequences generate; by default by looking back in their text.
    cache_events: what the tree stored and evicted lately, for a router outside.
    strict: raise what is wrong with the bookkeeping instead of repairing it; for tests.
    """

    def __init__(
        self,
        config: EngineConfig,
        runner: Runner | None = None,
        tokenizer: Tokenizer | None = None,
        compiler: Compiler | None = None,
        drafter: Drafter | None = None,
        *,
        strict: bool = False,
    ) -> None:
        # First: what reading it needs for a moment is not to come on top of the weights.
        self.tokenizer = tokenizer if tokenizer is not None else loading.load_tokenizer(config)
        self.runner = runner if runner is not None else loading.load_runner(config)
        self.config = config
        self.strict = strict
        vocab_size = min(self.runner.vocab_size, self.tokenizer.vocab_size)
        self.allocator = SlotAllocator(self.runner.num_slots)
        self.cache = loading.build_cache(config, self.runner, self.allocator)
        self.cache_events = EventLog(config.cache_events)
        if config.cache_events:
            self.cache.listeners.append(self.cache_events)
        self.tier = loading.build_tiers(config, self.runner)
        self.cache.spill = None if self.tier is None else self.tier.take
        self.leases = LeaseTable(
            self.cache, int(self.allocator.num_slots * config.max_pinned_fraction)
        )
        self.scheduler = loading.build_scheduler(config, self.runner, self.cache, self.tier)
        self._intake = Intake(
            self.tokenizer,
            vocab_size=vocab_size,
            hidden_size=self.runner.hidden_size,
            context_length=self.runner.context_length,
            num_slots=self.runner.num_slots,
            quotas=self.cache.order.quotas,
            eos_ids=tuple({*self.runner.eos_token_ids, *self.tokenizer.eos_ids}),
            seed=config.seed,
        )
        self._compiling = GrammarThreads(
            compiler or loading.load_compiler(self.tokenizer, self.runner.vocab_size, config),
            config.grammar_timeout_s,
        )
        self._auditor = Auditor(self.scheduler, self.cache, self.leases)
        self._sequences: dict[int, Sequence] = {}
        self._outbox = Outbox()
        self._failed: list[Failed] = []
        # What went wrong besides a sequence's own work; the bookkeeping may be half done.
        self._trouble: Exception | None = None
        self._chooser = Chooser(
            vocab_size, self.runner.vocab_size, self._blame, most_rows=config.max_running
        )
        self._taker = Taker(self._chooser, self._blame, jump_forward=config.jump_forward)
        self._chooser.sampler = self.runner.device.sampler(
            config.max_running, self.runner.vocab_size
        )
        self._overlap = Overlap(
            self.runner,
            self.scheduler,
            self._taker,
            config.overlap,
            is_live=lambda seq: self._sequences.get(seq.sid) is seq and seq.node is not None,
            conclude=self._conclude,
            count=self._count_step,
            is_compiling=lambda: len(self._compiling) > 0,
        )
        self._succession = Succession(
            self._intake, self._compiling, self._taker.look_ahead, self.tokenizer.token_bytes
        )
        self._speculator = Speculator(
            drafter or PromptLookup(), config.speculation, config.draft_tokens
        )
        self._passes = Passes(self.runner, self.scheduler, self._blame)
        self._counts: dict[str, float] = dict.fromkeys(_COUNTED, 0)
        self._stepped_s = 0.0  # when the last step ended
        self.profiler = Profiler(config.profile_dir)

    def close(self) -> None:
        """End what runs beside the engine; nothing is submitted or stepped any more."""
        self._compiling.close()

    # --- commands ---------------------------------------------------------------------------

    @property
    def has_work(self) -> bool:
        return bool(self._sequences) or self._trouble is not None

    def submit(self, command: Submit) -> None:
        """Take in a sequence. Raises RequestError when it can never be served or when too many
        wait already; then nothing has changed."""
        if command.sid in self._sequences:
            raise RequestError("internal", f"sequence {command.sid} exists already")
        num_waiting = len(self.scheduler.waiting) + len(self._compiling)
        if num_waiting >= self.config.max_waiting:
            raise RequestError(
                "overloaded",
                f"{num_waiting} sequences are waiting, as many as may; retry later",
                retry_after_s=1.0,
            )
        seq = self._intake.take(command)
        if seq.constraint is not None:
            self._compiling.start(seq, seq.constraint, waits=self._overlap.needs_cores)
        if seq.session:
            self.leases.begin(seq.session, seq.program, seq.namespace, command.session_ttl_s)
        programs = self.leases.programs
        seq.tokens_after, seq.calls_after = programs.call(seq.program, command.tokens_after)
        if seq.constraint is None:
            self.scheduler.submit(seq)
        self._sequences[seq.sid] = seq
        self._counts["prompt_tokens"] += seq.prompt_len

    def follow(self, sid: int, calls: list[NextCall]) -> None:
        """Let a sequence go on with calls after those that it goes on with already; one that has
        ended does not."""
        seq = self._sequences.get(sid)
        if seq is not None:
            seq.then += calls

    def drop(self, sid: int) -> None:
        """Stop a sequence and free what it holds at once; unknown ones are ignored."""
        seq = self._sequences.pop(sid, None)
        if seq is None:
            return
        try:
            if sid in self._compiling:
                self._compiling.drop(sid)
            else:
                self.scheduler.finish(seq)
            self._leave_session(seq)
        except Exception as error:
            self._note_trouble(error)

    def release_sessions(self, sessions: Iterable[int]) -> None:
        """Programs will not come back; unknown sessions are ignored."""
        for session in sessions:
            self.leases.release(session)

    def pin(self, namespace: str, input_ids: list[int], ttl_s: float) -> tuple[int, int]:
        """Let what is cached of these tokens be evicted last for `ttl_s` seconds: the pin's number
        and how many tokens it holds. Raises RequestError when pins hold too much already."""
        return self.leases.pin(namespace, np.array(input_ids, np.int32), ttl_s)

    def unpin(self, pin: int) -> bool:
        """End a pin early; False when there is none of this number."""
        return self.leases.unpin(pin)

    def flush_cache(self) -> int:
        """Forget every cached token that no running sequence uses; how many they were."""
        freed = self.cache.flush()
        if self.tier is not None:
            self.tier.clear()
        return freed

    def save_cache(self, path: Path) -> int:
        """Write every cached prefix with its KV to a file; how many tokens they are."""
        return snapshot.save(self.cache, self.runner.read_kv, self.runner.fingerprint, path)

    def load_cache(self, path: Path) -> int:
        """Cache what `save_cache` wrote, as far as there is room; how many tokens that are. Raises
        SnapshotError for a file that is damaged or of another model."""
        fingerprint = self.runner.fingerprint
        return snapshot.load(self.cache, self.runner.write_kv, fingerprint, path)

    def stats(self) -> dict[str, float]:
        """Counters since the start, and gauges of the moment."""
        return {
            **self.scheduler.stats(),
            **tier_stats(self.tier),
            **self._compiling.stats(),
            **self._chooser.stats(),
            "most_mask_work": self._taker.held.most_spent,
            "drafted_tokens": self._speculator.num_guessed,
            "accepted_tokens": self._speculator.num_right,
            "steps_ahead": self._overlap.num_ahead,
            **self.leases.stats(),
            **self._auditor.stats(),
            **self._counts,
        }

    def dump_tree(self, max_nodes: int = 1_000, max_chars: int = 80) -> list[TreeNode]:
        """The cached prefixes with their text, hits, owners and ages, parents before children."""
        return dump_tree(self, max_nodes, max_chars)

    @property
    def sequences(self) -> Collection[Sequence]:
        """Compiling, waiting and running ones, in the order of their submission."""
        return self._sequences.values()

    def is_compiling(self, sid: int) -> bool:
        return sid in self._compiling

    def inspect(self, namespace: str, query: EngineQuery) -> EngineView:
        """What somebody who looks at the tree and its sequences is shown."""
        return inspect(self, namespace, query)

    def check(self) -> None:
        """Prove that every KV slot has exactly one owner and every lease its sequence. Raises
        InvariantError. For tests and for idle moments: its time grows with the tree."""
        self._auditor.prove()

    # --- one step ---------------------------------------------------------------------------

    def step(self) -> StepEvents:
        """Advance every sequence that can run by one forward pass, and report what came of it."""
        begun_s = time.perf_counter()
        if self.runner.device.is_busy:
            begun_s = self._stepped_s  # a pass that ran ahead has been computed since then
        try:
            return self._step()
        finally:
            self._stepped_s = time.perf_counter()
            self._counts["step_seconds"] += self._stepped_s - begun_s

    def _step(self) -> StepEvents:
        lost: list[Sequence] = []
        try:
            if self._trouble is None:
                if not self._overlap.needs_cores:
                    self._compiling.go_on()
                self._advance()
                self._receive_grammars()
                self._speculator.weigh(self.scheduler.running)
                self.leases.expire()
            if self._trouble is not None:
                raise self._trouble
            if not self.strict:
                lost = self._auditor.after_step(self._runnable(), idle=not self._sequences)
        except Exception as error:
            if self.strict:
                raise
            self._trouble = None
            self._overlap.forget()
            lost = self._auditor.after_failure(self._runnable(), error)
            self.cache_events.cleared()
        for seq in lost:
            self._report_failure(
                seq, RequestError("internal", "its KV slots were mixed up; send it again")
            )
        events = StepEvents(self._outbox.take(at_once=bool(self._failed)), self._failed)
        self._failed = []
        return events

    def _runnable(self) -> list[Sequence]:
        return [seq for seq in self._sequences.values() if seq.sid not in self._compiling]

    def _advance(self) -> None:
        if self._overlap.advance():
            return
        scheduled = self.scheduler.schedule()
        if not scheduled and not self._taker.held:
            return
        num_tokens = sum(chunk.end - chunk.start for chunk in scheduled)
        self._count_step(num_tokens)
        only_decodes = all(chunk.start == chunk.seq.num_tokens - 1 for chunk in scheduled)
        begun_s = time.perf_counter()
        for seq in self._passes.embed(scheduled):
            self._report(seq, [], None, Finish("length"))
        turns, rows = self._passes.forward(scheduled)
        turns, rows = self._taker.held.join(turns, rows)
        if self._overlap.begin(turns, rows):
            return
        try:
            self._taker.take(turns, rows)
        finally:  # what was taken is told even where the step fails
            for turn in turns:
                self._conclude(turn, len(turns))
        if scheduled and only_decodes:
            self._speculator.note_step(num_tokens, time.perf_counter() - begun_s)

    def _count_step(self, num_tokens: int) -> None:
        self._counts["steps"] += 1
        self._counts["computed_tokens"] += num_tokens

    def _receive_grammars(self) -> None:
        """Sequences whose grammar is ready may run from the next step on: what is looked up in a
        grammar first, and a prompt, are not to delay the same token of the others."""
        tells = self._outbox.is_due or self._failed
        busy = self.scheduler.running or len(self.scheduler.waiting) or tells
        wait_s = 0.0 if busy else _GRAMMAR_WAIT_S
        for seq, error in self._compiling.ready_ones(wait_s, self._taker.look_ahead):
            if error is None:
                self.scheduler.submit(seq)
            else:
                self._report_failure(seq, error)

    def _conclude(self, turn: Turn, num_running: int) -> None:
        """Settle what a sequence took in this step, and report it. Tokens that were taken and
        cannot be told are the end of their sequence; the others' are told all the same."""
        try:
            self._settle(turn, num_running)
        except Exception as error:
            self._note_trouble(error)
            if self._sequences.get(turn.seq.sid) is turn.seq:
                self._report_failure(turn.seq, error)

    def _settle(self, turn: Turn, num_running: int) -> None:
        seq = turn.seq
        if not turn.failed:
            self.scheduler.confirm(seq, turn.num_computed)
            if not turn.is_held:
                self._speculator.learn(turn)
        if not turn.token_ids and turn.finish is None:
            return
        self._counts["generated_tokens"] += len(turn.token_ids)
        self._counts["forced_tokens"] += turn.num_forced
        logprobs = turn.logprobs if seq.logprobs is not None and turn.token_ids else None
        self._report(seq, turn.token_ids, logprobs, turn.finish, turn.num_forced)
        if turn.finish is None and not turn.failed and not turn.is_held:
            try:
                self._speculator.propose(seq, num_running)
            except Exception as error:
                self._blame(seq, error)

    def _report(
        self,
        seq: Sequence,
        token_ids: list[int],
        logprobs: list[TokenLogprob] | None,
        finish: Finish | None,
        num_forced: int = 0,
    ) -> None:
        heir = None if finish is None else self._succession.heir_of(seq, finish)
        news = progress_of(seq, token_ids, logprobs, finish, num_forced, goes_on=heir is not None)
        if news is not None:
            self._outbox.add(seq, news)
        self._counts["finished"] += finish is not None
        if heir is not None:
            self._counts["prompt_tokens"] += heir.prompt_len
            self._sequences[seq.sid] = heir
            self.scheduler.succeed(seq, heir)
        elif finish is not None:
            del self._sequences[seq.sid]
            self.scheduler.finish(seq)
            self._leave_session(seq)

    def _leave_session(self, seq: Sequence) -> None:
        if seq.program:
            self.leases.programs.note_call(seq.num_tokens - (seq.cached_tokens or 0))
        if seq.session:
            tokens = seq.ids[: seq.num_tokens]
            self.leases.end(seq.session, seq.namespace, tokens, last=seq.ends_session)

    def _blame(self, seq: Sequence, error: Exception) -> None:
        """A running sequence failed; what it computed is not to be trusted."""
        try:
            self.scheduler.finish(seq, keep=False)
        except Exception as defect:
            self._note_trouble(defect)
        self._report_failure(seq, error)

    def _report_failure(self, seq: Sequence, error: Exception) -> None:
        del self._sequences[seq.sid]
        self._counts["failed"] += 1
        self._failed.append(failure_of(seq, error))
        try:
            self._leave_session(seq)
        except Exception as defect:
            self._note_trouble(defect)

    def _note_trouble(self, error: Exception) -> None:
        """Let the bookkeeping be repaired at the end of the step."""
        if self.strict:
            raise error
        self._trouble = error
