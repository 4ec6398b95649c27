"""One sequence on its way through the engine: its tokens, its KV slots, what it samples with.

Made by the engine core from a `engine_protocol.Submit`; moved by the scheduler.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..engine_protocol import NextCall
from ..memory.allocator import SlotIds
from ..protocol import (
    CacheMiss,
    Constraint,
    EmbedParams,
    LogprobParams,
    SamplingParams,
    TokenLogprob,
)
from ..radix_cache.node import TOKEN_BYTES, Node, TokenIds
from .drafting import Pace
from .stop import StopChecker

if TYPE_CHECKING:
    from ..constrained.base import Matcher
    from ..sampling import SamplingState


@dataclass(slots=True)
class Untold:
    """News of a sequence that wait for further ones. since_s: when the first of its tokens came."""

    since_s: float
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    num_forced: int = 0


@dataclass(slots=True, eq=False)
class Sequence:
    """The first `num_computed` tokens have KV; their slots are `slots[:num_computed]`.

    The last sampled token has none yet: a decoding sequence has exactly one token without KV, one
    whose prompt is being extended has more.

    Of the slots, the first `num_leased` belong to the radix tree, where `node` is locked for this
    sequence; those behind, up to `num_slots`, are its own. A waiting sequence holds no slots.

    num_ahead: slots behind those, for a token that a queued step computes before it is known.

    given: tokens that are to follow, whose KV the next step computes too, as far as there is room:
    the first `num_forced` surely follow, and with `given_ends` nothing else does. The others are
    guesses, which count if they are sampled; the last `num_drafted` are not the grammar's. untried:
    the next token by a guess that is not computed.
    pace: how much is guessed.

    arrival: order of submission; smaller is older. max_new_tokens: as asked for, but no more than
    fits. priority: higher goes first, where the policy looks at it. session: what it leaves in the
    cache is kept under that number, 0 for not at all; ends_session: until it ends. program: whose
    call it is, 0 for nobody's; tokens_after: what calls that follow it are going to compute, and
    calls_after: about how many these are.
    then: the calls that it goes on with.
    queue_s: how long it waited before it was first admitted.
    quiet, private: its news may wait, as Submit says; told_s: when it was told of last, untold:
    what was not yet.
    state_sum: [hidden], the sum of what is pooled, where its prompt is to be embedded.

    prefix_bytes: its tokens when it began to wait, as bytes; none of an heir.

    While it waits, for the queue: hit_estimate: how many are cached.
    due_at: after so many admissions it is due. ticket: of its valid entry in the order.
    parked_on: the running sequence that computes what both begin with.
    """

    sid: int
    arrival: int
    namespace: str
    prompt_len: int
    max_new_tokens: int
    sampling: SamplingParams
    sampling_state: SamplingState
    stop: StopChecker
    ids: TokenIds
    num_tokens: int
    logprobs: LogprobParams | None = None
    constraint: Constraint | None = None
    priority: int = 0
    session: int = 0
    ends_session: bool = False
    program: int = 0
    tokens_after: float = 0.0
    calls_after: int = 0
    then: list[NextCall] = field(default_factory=list)
    matcher: Matcher | None = None
    given: list[int] = field(default_factory=list)
    num_forced: int = 0
    given_ends: bool = False
    num_drafted: int = 0
    untried: int | None = None
    pace: Pace = field(default_factory=Pace)

    num_computed: int = 0
    num_slots: int = 0
    num_leased: int = 0
    num_ahead: int = 0
    slots: SlotIds = field(default_factory=lambda: np.empty(0, np.int64))
    node: Node | None = None

    prefix_bytes: bytes = b""
    hit_estimate: int = 0
    is_waiting: bool = False
    due_at: int | None = None
    ticket: int = 0
    parked_on: Sequence | None = None
    retractions: int = 0
    preemptions: int = 0
    cached_tokens: int | None = None
    cache_miss: CacheMiss | None = None
    prompt_logprobs: list[TokenLogprob] = field(default_factory=list)
    reported: bool = False
    quiet: bool = False
    private: bool = False
    told_s: float | None = None
    untold: Untold | None = None
    arrived_s: float = field(default_factory=time.monotonic)
    queue_s: float | None = None
    embed: EmbedParams | None = None
    state_sum: np.ndarray[tuple[int], np.dtype[np.float64]] | None = None

    @property
    def num_generated(self) -> int:
        return self.num_tokens - self.prompt_len

    @property
    def num_uncomputed(self) -> int:
        return self.num_tokens - self.num_computed

    @property
    def num_remaining(self) -> int:
        """How many more tokens it may generate."""
        return self.prompt_len + self.max_new_tokens - self.num_tokens

    @property
    def first_logprob_row(self) -> int | None:
        """The first position whose logits are wanted for the prompt's log probabilities: the one
        before the first prompt token that is asked for. None once they are delivered."""
        if self.logprobs is None or self.logprobs.prompt_start is None or self.reported:
            return None
        return max(self.logprobs.prompt_start - 1, 0)

    @property
    def max_match(self) -> int:
        """How many cached tokens it can use: never the last one, whose logits it needs, nor those
        from which the prompt's log probabilities or its mean state are to be computed."""
        if self.embed is not None and self.embed.pooling == "mean":
            return 0
        first_row = self.first_logprob_row
        limit = self.num_tokens - 1
        return limit if first_row is None else min(limit, first_row)

    def computed_bytes(self) -> bytes:
        """The tokens that have KV, as bytes."""
        prompt = self.prefix_bytes[: self.prompt_len * TOKEN_BYTES]
        num_known = len(prompt) // TOKEN_BYTES
        if self.num_computed <= num_known:
            return prompt[: self.num_computed * TOKEN_BYTES]
        return prompt + self.ids[num_known : self.num_computed].tobytes()

    def append(self, token_id: int) -> None:
        """Take a token; its KV is computed by the next step unless it was staged."""
        if self.num_tokens == len(self.ids):
            self._lengthen(1)
        self.ids[self.num_tokens] = token_id
        self.num_tokens += 1

    def give(self, forced: list[int], likely: int | None, *, ends: bool = False) -> None:
        """Note what follows now; what was given before is void."""
        self.given = forced if likely is None else [*forced, likely]
        self.num_forced, self.num_drafted = len(forced), 0
        self.given_ends = ends

    def stage(self, count: int) -> None:
        """Put the first `count` given tokens behind its own, to be computed but not taken yet."""
        end = self.num_tokens + count
        if end > len(self.ids):
            self._lengthen(count)
        self.ids[self.num_tokens : end] = self.given[:count]

    def _lengthen(self, count: int) -> None:
        room = len(self.ids) + max(count, 16)
        self.ids = np.concatenate([self.ids, np.empty(room, np.int32)])

    def add_slots(self, new: SlotIds) -> None:
        """Own `new` as the slots of the next tokens."""
        end = self.num_slots + len(new)
        self.reserve(end)
        self.slots[self.num_slots : end] = new
        self.num_slots = end

    def reserve(self, num_slots: int) -> None:
        """Make room to note that many slots."""
        if num_slots > len(self.slots):
            room = np.empty(max(num_slots, 2 * len(self.slots), len(self.ids)), np.int64)
            room[: self.num_slots] = self.slots[: self.num_slots]
            self.slots = room

    def own_slots(self) -> SlotIds:
        """The slots that are this sequence's and not the tree's."""
        return self.slots[self.num_leased : self.num_slots]
