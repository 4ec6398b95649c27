"""An engine on the hash runner, and what its sequences have said so far; every step is checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from hash_runner import EOS, HashRunner, HashTokenizer, continuation

from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.core import EngineCore
from branchline.runtime.engine_protocol import Failed, NextCall, Progress, StepEvents, Submit
from branchline.runtime.protocol import CacheMiss, LogprobParams, SamplingParams, TokenLogprob
from branchline.runtime.radix_cache.node import Node

# Longer than the longest prompt here takes in the smallest chunks.
MAX_QUIET_STEPS = 300


@dataclass
class Heard:
    """What the events told of one call. heir: the next call, with which its sequence went on."""

    submit: Submit
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    cached_tokens: int | None = None
    cache_miss: CacheMiss | None = None
    prompt_logprobs: list[TokenLogprob] | None = None
    finish: str | None = None
    matched_stop: str | int | None = None
    failed: Failed | None = None
    num_progress: int = 0
    num_forced: int = 0
    drafts: tuple[int, int] | None = None
    heir: Heard | None = None

    @property
    def over(self) -> bool:
        return self.finish is not None or self.failed is not None


class NoCompiler:
    """For engines whose requests have no constraints."""

    def compile(self, constraint: object, max_new_tokens: int) -> object:
        raise AssertionError("nothing is to be compiled here")


class World:
    def __init__(
        self,
        num_slots: int = 1_000,
        *,
        runner: HashRunner | None = None,
        compiler: object = None,
        drafter: object = None,
        vocab_size: int = 61,
        strict: bool = True,
        **config: object,
    ) -> None:
        self.runner = runner or HashRunner(num_slots, vocab_size)
        self.tokenizer = HashTokenizer(vocab_size)
        settings = EngineConfig(**config)
        self.core = EngineCore(
            settings,
            self.runner,
            self.tokenizer,
            compiler or NoCompiler(),
            drafter,
            strict=strict,
        )
        self.quotas = self.core.cache.order.quotas
        self.core.cache.evict = partial(self._evict_fairly, self.core.cache.evict)
        self.heard: dict[int, Heard] = {}
        self._next_sid = 0
        self._quiet_steps = 0
        free = self.core.allocator.free

        def free_and_poison(slots: np.ndarray) -> None:
            free(slots)
            self.runner.poison(slots)

        self.core.allocator.free = free_and_poison

    def _evict_fairly(
        self,
        evict: Callable[[int, str | None, int], int],
        n: int,
        namespace: str | None = None,
        spare: int = 0,
    ) -> int:
        """No tenant loses anything of what its quota holds to another."""
        others = {name: quota for name, quota in self.quotas.items() if name != namespace}
        kept = {name: min(self.num_cached(name), quota) for name, quota in others.items()}
        freed = evict(n, namespace, spare)
        for name, least in kept.items():
            assert self.num_cached(name) >= least, f"{namespace!r} took the quota of {name!r}"
        return freed

    def num_cached(self, namespace: str) -> int:
        """Tokens of a namespace in the tree, counted one by one."""
        root = self.core.cache.roots.get(namespace)
        nodes: list[Node] = [] if root is None else [root]
        for node in nodes:  # grows while it is walked
            nodes.extend(node.children.values())
        return sum(len(node.slots) for node in nodes)

    def submit(
        self,
        prompt: list[int],
        max_new_tokens: int = 8,
        *,
        logprobs: LogprobParams | None = None,
        constraint: object = None,
        namespace: str = "",
        priority: int = 0,
        session: int = 0,
        session_ttl_s: float = 60.0,
        ends_session: bool = False,
        program: int = 0,
        tokens_after: int | None = None,
        then: list[NextCall] | None = None,
        quiet: bool = False,
        private: bool = False,
        **sampling: object,
    ) -> Heard:
        self._next_sid += 1
        params = SamplingParams(
            **{"max_new_tokens": max_new_tokens, "temperature": 0.0, **sampling}
        )
        submit = Submit(
            self._next_sid,
            prompt,
            params,
            constraint,
            logprobs,
            namespace,
            priority,
            session,
            session_ttl_s,
            ends_session,
            then=then or [],
            quiet=quiet,
            private=private,
            program=program,
            tokens_after=tokens_after,
        )
        self.core.submit(submit)
        heard = self.heard[submit.sid] = Heard(submit)
        return heard

    def step(self, check: bool = True) -> StepEvents:
        events = self.core.step()
        self._quiet_steps = (
            0 if events.progress or not self.core.has_work else self._quiet_steps + 1
        )
        assert self._quiet_steps < MAX_QUIET_STEPS, f"nothing gets done: {self.core.stats()}"
        for progress in events.progress:
            self._hear(progress)
        for failed in events.failed:
            heard = self.heard[failed.sid]
            assert not heard.over, "an ended sequence must not be heard of again"
            heard.failed = failed
        if check:
            self.core.check()
            assert len(self.core.leases.programs) <= self.core.leases.num_sessions
        return events

    def _hear(self, progress: Progress) -> None:
        heard = self.heard[progress.sid]
        assert not heard.over, "an ended sequence must not be heard of again"
        first = heard.num_progress == 0
        heard.num_progress += 1
        heard.token_ids += progress.token_ids
        heard.logprobs += progress.logprobs or []
        assert (progress.cached_tokens is not None) == first
        if first:
            heard.cached_tokens = progress.cached_tokens
            heard.cache_miss = progress.cache_miss
            heard.prompt_logprobs = progress.prompt_logprobs
        heard.num_forced += progress.num_forced
        heard.drafts = progress.drafts
        heard.finish = progress.finish
        heard.matched_stop = progress.matched_stop
        if progress.goes_on:
            heard.heir = self.heard[progress.sid] = Heard(heir_of(heard))

    def follow(self, heard: Heard, call: NextCall) -> None:
        """Tell the engine what the sequence of an earlier call goes on with in the end."""
        self.core.follow(heard.submit.sid, [call])
        last = self.heard[heard.submit.sid]
        if not last.over:
            last.submit.then.append(call)

    def drop(self, heard: Heard) -> None:
        self.core.drop(heard.submit.sid)
        del self.heard[heard.submit.sid]

    def run(self, max_steps: int = 100_000) -> None:
        """Step until nothing is left to do."""
        for _ in range(max_steps):
            if not self.core.has_work:
                return
            self.step()
        raise AssertionError(f"still busy after {max_steps} steps: {self.core.stats()}")

    def expected(self, submit: Submit) -> tuple[list[int], str, str | int | None]:
        """Tokens, finish reason and matched stop that this submit must lead to, told naively."""
        params = submit.sampling
        reserved = sum(n for name, n in self.quotas.items() if name != submit.namespace)
        slots = self.runner.num_slots - reserved
        most = min(self.runner.context_length, slots) - len(submit.input_ids)
        limit = min(params.max_new_tokens, most)
        tokens = continuation(submit.input_ids, limit, self.runner.vocab_size)
        text = ""
        for n, last in enumerate(tokens, start=1):
            piece = self.tokenizer.decode([last])
            text += piece
            if n < params.min_new_tokens:
                continue
            if (last == EOS and not params.ignore_eos) or last in params.stop_token_ids:
                return tokens[:n], "stop", last
            if (ended := stop_in_last(text, len(piece), params.stop)) is not None:
                return tokens[:n], "stop", ended
        return tokens, "length", None

    def assert_right(self, heard: Heard) -> None:
        assert heard.failed is None, heard.failed
        tokens, finish, matched = self.expected(heard.submit)
        assert (heard.token_ids, heard.finish, heard.matched_stop) == (tokens, finish, matched)
        wanted = heard.submit.logprobs
        if wanted is not None and wanted.prompt_start is not None:
            found = [entry.token_id for entry in heard.prompt_logprobs or []]
            assert found == heard.submit.input_ids[wanted.prompt_start :]

    def assert_estimates(self) -> None:
        """Those that wait know exactly how much of them is cached."""
        for seq in self.core.sequences:
            if seq.is_waiting:
                tokens = seq.ids[: seq.max_match]
                assert seq.hit_estimate == self.core.cache.match_length(seq.namespace, tokens)

    def assert_idle(self) -> None:
        """Nothing runs, and every slot is free or cached."""
        assert not self.core.has_work
        self.core.check()
        stats = self.core.stats()
        assert stats["free_slots"] + stats["cached_tokens"] == stats["num_slots"]
        assert stats["evictable_tokens"] == stats["cached_tokens"]


def heir_of(heard: Heard) -> Submit:
    """The call that follows one that has ended, as it would be submitted by itself."""
    before, (call, *then) = heard.submit, heard.submit.then
    ends_with_stop = heard.token_ids[-1:] == [heard.matched_stop]
    said = heard.token_ids[:-1] if ends_with_stop else heard.token_ids
    return Submit(
        before.sid,
        [*before.input_ids, *said, *call.input_ids],
        call.sampling,
        call.constraint,
        call.logprobs,
        before.namespace,
        then=then,
    )


def stop_in_last(text: str, num_new: int, stops: list[str]) -> str | None:
    """The stop string that begins first among those that end in the last `num_new` characters."""
    found = []
    for order, stop in enumerate(stops):
        for end in range(len(text) - num_new + 1, len(text) + 1):
            if text.endswith(stop, 0, end):
                found.append((end - len(stop), order, stop))
                break
    return min(found)[2] if found else None
