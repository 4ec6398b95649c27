"""What the front process and its engine say to each other.

Users of this file: the front process (`server/`), the engine process (`engine/`) and whoever holds
an engine in a process of its own. Frames are those of protocol.py.

    front process  <-- channel.py -->  engine process        EngineCommand / EngineEvent
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct, field

from .protocol import (
    CacheMiss,
    Constraint,
    Decoder,
    EmbedParams,
    ErrorCode,
    FinishReason,
    LogprobParams,
    Message,
    SamplingParams,
    TokenLogprob,
)
from .views import EngineQuery, EngineView

# The engine tells all log probabilities of a long prompt at once; clients' limits come behind it.
MAX_EVENT_BYTES: Final = 1 << 29

# --- front process -> engine process -------------------------------------------------------


class NextCall(Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """A call that goes on from the one before it: its prompt is that one's, the output without an
    end token, and `input_ids`. private: as in Submit."""

    input_ids: list[int]
    sampling: SamplingParams
    constraint: Constraint | None = None
    logprobs: LogprobParams | None = None
    private: bool = False


class Submit(Message, tag="submit", frozen=True):
    """One sequence to run. The front process makes `n` of these for a request with n > 1 and one
    per choice for a Score; `sid` is the front's own number, never a client's id.

    Stop strings are matched in the engine, which knows the bytes of each token.

    priority: higher goes first under the policy "priority". session: a number, 0 for none, under
    which what it leaves in the cache is kept until `session_ttl_s` after the last sequence of that
    session, or an EngineRelease. ends_session: none will follow.
    program: the number of the program whose call this is, by default its session; 0 for a call
    alone. It is over when its last session is. tokens_after: how many tokens calls that follow this
    one may generate, None where nobody knows.
    then: calls of the same program that follow each other from here; the sequence goes on with the
    next one where that is possible (`Progress.goes_on`), else it ends, and they are forgotten.
    quiet: nobody reads along; news of tokens may wait a little for further ones. private: nobody
    waits for its answer before that of the last call which follows it; news that it goes on may
    wait longer.
    """

    sid: int
    input_ids: list[int]
    sampling: SamplingParams
    constraint: Constraint | None = None
    logprobs: LogprobParams | None = None
    namespace: str = ""
    priority: int = 0
    session: int = 0
    session_ttl_s: float = 60.0
    ends_session: bool = False
    embed: EmbedParams | None = None
    then: list[NextCall] = field(default_factory=list)
    quiet: bool = False
    private: bool = False
    program: int = 0
    tokens_after: int | None = None


class Drop(Message, tag="drop", frozen=True):
    """Stop sequence `sid` at once and free what it holds; answered by nothing."""

    sid: int


class Follow(Message, tag="follow", frozen=True):
    """Let sequence `sid` go on with these calls after all that it was told of before
    (`Submit.then`). Of one that has ended nothing comes of it: such calls are submitted by
    themselves."""

    sid: int
    calls: list[NextCall]


class EnginePing(Message, tag="engine_ping", frozen=True):
    """Answered from inside the scheduler loop, so an answer proves that the loop turns."""

    seq: int


class EngineFlush(Message, tag="engine_flush", frozen=True):
    """Drop every unlocked node of the radix tree."""

    seq: int


class EngineProfile(Message, tag="engine_profile", frozen=True):
    """Begin a profile of the engine's loop, or end it and write it down."""

    seq: int
    active: bool


class EngineRelease(Message, tag="engine_release", frozen=True):
    """These sessions' programs will not come back; unknown ones are ignored. No answer."""

    sessions: list[int]


class EnginePin(Message, tag="engine_pin", frozen=True):
    """Let what is cached of these tokens be evicted last, for `ttl_s` seconds."""

    seq: int
    namespace: str
    input_ids: list[int]
    ttl_s: float


class EngineUnpin(Message, tag="engine_unpin", frozen=True):
    """End a pin early; unknown ones are ignored. No answer."""

    pin: int


class EngineDump(Message, tag="engine_dump", frozen=True):
    """Describe the radix tree: at most `max_nodes` nodes, the most recently used branches first,
    with at most `max_chars` characters of each node's text."""

    seq: int
    max_nodes: Annotated[int, Meta(ge=0, le=100_000)] = 1_000
    max_chars: Annotated[int, Meta(ge=0, le=10_000)] = 80


class EngineInspect(Message, tag="engine_inspect", frozen=True):
    """Answered between two steps."""

    seq: int
    namespace: str
    query: EngineQuery


class EngineStop(Message, tag="engine_stop", frozen=True):
    """Leave the loop and exit."""


