"""What clients and the front process say to each other, and the frame format that carries it.

Users of this file: the client (`lang/`) and all of the runtime; what the front process and its
engine say is engine_protocol.py's. It imports no torch. A frame is one msgpack map with a `type`
field that selects a struct below; unknown types, unknown fields and out-of-range values do not
decode. Nothing here is ever pickled, evaluated or looked up by a name taken from the wire.

    client  <-- ZeroMQ DEALER/ROUTER -->  front process      ClientMessage / FrontMessage
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from .views import Query, View

PROTOCOL_VERSION: Final = 5

MAX_FRAME_BYTES: Final = 16 * 1024 * 1024
MAX_PROMPT_PARTS: Final = 65_536
MAX_PROMPT_CHARS: Final = 8 * 1024 * 1024
MAX_CONSTRAINT_CHARS: Final = 256 * 1024
MAX_CHOICES: Final = 4_096
MAX_TAGS: Final = 128
MAX_TAG_CHARS: Final = 1_024
MAX_ISLANDS: Final = 64
MAX_STOPS: Final = 32
MAX_STOP_CHARS: Final = 256
MAX_STOP_REGEXES: Final = 8
MAX_STOP_REGEX_CHARS: Final = 1_024
MAX_NEW_TOKENS: Final = 1_048_576
MAX_SEQUENCES: Final = 128
MAX_TOP_LOGPROBS: Final = 20
MAX_LOGIT_BIAS: Final = 1_024
MAX_PLAN_BRANCHES: Final = 1_024
MAX_PLAN_OPS: Final = 16_384
MAX_PLAN_INSTANCES: Final = 4_096

EXAMPLE_TOOL: Final = "example_tool"
EXAMPLE_ARGUMENTS: Final = {"key": "value"}

ErrorCode = Literal[
    "invalid_request",  # a field is wrong; `pointer` names it
    "grammar",  # the constraint cannot be compiled or enforced
    "context_length",  # prompt (+ new tokens) does not fit the model's context or the KV pool
    "overloaded",  # the waiting queue is full; retry after `retry_after_s`
    "cancelled",  # the client asked for it
    "timeout",  # a deadline passed
    "unavailable",  # the engine died, hangs, or is starting
    "session_lost",  # `base` is held no more; send the whole prompt again
    "internal",  # a defect in the runtime; only this request is affected
]

FinishReason = Literal["stop", "length", "cancelled"]

RequestId = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.:-]+$")]
Namespace = Annotated[str, Meta(max_length=64, pattern=r"^[A-Za-z0-9_.:-]*$")]
TokenId = Annotated[int, Meta(ge=0, lt=2**31)]
PlanBranch = Annotated[int, Meta(ge=0, lt=MAX_PLAN_BRANCHES)]
PlanMethod = Literal[
    "token_length_normalized", "greedy_token_selection", "unconditional_likelihood_normalized"
]
SessionId = Annotated[int, Meta(ge=1, le=2**63 - 1)]


class Message(
    Struct, tag_field="type", forbid_unknown_fields=True, omit_defaults=True, frozen=True
):
    """Base of everything that travels: a tagged, immutable, closed struct. What is as its default
    says does not travel: most of a call's parameters, and of a step's news of a sequence."""


# --- what a request is made of -------------------------------------------------------------


class Text(Message, tag="text", frozen=True):
    """A stretch of prompt text.

    With `markup=False` (user text, tool results, variables) strings that look like control tokens
    are ordinary text. Only a chat template's own text sets `markup=True`.
    """

    text: str
    markup: bool = False


class Tokens(Message, tag="tokens", frozen=True):
    """A stretch of prompt given as token ids: generated before, and never re-tokenized."""

    ids: list[TokenId]


Part = Text | Tokens
Prompt = Annotated[list[Part], Meta(max_length=MAX_PROMPT_PARTS)]


GrammarBackend = Literal["auto", "xgrammar", "outlines", "native"]
"""Which engine makes the masks: "native" (our automata over bytes) and "outlines" (outlines_core,
if installed) take regular languages only, "xgrammar" takes all; "auto" is what the runtime was
started with, and chooses by the constraint unless that says otherwise."""


class Choices(Message, tag="choices", frozen=True):
    """The output is exactly one of these strings."""

    choices: Annotated[list[str], Meta(min_length=1, max_length=MAX_CHOICES)]
    backend: GrammarBackend = "auto"


class Regex(Message, tag="regex", frozen=True):
    """The whole output matches this pattern (`re.fullmatch` semantics)."""

    pattern: Annotated[str, Meta(min_length=1, max_length=8_192)]
    backend: GrammarBackend = "auto"


# `$` alone would take a line feed at the end.
Separators = tuple[
    Annotated[str, Meta(pattern=r"^ {0,4}, {0,4}$(?!\n)")],
    Annotated[str, Meta(pattern=r"^ {0,4}: {0,4}$(?!\n)")],
]
"""A comma and a colon with up to four spaces on either side, as `json.dumps` takes them."""


class JsonSchema(Message, tag="json_schema", frozen=True):
    """The output is JSON that validates against this JSON Schema (given as JSON text).

    reading: "closed" takes a schema as a request for what it declares (no undeclared members
    unless `additionalProperties` asks for them; a keyword implies its type), "specification" takes
    it to the letter. any_order: members of small objects may come in any order.
    on_unsupported: what cannot be enforced while generating is refused, or with "validate" checked
    when the value is there; a value that fails is generated again, a few times.
    separators, indent: of the JSON text, as `json.dumps` takes them, but compact by default.
    max_whitespace: instead of them, so many characters of white space may stand behind an opening
    bracket, a comma or a colon, and before a closing bracket.
    """

    schema: Annotated[str, Meta(min_length=1, max_length=MAX_CONSTRAINT_CHARS)]
    backend: GrammarBackend = "auto"
    reading: Literal["closed", "specification"] = "closed"
    any_order: bool = False
    on_unsupported: Literal["refuse", "validate"] = "refuse"
    separators: Separators | None = None
    indent: Annotated[int, Meta(ge=0, le=8)] | None = None
    max_whitespace: Annotated[int, Meta(ge=0, le=32)] = 0


class Ebnf(Message, tag="grammar", frozen=True):
    """The output is a sentence of this grammar (GBNF dialect), from its rule `root`."""

    grammar: Annotated[str, Meta(min_length=1, max_length=MAX_CONSTRAINT_CHARS)]
    backend: GrammarBackend = "auto"


TagText = Annotated[str, Meta(max_length=MAX_TAG_CHARS)]


class Tag(Struct, forbid_unknown_fields=True, frozen=True):
    """A kind of tagged value: `begin`, compact JSON that validates against `schema`, `end`."""

    begin: Annotated[str, Meta(min_length=1, max_length=MAX_TAG_CHARS)]
    schema: Annotated[str, Meta(min_length=1, max_length=MAX_CONSTRAINT_CHARS)]
    end: TagText = ""


class Tagged(Message, tag="tagged", frozen=True):
    """Tagged values in a row, such as tool calls: `opening`, one value or more of any of the tags
    with `separator` between them (at most `max_values`, None for any number), `closing`.

    Control tokens of the model that are written in these texts are those tokens; values and free
    text hold none, however they are spelled. `text` allows free text: "before" the values or
    without any, or "instead" of them. Free text before never contains `trigger` (whose first
    character occurs in it once), free text instead never begins with the first character of
    `trigger`: so a reader of the output can tell. Without `tags` there is free text only.
    """

    tags: Annotated[list[Tag], Meta(max_length=MAX_TAGS)]
    opening: TagText = ""
    separator: TagText = ""
    closing: TagText = ""
    max_values: Annotated[int, Meta(ge=1)] | None = 1
    text: Literal["none", "before", "instead"] = "none"
    trigger: TagText = ""


class Island(Struct, forbid_unknown_fields=True, frozen=True):
    """A stretch of text that is held to a form: `begin`, what `content` allows, `end`."""

    begin: Annotated[str, Meta(min_length=1, max_length=MAX_TAG_CHARS)]
    content: Choices | Regex | JsonSchema | Ebnf
    end: TagText = ""


class Islands(Message, tag="islands", frozen=True):
    """Free text with islands in it, from `min_islands` to `max_islands` (None: any number).

    Free text holds none of the `triggers`; where one is written, an island follows whose `begin`
    starts with it. Without `triggers` each `begin` is one. `text_after` allows text behind the
    last of `max_islands`. Control tokens of the model are as in `Tagged`.
    """

    islands: Annotated[list[Island], Meta(min_length=1, max_length=MAX_TAGS)]
    triggers: Annotated[list[TagText], Meta(max_length=MAX_TAGS)] = []
    min_islands: Annotated[int, Meta(ge=0, le=MAX_ISLANDS)] = 0
    max_islands: Annotated[int, Meta(ge=1, le=MAX_ISLANDS)] | None = None
    text_after: bool = True


Constraint = Choices | Regex | JsonSchema | Ebnf | Tagged | Islands


class SamplingParams(Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """How tokens are chosen, for one generation call.

    Penalties follow the usual definitions: `frequency_penalty` and `presence_penalty` act on
    generated tokens only (OpenAI API), `repetition_penalty` on prompt and generated tokens
    (arXiv:1909.05858). `top_k` 0 or -1 means all tokens. `seed=None` draws a fresh seed.
    An output ends before a `stop` string, and after the shortest match of a `stop_regex`.
    With `token_healing` a prompt that ends inside a token goes on as if it ended before it: the
    first tokens of an output spell the end of the prompt's text once more (`Output.healed_chars`).
    """

    max_new_tokens: Annotated[int, Meta(ge=0, le=MAX_NEW_TOKENS)] = 128
    min_new_tokens: Annotated[int, Meta(ge=0, le=MAX_NEW_TOKENS)] = 0
    n: Annotated[int, Meta(ge=1, le=MAX_SEQUENCES)] = 1
    temperature: Annotated[float, Meta(ge=0.0, le=100.0)] = 1.0
    top_p: Annotated[float, Meta(gt=0.0, le=1.0)] = 1.0
    top_k: Annotated[int, Meta(ge=-1, le=2**31 - 1)] = -1
    min_p: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.0
    frequency_penalty: Annotated[float, Meta(ge=-2.0, le=2.0)] = 0.0
    presence_penalty: Annotated[float, Meta(ge=-2.0, le=2.0)] = 0.0
    repetition_penalty: Annotated[float, Meta(gt=0.0, le=10.0)] = 1.0
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    stop: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=MAX_STOP_CHARS)]],
        Meta(max_length=MAX_STOPS),
    ] = []
    stop_regex: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=MAX_STOP_REGEX_CHARS)]],
        Meta(max_length=MAX_STOP_REGEXES),
    ] = []
    stop_token_ids: Annotated[list[TokenId], Meta(max_length=64)] = []
    ignore_eos: bool = False
    skip_special_tokens: bool = True
    token_healing: bool = False
    logit_bias: Annotated[
        dict[TokenId, Annotated[float, Meta(ge=-100.0, le=100.0)]], Meta(max_length=MAX_LOGIT_BIAS)
    ] = {}


class LogprobParams(Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """Which log probabilities to return: of the model's own distribution (before temperature,
    penalties and masks), natural logarithm.

    `prompt_start=None` returns none for the prompt; an index returns them for every prompt token
    from that position on (the first token of a prompt has none).
    """

    top: Annotated[int, Meta(ge=0, le=MAX_TOP_LOGPROBS)] = 0
    prompt_start: Annotated[int, Meta(ge=0)] | None = None
    with_text: bool = False


class EmbedParams(Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """What is made of a prompt's last hidden states: their mean, or that of its last token; of it
    the first `dimensions` (None: all), scaled to length 1."""

    pooling: Literal["mean", "last"] = "mean"
    dimensions: Annotated[int, Meta(ge=1, le=1_048_576)] | None = None


class TokenLogprob(Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """One token with its log probability, and the `top` most likely ones at its position as
    `(logprob, token_id, text)`. `logprob` is None for the first token of a prompt; texts are None
    unless asked for. `forced`: the grammar left no choice; it was not sampled."""

    logprob: float | None
    token_id: int
    text: str | None = None
    top: list[tuple[float, int, str | None]] = []
    forced: bool = False


class CacheMiss(Struct, forbid_unknown_fields=True, frozen=True):
    """Why the cache held no more of a prompt. `token_id` at `position` is the first token
    that was missing.

    reason: "evicted" when it was cached once behind the same prefix, and then `evicted_ago_s` says
    how long ago it went; "new" when it was never seen (or its eviction is too long ago to be
    remembered). cached_instead: tokens that are cached at its place, the first few.
    text: of the token, for clients.
    """

    position: int
    token_id: int
    reason: Literal["new", "evicted"]
    evicted_ago_s: float | None = None
    cached_instead: list[int] = []
    text: str | None = None


class Usage(Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """Token counts and times of one request. `cached_tokens` of the prompt came from the radix
    cache.

    queue_s: from the engine taking the (first) sequence in to its first step, its grammar's
    compilation included. first_token_s: from the request's arrival to its first generated token.
    forced_tokens: how many generated tokens the grammar left no choice for. drafted_tokens: how
    many were guessed ahead, accepted_tokens: how many of these came true. None where a backend
    does not tell. cache_miss: of the (first) sequence, None when all of its prompt was cached.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    queue_s: float | None = None
    first_token_s: float | None = None
    forced_tokens: int | None = None
    drafted_tokens: int | None = None
    accepted_tokens: int | None = None
    cache_miss: CacheMiss | None = None


