"""What runs in the next step: admission, budget, KV slots, retraction; for the engine core."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ..memory.allocator import SlotAllocator
from ..radix_cache.history import EvictionHistory
from ..radix_cache.host_tier import HostTier
from ..radix_cache.node import TOKEN_BYTES
from ..radix_cache.tree import RadixCache
from .config import SchedulerConfig
from .kv import KVLedger, common_namespace
from .sequence import Sequence
from .waiting import WaitingQueue

# Candidates for which no room was found before admission gives up for this step.
_MAX_MISFITS = 4
_MAX_LOOKAHEAD = 2**20


@dataclass(slots=True, eq=False)
class Chunk:
    """`tokens[start:end]` of a sequence, to be computed in one step; those behind its own tokens
    are staged."""

    seq: Sequence
    start: int
    end: int

    @property
    def reaches_end(self) -> bool:
        """True when its last logits decide the sequence's next token."""
        return self.end >= self.seq.num_tokens


class Scheduler:
    """Sequences are waiting or running; running ones hold KV slots, waiting ones none.

    max_logit_rows: most rows of logits per step for log probabilities of prompts.

    Each step every decoding sequence gets one token; what is left of the budget goes to chunks of
    uncomputed prompts, oldest first, and to admitting. Slots are not reserved in advance for
    what a sequence may generate. When they run out, the youngest running sequence (of the lowest
    priority) is retracted: its KV stays in the tree as evictable cache and it waits again. The
    oldest is never retracted, so something always gets done, and after each retraction admission
    looks twice as far ahead, so that retractions die out. For one that was retracted often it looks
    ahead to the end of all, so that it is never retracted again.
    """

    def __init__(
        self,
        config: SchedulerConfig,
        allocator: SlotAllocator,
        cache: RadixCache,
        *,
        max_logit_rows: int,
        tier: HostTier | None = None,
    ) -> None:
        self.config = config
        self.kv = KVLedger(allocator, cache, tier)
        self.waiting = WaitingQueue(config, cache)
        self.running: list[Sequence] = []
        self.num_retractions = 0
        self.num_hit_tokens = 0
        self._max_logit_rows = max_logit_rows
        self._rows_left = max_logit_rows
        self._lookahead = config.lookahead
        self._is_careful = False
        self._history = EvictionHistory(cache.clock)
        cache.listeners.append(self._history)
        self._stalled = False

    def stats(self) -> dict[str, float]:
        """Sequences, slots and what the tree holds, as of now; and counters."""
        allocator, cache = self.kv.allocator, self.kv.cache
        return {
            "running": len(self.running),
            "waiting": len(self.waiting),
            "num_slots": allocator.num_slots,
            "free_slots": allocator.num_free,
            "cached_tokens": cache.num_tokens,
            "evictable_tokens": cache.num_evictable,
            "cache_nodes": cache.num_nodes,
            "evicted_tokens": cache.num_evicted_total,
            "hit_tokens": self.num_hit_tokens,
            "retractions": self.num_retractions,
        }

    def submit(self, seq: Sequence) -> None:
        """Queue a sequence. Alone in the pool it must fit."""
        self.waiting.add(seq)
        self._stalled = False

    def schedule(self) -> list[Chunk]:
        """Decide the next step and give its tokens slots. Empty when nothing can run."""
        self._rows_left = self._max_logit_rows
        self._is_careful = any(map(self._was_retracted_often, self.running))
        if self.config.policy == "priority":
            self._preempt()
        decoding = self._grant_decodes()
        chunks = [Chunk(seq, seq.num_computed, seq.num_tokens) for seq in decoding]
        budget = self.config.chunk_tokens - len(chunks)
        budget -= self._grant_given(chunks, budget // 2)
        extending = [seq for seq in self.running if seq.num_tokens > seq.num_slots]
        may_admit = len(self.running) < self.config.max_running and not self._stalled
        if len(self.waiting) and may_admit and budget > 0:
            # A long prompt leaves a quarter to new sequences, which may need a few tokens only.
            wanted = sum(seq.num_uncomputed for seq in extending)
            budget -= self._admit(chunks, min(budget, max(budget // 4, budget - wanted)))
        if extending:
            self._grant_extends(extending, chunks, budget)
        return chunks

    def settle(self, chunk: Chunk) -> None:
        """Note that a chunk was computed; file a prompt's part in the tree at once, so that those
        who wait for it can go on."""
        seq = chunk.seq
        seq.num_computed = min(chunk.end, seq.num_tokens)
        is_prompt = seq.num_computed - chunk.start > 1 or seq.num_computed <= seq.prompt_len
        if is_prompt:
            self.kv.publish(seq)
            if self.waiting.wake(seq):
                self._stalled = False

    def confirm(self, seq: Sequence, num_computed: int) -> None:
        """Its staged tokens were taken up to `num_computed`; the slots of the others are free."""
        seq.num_computed = num_computed
        if seq.num_slots > num_computed + seq.num_ahead:
            self.kv.trim(seq)

    def is_steady(self, num_drawn: int) -> bool:
        """Whether the next step is known already: all running sequences are the `num_drawn` whose
        tokens are just being drawn, and nobody else would get a place."""
        if len(self.running) != num_drawn:
            return False
        full = num_drawn >= self.config.max_running and self.config.policy != "priority"
        return full or not len(self.waiting)

    def grow_ahead(self, seqs: list[Sequence]) -> bool:
        """Give each decoding sequence a slot for the token that it is about to take. False, and
        nothing is done, where a sequence would have to be retracted for them."""
        if len(seqs) > self.kv.num_available(common_namespace(seqs)):
            return False
        self.kv.grow_each(seqs)
        for seq in seqs:
            seq.num_ahead = 1
        return True

    def drop_ahead(self, seq: Sequence) -> None:
        """Take that slot back."""
        seq.num_ahead = 0
        self.confirm(seq, seq.num_computed)

    def succeed(self, seq: Sequence, heir: Sequence) -> None:
        """`seq` ended; `heir` begins with its tokens and goes on in its place, with what it has
        computed and what it holds."""
        heir.arrival, heir.preemptions = seq.arrival, seq.preemptions
        # The last token of a prompt is computed in any case: its logits decide what follows.
        num_kept = min(seq.num_computed, heir.max_match)
        # A guessed stop was computed, too, and another token comes in its place.
        if (differs := seq.ids[:num_kept] != heir.ids[:num_kept]).any():
            num_kept = int(differs.argmax())
        if num_kept < seq.num_leased or (self._is_careful and not self._has_room_after(seq, heir)):
            # The tree owns what would have to be given back, or others were promised what it adds.
            self.finish(seq)
            self.submit(heir)
            return
        self.confirm(seq, num_kept)
        heir.node, heir.slots = seq.node, seq.slots
        heir.num_slots, heir.num_leased = seq.num_slots, seq.num_leased
        heir.num_computed = heir.cached_tokens = seq.num_computed
        heir.queue_s = 0.0
        self.num_hit_tokens += heir.num_computed
        if heir.num_computed < heir.max_match:
            heir.cache_miss = self._history.explain(
                heir.namespace, heir.ids, heir.num_computed, None
            )
        seq.node = None
        seq.num_slots = seq.num_leased = seq.num_computed = 0
        self.running[self.running.index(seq)] = heir
        self.waiting.wake(seq, gone=True)

    def finish(self, seq: Sequence, *, keep: bool = True) -> None:
        """A sequence ended or was dropped, running or waiting; free what it holds. With `keep` all
        that it computed stays in the tree as cache."""
        if seq.node is None:
            self.waiting.remove(seq)
        else:
            self.running.remove(seq)
            self.kv.release(seq, keep=keep)
            self.waiting.wake(seq, gone=True)
            self._lookahead = max(self._lookahead * 7 // 8, self.config.lookahead)
        self._stalled = False

    def resume(self, sound: list[Sequence], lost: list[Sequence]) -> None:
        """Go on after a repair of the tree. `sound` are all that may still run: each is retracted,
        since the step in which they were met may be half done. `lost` hold nothing any more."""
        for seq in lost:
            seq.node = None
            seq.num_slots = seq.num_leased = seq.num_computed = seq.num_ahead = 0
            self.waiting.wake(seq, gone=True)
        for seq in sound:
            if seq.is_waiting:  # on its way from there when the step failed
                self.waiting.remove(seq)
        self.waiting.look_up_again()
        self.running = list(sound)
        for seq in sound:
            self._retract(seq)

    def _grant_decodes(self) -> list[Sequence]:
        """Slots for one token of each decoding sequence; retracts until there are enough."""
        while True:
            decoding = [seq for seq in self.running if seq.num_tokens - seq.num_computed == 1]
            if len(decoding) <= self.kv.num_available(common_namespace(decoding)):
                break
            self._retract_last()
        self.kv.grow_each(decoding)
        return decoding

    def _grant_given(self, chunks: list[Chunk], budget: int) -> int:
        """Let decoding sequences compute what they were given, too; return the tokens used."""
        used = 0
        for chunk in chunks:
            if chunk.seq.given and used < budget:
                used += self._stage(chunk, budget - used)
        return used

    def _stage(self, chunk: Chunk, budget: int) -> int:
        """Lengthen a chunk that reaches its sequence's end by given tokens, as far as slots can
        be had; return how many."""
        seq = chunk.seq
        # Of the last token that it may have, nothing is ever computed.
        length = min(len(seq.given), seq.num_remaining - 1, budget)
        length = min(length, self.kv.num_available(seq.namespace))
        if length <= 0:
            return 0
        self.kv.grow(seq, length)
        seq.stage(length)
        chunk.end += length
        return length

    def _grant_extends(self, extending: list[Sequence], chunks: list[Chunk], budget: int) -> None:
        """Chunks for running sequences whose prompts are not computed yet, the oldest first."""
        if not chunks:
            # Only prompts in the making: if they have taken all slots, nobody could ever go on.
            while not any(self.kv.num_available(seq.namespace) for seq in extending):
                extending.remove(self._retract_last())
        for seq in sorted(extending, key=lambda seq: seq.arrival):
            budget -= self._extend(seq, chunks, budget)

    def _extend(self, seq: Sequence, chunks: list[Chunk], budget: int) -> int:
        length = min(seq.num_uncomputed, budget, self.kv.num_available(seq.namespace))
        first_row = seq.first_logprob_row
        if first_row is not None:  # one row of logits for each token from there on
            num_before = max(0, first_row - seq.num_computed)
            length = min(length, num_before + self._rows_left)
            self._rows_left -= max(0, length - num_before)
        if length <= 0:
            return 0
        self.kv.grow(seq, length)
        chunk = Chunk(seq, seq.num_computed, seq.num_computed + length)
        chunks.append(chunk)
        if seq.given and chunk.reaches_end:
            length += self._stage(chunk, budget - length)
        return length

    def _admit(self, chunks: list[Chunk], budget: int) -> int:
        """Start waiting sequences while budget, places and slots last; return the tokens used."""
        budget_before = budget
        # Those whose uncomputed prompts others may share: running ones, and the newly admitted.
        in_flight = [seq for seq in self.running if seq.num_tokens - seq.num_computed > 1]
        misfits = num_tried = num_admitted = 0
        promised = self._promised()
        parked = False
        while (seq := self.waiting.next()) is not None and num_tried < self.config.max_tries:
            if budget <= 0 or len(self.running) >= self.config.max_running:
                break
            num_tried += 1
            if not self._is_careful and self._was_retracted_often(seq):
                self._is_careful = True
                promised = self._promised()
            # Who is due does not wait for others, lest its bound depend on their prompts.
            due = self.waiting.someone_is_due
            if in_flight and not due and (other := self._who_computes_for(seq, in_flight)):
                self.waiting.park(seq, other)
                parked = True
                continue
            if not self._start(seq, promised):
                misfits += 1
                if misfits >= _MAX_MISFITS or self.waiting.must_not_be_passed(seq):
                    break
                self.waiting.set_aside(seq)
                continue
            self.waiting.admit(seq)
            num_admitted += 1
            in_flight.append(seq)
            budget -= self._extend(seq, chunks, budget)
            promised += self._growth(seq) + seq.num_tokens - seq.num_slots
        self.waiting.end_of_step()
        self._stalled = misfits > 0 and not parked and not num_admitted
        return budget_before - budget

    def _start(self, seq: Sequence, promised: int) -> bool:
        """Lease its cached prefix and make it run, if its slots and the promised ones are there."""
        if self.running:
            need = seq.num_tokens + self._growth(seq) + promised
            if need - seq.max_match > self._num_free_for(seq):
                return False
            self.kv.lease(seq)
            if need - seq.num_leased > self._num_free_for(seq):
                self.kv.release(seq, keep=True)
                return False
        else:
            self.kv.lease(seq)
        if seq.cached_tokens is None:
            seq.cached_tokens = seq.num_leased
            seq.queue_s = time.monotonic() - seq.arrived_s
            self.num_hit_tokens += seq.num_leased
            if seq.num_leased < seq.max_match and seq.node is not None:
                seq.cache_miss = self._history.explain(
                    seq.namespace, seq.ids, seq.num_leased, seq.node
                )
        self.running.append(seq)
        return True

    def _was_retracted_often(self, seq: Sequence) -> bool:
        return seq.retractions >= self.config.max_retractions

    def _num_free_for(self, seq: Sequence) -> int:
        """Slots that it can count on; of its own quota none where others' growth counts, too."""
        num = self.kv.num_available(seq.namespace)
        return min(num, self.kv.num_available(None)) if self._is_careful else num

    def _growth(self, seq: Sequence) -> int:
        return seq.num_remaining if self._is_careful else min(seq.num_remaining, self._lookahead)

    def _promised(self, without: Sequence | None = None) -> int:
        """Slots that those already running are going to need."""
        running = (seq for seq in self.running if seq is not without)
        return sum(seq.num_tokens - seq.num_slots + self._growth(seq) for seq in running)

    def _has_room_after(self, seq: Sequence, heir: Sequence) -> bool:
        need = heir.num_tokens - seq.num_slots + self._growth(heir) + self._promised(without=seq)
        return need <= self._num_free_for(heir)

    def _who_computes_for(self, seq: Sequence, in_flight: list[Sequence]) -> Sequence | None:
        """The sequence that is just computing the next uncached tokens of this one, if one is."""
        wanted = seq.hit_estimate + self.config.min_shared_tokens
        if wanted > seq.max_match:
            return None
        head = seq.prefix_bytes[: wanted * TOKEN_BYTES]
        for other in in_flight:
            if other.namespace == seq.namespace and other.prefix_bytes.startswith(head):
                return other
        return None

    def _preempt(self) -> None:
        """Retract sequences of lower priority while the first in line finds no place or slots."""
        while (seq := self.waiting.next()) is not None and self.running:
            victims = [
                other
                for other in self.running
                if other.priority < seq.priority and other.preemptions < self.config.max_preemptions
            ]
            if not victims or self._has_room_for(seq):
                return
            victim = min(victims, key=lambda other: (other.priority, -other.arrival))
            victim.preemptions += 1
            self._retract(victim)

    def _has_room_for(self, seq: Sequence) -> bool:
        if len(self.running) >= self.config.max_running:
            return False
        need = seq.num_tokens + self._growth(seq) + self._promised()
        return need - seq.hit_estimate <= self._num_free_for(seq)

    def _retract_last(self) -> Sequence:
        """Slots ran out: of the lowest priority, the youngest gives back its own."""
        if len(self.running) == 1:
            raise RuntimeError(
                "a sequence alone ran out of KV slots; it should not have been taken"
            )
        victim = min(self.running, key=lambda seq: (seq.priority, -seq.arrival))
        self._retract(victim)
        self._lookahead = min(2 * self._lookahead, _MAX_LOOKAHEAD)
        return victim

    def _retract(self, victim: Sequence) -> None:
        """Take back a running sequence's slots; what it computed stays in the tree as cache."""
        self.running.remove(victim)
        self.kv.release(victim, keep=True)
        victim.prompt_logprobs.clear()
        victim.retractions += 1
        self.num_retractions += 1
        self.waiting.wake(victim, gone=True)
        self.waiting.add(victim)
        self._stalled = False