EngineCommand = (
    Submit
    | Drop
    | Follow
    | EnginePing
    | EngineFlush
    | EngineProfile
    | EngineRelease
    | EnginePin
    | EngineUnpin
    | EngineDump
    | EngineInspect
    | EngineStop
)


# --- engine process -> front process -------------------------------------------------------


class EngineReady(Message, tag="engine_ready", frozen=True):
    """The model is loaded and the loop turns. `hang_s`: a loop that stands still for longer hangs;
    None where a step may take any time. `execution`: how it computes, in words."""

    architecture: str
    context_length: int
    num_slots: int
    hang_s: float | None = None
    execution: dict[str, str] = field(default_factory=dict)


class Progress(Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True, gc=False):
    """What one step did for sequence `sid`.

    `token_ids` are the new tokens, including an end token when one was sampled (front cuts it);
    the last one ends the sequence if one does. `num_forced` of them were not sampled. `drafts` come
    with the last Progress: how many tokens were guessed ahead, and how many of them came true.
    `finish` set means: this is the last Progress of the sequence. `cached_tokens`, `queue_s`,
    `prompt_logprobs` and `cache_miss` are set once, with the first Progress; `cache_miss` is None
    when the whole prompt was cached. `embedding` comes with the last, where it was asked for.
    With `goes_on` the call has finished but not its sequence: what follows is the next call's.
    `held_s`: for how long the first of `token_ids` was not told. `closed_by_budget`: as in Output.
    """

    sid: int
    token_ids: list[int]
    logprobs: list[TokenLogprob] | None = None
    finish: FinishReason | None = None
    matched_stop: str | int | None = None
    closed_by_budget: bool = False
    cached_tokens: int | None = None
    prompt_logprobs: list[TokenLogprob] | None = None
    queue_s: float | None = None
    cache_miss: CacheMiss | None = None
    embedding: bytes | None = None
    num_forced: int = 0
    drafts: tuple[int, int] | None = None
    goes_on: bool = False
    held_s: float = 0.0


class Failed(Struct, forbid_unknown_fields=True, frozen=True):
    """Sequence `sid` ended with an error; nothing more follows for it."""

    sid: int
    code: ErrorCode
    message: str
    pointer: str | None = None


class StepEvents(Message, tag="step", frozen=True):
    """All that one engine step has to report."""

    progress: list[Progress] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)


class EnginePong(Message, tag="engine_pong", frozen=True):
    """Answer to EnginePing, with the counters of the moment."""

    seq: int
    stats: dict[str, float]


class EngineFlushed(Message, tag="engine_flushed", frozen=True):
    """Answer to EngineFlush."""

    seq: int
    freed_tokens: int


class EngineProfiled(Message, tag="engine_profiled", frozen=True):
    """Answer to EngineProfile: the file that was written, or why there is none."""

    seq: int
    path: str | None = None
    error: str | None = None


class TreeNode(Struct, forbid_unknown_fields=True, frozen=True):
    """One node of the radix tree. `parent` is the `id` of another node in the same dump, None at
    the top of a namespace.

    text: the beginning of its text. num_tokens: its own tokens. depth: tokens before it. hits: how
    many sequences started on it. age_s: since it was last used, 0 while a sequence holds it.
    owners: the running sequences whose cached prefix ends here. num_left_out: children that the
    dump has no room for.
    """

    id: int
    parent: int | None
    namespace: str
    text: str
    num_tokens: int
    depth: int
    hits: int
    age_s: float
    leased: bool
    owners: list[int] = field(default_factory=list)
    num_left_out: int = 0


class EnginePinned(Message, tag="engine_pinned", frozen=True):
    """Answer to EnginePin: the pin's number, and how many tokens it holds; `error` says why not."""

    seq: int
    pin: int
    num_tokens: int
    error: str | None = None


class EngineDumped(Message, tag="engine_dumped", frozen=True):
    """Answer to EngineDump: parents stand before their children."""

    seq: int
    nodes: list[TreeNode]
    num_nodes: int
    num_tokens: int


class EngineInspected(Message, tag="engine_inspected", frozen=True):
    """Answer to EngineInspect."""

    seq: int
    view: EngineView


class EngineFatal(Message, tag="engine_fatal", frozen=True):
    """The engine could not start; `message` is for the user."""

    message: str


EngineEvent = (
    EngineReady
    | StepEvents
    | EnginePong
    | EngineFlushed
    | EngineProfiled
    | EnginePinned
    | EngineDumped
    | EngineInspected
    | EngineFatal
)

engine_commands: Decoder[EngineCommand] = Decoder(EngineCommand)
engine_events: Decoder[EngineEvent] = Decoder(EngineEvent, MAX_EVENT_BYTES)