class Output(Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """One finished sequence. `text` has the stop string and the end token cut off;
    `token_ids` are exactly the tokens that stand for `text` in a continued prompt; with
    `healed_chars` they stand for so many of the prompt's last characters, too. `matched_stop` is
    the stop string, stop pattern or token id that ended it. `closed_by_budget`: it is complete,
    but a mask left tokens out for which too few of the allowed ones remained; free text that was
    cut is not meant."""

    text: str
    token_ids: list[int]
    finish_reason: FinishReason
    matched_stop: str | int | None = None
    closed_by_budget: bool = False
    logprobs: list[TokenLogprob] | None = None
    healed_chars: int = 0


class ModelInfo(Struct, forbid_unknown_fields=True, frozen=True):
    """What a client must know of the model that is served.

    `role_markup` maps a role to the (prefix, suffix) text that the model's chat template puts
    around its content; None when the model has no chat template. `tool_call_example` is how the
    chat template writes a call of the tool EXAMPLE_TOOL with EXAMPLE_ARGUMENTS; None when it
    writes no tool calls. `reasoning_tags` stand around the thinking of a model that thinks.
    `context_length` is the model's, or what the KV cache holds where that is less.
    """

    name: str
    path: str
    architecture: str
    context_length: int
    vocab_size: int
    eos_token_ids: list[int]
    role_markup: dict[str, tuple[str, str]] | None
    default_system_prompt: str | None = None
    tool_call_example: str | None = None
    reasoning_tags: tuple[str, str] | None = None


# --- plans: whole programs ------------------------------------------------------------------


class PlanPart(Message, tag="part", frozen=True):
    """Append a part that is the same for every instance."""

    part: Part


class PlanArgument(Message, tag="argument", frozen=True):
    """Append the instance's own text of this number."""

    index: Annotated[int, Meta(ge=0, lt=MAX_PLAN_OPS)]


class PlanOutput(Message, tag="output", frozen=True):
    """Append, as text, what an earlier call wrote: call `call` of branch `branch`. Waits for it."""

    branch: PlanBranch
    call: Annotated[int, Meta(ge=0, lt=MAX_PLAN_OPS)]


class PlanGenerate(Message, tag="plan_generate", frozen=True):
    """One generation call; its first output is appended, unless `keep` is False. reasoning: a type
    of model (reasoning.py) whose thinking is left out of what is appended."""

    sampling: SamplingParams
    constraint: Constraint | None = None
    logprobs: LogprobParams | None = None
    timeout_s: Annotated[float, Meta(gt=0.0, le=86_400.0)] | None = None
    keep: bool = True
    reasoning: Annotated[str, Meta(max_length=32)] | None = None


class PlanSelect(Message, tag="plan_select", frozen=True):
    """Score the choices and append the one that `method` decides for."""

    choices: Annotated[list[str], Meta(min_length=1, max_length=MAX_CHOICES)]
    method: PlanMethod


class PlanFork(Message, tag="fork", frozen=True):
    """Start branches that go on from here; several share the prompt so far, computed once."""

    branches: Annotated[list[PlanBranch], Meta(min_length=1, max_length=MAX_PLAN_BRANCHES)]


class PlanJoin(Message, tag="join", frozen=True):
    """Wait until these branches have ended; with `append`, append what each of them added."""

    branches: Annotated[list[PlanBranch], Meta(min_length=1, max_length=MAX_PLAN_BRANCHES)]
    append: bool = False


PlanOp = PlanPart | PlanArgument | PlanOutput | PlanGenerate | PlanSelect | PlanFork | PlanJoin


class Plan(Struct, forbid_unknown_fields=True, frozen=True):
    """A program without its arguments: the ops of each branch in order, branch 0 first."""

    branches: Annotated[
        list[Annotated[list[PlanOp], Meta(max_length=MAX_PLAN_OPS)]],
        Meta(min_length=1, max_length=MAX_PLAN_BRANCHES),
    ]


class PlanInstance(Struct, forbid_unknown_fields=True, frozen=True):
    """One run of a plan with its texts; a request of its own, which Cancel may stop."""

    rid: RequestId
    texts: Annotated[list[str], Meta(max_length=MAX_PLAN_OPS)] = []


# --- client -> front process ---------------------------------------------------------------


class Hello(Message, tag="hello", frozen=True):
    """First frame of a client. A different `version` is answered with an Error."""

    version: int
    client: Annotated[str, Meta(max_length=128)] = ""


class Generate(Message, tag="generate", frozen=True):
    """Run one generation call. With `stream` Chunks precede the Done.

    Within an epoch the same request sent again by the same client is answered again and not run
    again; a different one may take the id when the first has ended.

    `max_new_tokens=0` computes and caches the prompt only; with `embed`, which needs it, the Done
    has the prompt's embedding.

    With `base` the prompt goes on from what that session holds, and `prompt` has only what is
    new. With `keep_as` the runtime holds the prompt, and with `keep_output` the tokens of the
    first output behind it, as a session of that number once the call has ended well. Sessions are
    this client's own and never change; they are leases, renewed by use, ended by Release and with
    the client. One that is gone fails the call with "session_lost".
    """

    rid: RequestId
    prompt: Prompt
    sampling: SamplingParams = SamplingParams()
    constraint: Constraint | None = None
    logprobs: LogprobParams | None = None
    stream: bool = False
    namespace: Namespace = ""
    timeout_s: Annotated[float, Meta(gt=0.0, le=86_400.0)] | None = None
    base: SessionId | None = None
    keep_as: SessionId | None = None
    keep_output: bool = True
    embed: EmbedParams | None = None


class Score(Message, tag="score", frozen=True):
    """Log probabilities of each choice as a continuation of the prompt (for `select`). `base` and
    `keep_as` as in Generate."""

    rid: RequestId
    prompt: Prompt
    choices: Annotated[list[str], Meta(min_length=1, max_length=MAX_CHOICES)]
    unconditional: bool = False
    namespace: Namespace = ""
    base: SessionId | None = None
    keep_as: SessionId | None = None


class RunPlan(Message, tag="run_plan", frozen=True):
    """Run a plan once per instance; each is answered by a PlanDone or an Error of its own. No
    client is asked between the calls."""

    plan: Plan
    instances: Annotated[list[PlanInstance], Meta(min_length=1, max_length=MAX_PLAN_INSTANCES)]
    namespace: Namespace = ""


class Cancel(Message, tag="cancel", frozen=True):
    """Stop a request; it ends with Error(code="cancelled"). Unknown ids are ignored."""

    rid: RequestId


class Release(Message, tag="release", frozen=True):
    """Let sessions go. Unknown numbers are ignored; there is no answer."""

    sessions: Annotated[list[SessionId], Meta(max_length=65_536)]


class Ping(Message, tag="ping", frozen=True):
    """Heartbeat; answered by Pong at once by the front process."""

    seq: int


class GetInfo(Message, tag="get_info", frozen=True):
    """Ask for counters of the runtime. at_once: as the engine told them last, without waiting for
    the end of its step."""

    rid: RequestId
    at_once: bool = False


class Inspect(Message, tag="inspect", frozen=True):
    """Look at the tree, the requests or the use of the cache, in one namespace."""

    rid: RequestId
    query: Query
    namespace: Namespace = ""


class FlushCache(Message, tag="flush_cache", frozen=True):
    """Drop every cached prefix that no running request holds."""

    rid: RequestId


class Profile(Message, tag="profile", frozen=True):
    """Begin a profile of the engine (`active`), or end it and write it to the folder that the
    runtime was given for them."""

    rid: RequestId
    active: bool


class Pin(Message, tag="pin", frozen=True):
    """Let what is cached of a prompt be evicted last, for `ttl_s` seconds. To pin a prompt whole,
    compute it first: a Generate of it with `max_new_tokens=0`."""

    rid: RequestId
    prompt: Prompt
    ttl_s: Annotated[float, Meta(gt=0.0, le=604_800.0)]
    namespace: Namespace = ""


class Unpin(Message, tag="unpin", frozen=True):
    """End a pin early. Unknown numbers are ignored; there is no answer."""

    pin: Annotated[int, Meta(ge=1, le=2**53)]


ClientMessage = (
    Hello
    | Generate
    | Score
    | RunPlan
    | Cancel
    | Release
    | Ping
    | GetInfo
    | Inspect
    | FlushCache
    | Profile
    | Pin
    | Unpin
)


# --- front process -> client ---------------------------------------------------------------


class Welcome(Message, tag="welcome", frozen=True):
    """Answer to Hello. `epoch` changes whenever the front process restarts."""

    version: int
    epoch: str
    model: ModelInfo


class Chunk(Message, tag="chunk", frozen=True, gc=False):
    """A piece of sequence `index` of request `rid`; `seq` counts the request's chunks from 0."""

    rid: str
    seq: int
    index: int
    text: str
    token_ids: list[int]
    logprobs: list[TokenLogprob] | None = None


class Done(Message, tag="done", frozen=True):
    """The request is finished; `outputs` hold the `n` whole sequences in order. So many Chunks
    went before. embedding: float32, little-endian."""

    rid: str
    outputs: list[Output]
    usage: Usage
    prompt_logprobs: list[TokenLogprob] | None = None
    num_chunks: int = 0
    embedding: bytes | None = None


class ChoiceScore(Struct, forbid_unknown_fields=True, frozen=True):
    """Token log probabilities of one choice given the prompt, and (when asked for) of the same
    tokens without it. `token_ids` continue the prompt's own tokens from `prompt_tokens_kept` on:
    where prompt and choice merge into one token the last prompt tokens are re-split."""

    token_ids: list[int]
    logprobs: list[TokenLogprob]
    unconditional: list[TokenLogprob] | None = None


class Scores(Message, tag="scores", frozen=True):
    """Answer to Score, one entry per choice in order. All choices continue the prompt's first
    `prompt_tokens_kept` tokens."""

    rid: str
    choices: list[ChoiceScore]
    usage: Usage
    prompt_tokens_kept: int = 0


class Error(Message, tag="error", frozen=True):
    """A request failed (`rid` set) or a frame could not be understood (`rid` None)."""

    rid: str | None
    code: ErrorCode
    message: str
    pointer: str | None = None
    retry_after_s: float | None = None


class PlanCall(Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """One call of an instance: its answer, and when it was started and answered, in seconds after
    the instance's arrival."""

    reply: Done | Scores | Error
    started_s: float
    ended_s: float


class PlanNews(Message, tag="plan_news", frozen=True):
    """The first calls of an instance of one branch, told at most once, while the last one runs:
    whoever waits for the instance then has less to do at its end."""

    rid: str
    calls: list[PlanCall]


class PlanDone(Message, tag="plan_done", frozen=True):
    """An instance has ended: the calls of each branch in order, what forks computed ahead
    included; so many of the first one's were told by a PlanNews and are left out. A branch whose
    last reply is an Error did not come to its end; where the first one would have joined it, the
    instance ended there."""

    rid: str
    branches: list[list[PlanCall]]
    num_told: int = 0


class Pong(Message, tag="pong", frozen=True):
    """Answer to Ping. `ready` is False while the engine starts, hangs or is gone. One with `seq`
    -1 comes unasked: the front process looks who is still there."""

    seq: int
    ready: bool


class Info(Message, tag="info", frozen=True):
    """Answer to GetInfo: flat counters and gauges."""

    rid: str
    model: ModelInfo
    stats: dict[str, float]


class Inspected(Message, tag="inspected", frozen=True):
    """Answer to Inspect."""

    rid: str
    view: View


class Profiled(Message, tag="profiled", frozen=True):
    """Answer to Profile. path: of the file, on the runtime's machine; None when it has begun."""

    rid: str
    path: str | None = None


class Flushed(Message, tag="flushed", frozen=True):
    """Answer to FlushCache."""

    rid: str
    freed_tokens: int


class Pinned(Message, tag="pinned", frozen=True):
    """Answer to Pin: the pin's number, which nobody can guess, and how many tokens it holds."""

    rid: str
    pin: int
    num_tokens: int


FrontMessage = (
    Welcome
    | Chunk
    | Done
    | Scores
    | PlanNews
    | PlanDone
    | Error
    | Pong
    | Info
    | Inspected
    | Flushed
    | Pinned
    | Profiled
)


class Several(Message, tag="several", frozen=True):
    """Messages to one client that one turn of the front process made, in order: a frame each would
    cost more than what is in them."""

    messages: list[FrontMessage]


# --- frames --------------------------------------------------------------------------------


class FrameError(ValueError):
    """A frame is not a message of the expected kind."""


Side = TypeVar("Side")


def _exact(value: object) -> str:
    """A text of a subclass of str (an enum's member, numpy's), which msgspec does not take."""
    if isinstance(value, str):
        return str.__str__(value)
    raise NotImplementedError(f"Encoding objects of type {type(value).__name__} is unsupported")


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_exact)


def encode(message: Message | Sequence[object]) -> bytes:
    """One frame for one message, or the bytes of a part of one."""
    return _ENCODER.encode(message)


class Decoder(Generic[Side]):
    """Turns frames into messages of one conversation's side, or raises FrameError.

    msgspec raises DecodeError and ValidationError, but mutated frames also raise
    UnicodeDecodeError and, when nested deeply, RecursionError: all of them are FrameError here,
    so that a loop that catches FrameError cannot be ended by a frame.
    """

    def __init__(self, union: object, most_bytes: int = MAX_FRAME_BYTES) -> None:
        self._most_bytes = most_bytes
        self._decoder: msgspec.msgpack.Decoder[Side] = msgspec.msgpack.Decoder(union)

    def decode(self, frame: bytes | memoryview) -> Side:
        if len(frame) > self._most_bytes:
            raise FrameError(f"frame of {len(frame)} bytes is over the limit of {self._most_bytes}")
        try:
            return self._decoder.decode(frame)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise FrameError(str(error)[:300]) from None


class _Asked(msgspec.Struct):
    rid: RequestId


_ASKED = msgspec.msgpack.Decoder(_Asked)


def request_id_in(frame: bytes | memoryview) -> str | None:
    """The request id of a frame that is no message, where it can be read at all: whoever sent a
    field that is wrong learns which of its requests that was."""
    try:
        return _ASKED.decode(frame).rid
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


client_messages: Decoder[ClientMessage] = Decoder(ClientMessage)
front_messages: Decoder[FrontMessage] = Decoder(FrontMessage)
front_frames: Decoder[FrontMessage | Several] = Decoder(FrontMessage | Several)
