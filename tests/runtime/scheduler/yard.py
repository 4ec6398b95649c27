"""A scheduler with nothing behind it: sequences of which only tokens and slots matter."""

from __future__ import annotations

import numpy as np

from branchline.runtime.memory.allocator import SlotAllocator
from branchline.runtime.protocol import LogprobParams, SamplingParams
from branchline.runtime.radix_cache.check import check
from branchline.runtime.radix_cache.tree import RadixCache
from branchline.runtime.sampling import SamplingState
from branchline.runtime.scheduler.config import SchedulerConfig
from branchline.runtime.scheduler.scheduler import Scheduler
from branchline.runtime.scheduler.sequence import Sequence
from branchline.runtime.scheduler.stop import StopChecker


class Yard:
    def __init__(
        self, num_slots: int = 1_000, max_logit_rows: int = 1_000, **config: object
    ) -> None:
        self.allocator = SlotAllocator(num_slots)
        self.cache = RadixCache(self.allocator)
        self.scheduler = Scheduler(
            SchedulerConfig(**config), self.allocator, self.cache, max_logit_rows=max_logit_rows
        )
        self.num_made = 0

    def submit(
        self,
        prompt: list[int],
        max_new_tokens: int = 10,
        logprobs: LogprobParams | None = None,
        priority: int = 0,
    ) -> Sequence:
        seq = self.make(prompt, max_new_tokens, logprobs, priority)
        self.scheduler.submit(seq)
        return seq

    def enqueue(self, prompt: list[int], priority: int = 0) -> Sequence:
        """Let a sequence wait that is never to run."""
        seq = self.make(prompt, 1, None, priority)
        self.scheduler.waiting.add(seq)
        return seq

    def make(
        self, prompt: list[int], max_new_tokens: int, logprobs: LogprobParams | None, priority: int
    ) -> Sequence:
        self.num_made += 1
        params = SamplingParams(max_new_tokens=max_new_tokens)
        return Sequence(
            sid=self.num_made,
            arrival=self.num_made,
            namespace="",
            prompt_len=len(prompt),
            max_new_tokens=max_new_tokens,
            sampling=params,
            sampling_state=SamplingState(params, prompt, 1_000),
            stop=StopChecker(params, max_new_tokens, (), []),
            ids=np.array(prompt, np.int32),
            num_tokens=len(prompt),
            logprobs=logprobs,
            priority=priority,
        )

    def step(self) -> dict[int, int]:
        """Run one step, in which every sequence at its end samples a token; tokens by sid."""
        chunks = self.scheduler.schedule()
        for chunk in chunks:
            self.scheduler.settle(chunk)
        for chunk in chunks:
            seq = chunk.seq
            if seq.num_computed == seq.num_tokens:
                seq.append(900 + seq.sid)
                seq.reported = True
                if not seq.num_remaining:
                    self.scheduler.finish(seq)
        running = self.scheduler.running
        check(
            self.cache,
            [seq.own_slots() for seq in running],
            [seq.node for seq in running if seq.node is not None],
        )
        return {chunk.seq.sid: chunk.end - chunk.start for chunk in chunks}

    def insert(self, tokens: list[int]) -> None:
        """Put tokens into the tree as if a sequence had computed what is missing."""
        ids = np.array(tokens, np.int32)
        present = self.cache.match_prefix("", ids).slots
        if len(present) == len(ids):
            return
        missing = len(ids) - len(present)
        if missing > self.allocator.num_free:
            self.cache.evict(missing - self.allocator.num_free)
            present = self.cache.match_prefix("", ids).slots
        fresh = self.allocator.allocate(len(ids) - len(present))
        if fresh is not None:
            self.cache.insert("", ids, np.concatenate([present, fresh]))

    def cache_prefix(self, tokens: list[int]) -> None:
        """Let a sequence come and go that leaves these tokens in the tree."""
        seq = self.submit(tokens, 1)
        while seq.num_remaining:
            self.step()
