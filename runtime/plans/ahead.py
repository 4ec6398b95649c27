"""Which calls of a branch follow the one that is made now, whatever it says: the engine then makes
them without asking. Called by instance.py; server/following.py asks the same of single calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from msgspec.structs import replace

from ..engine_protocol import NextCall
from ..errors import RequestError
from ..protocol import (
    Generate,
    JsonSchema,
    PlanArgument,
    PlanFork,
    PlanGenerate,
    PlanOp,
    PlanOutput,
    PlanPart,
    SamplingParams,
    Text,
)
from .prompt import MAX_CHARS, Speller

COMPUTE_ONLY: Final = PlanGenerate(SamplingParams(max_new_tokens=0))
# The last of so many is followed by others when its own time has come.
_MAX_CALLS: Final = 64


def calls_ahead(
    made: PlanOp,
    ops: Iterable[PlanOp],
    texts: list[str],
    written: Callable[[PlanOutput], str | None],
    speller: Speller,
    is_private: Callable[[PlanOp, int], bool],
) -> list[NextCall]:
    """The calls that follow `made`, the call that a branch makes now, in the `ops` behind it.
    written: what an earlier call wrote, None where that is not known yet. is_private: whether only
    its own branch waits for the call of an op, which is the so many-th behind `made`.

    They end before what needs something else first: a text to come, a selection, other branches.
    """
    calls: list[NextCall] = []
    stretch: list[Text] = []
    leads_on = isinstance(made, PlanGenerate) and is_plain(made) and _is_kept(made)
    for op in ops:
        if not leads_on or len(calls) == _MAX_CALLS:
            break
        match op:
            case PlanPart(part=Text() as text):
                stretch.append(text)
            case PlanArgument(index=index):
                stretch.append(Text(texts[index]))
            case PlanOutput() if (known := written(op)) is not None:
                stretch.append(Text(known))
            case PlanGenerate() if (call := next_call(op, stretch, speller)) is not None:
                private = is_private(op, len(calls) + 1)
                calls.append(replace(call, private=private) if private else call)
                stretch = []
                leads_on = _is_kept(op)
            case PlanFork(branches=[_, _, *_]) if any(text.text for text in stretch):
                # What the branches share is computed before they start.
                call = next_call(COMPUTE_ONLY, stretch, speller)
                return calls if call is None else [*calls, call]
            case _:
                break
    return calls


def _is_kept(op: PlanGenerate) -> bool:
    """Whether the branch goes on with the tokens that are generated."""
    return op.keep and op.reasoning is None


def next_call(
    op: PlanGenerate | Generate, stretch: list[Text], speller: Speller
) -> NextCall | None:
    """`op` behind an output and a stretch of text; None where its prompt is more than that."""
    wants_prompt = op.logprobs is not None and op.logprobs.prompt_start is not None
    if not is_plain(op) or wants_prompt or sum(len(part.text) for part in stretch) > MAX_CHARS:
        return None
    try:
        ids = speller.spell(stretch, at_start=False)
    except RequestError:
        return None  # told when the call is made
    return NextCall(ids, op.sampling, op.constraint, op.logprobs)


def is_plain(op: PlanGenerate | Generate) -> bool:
    """Whether its prompt and its one output are what is generated, as it is generated."""
    judged = isinstance(op.constraint, JsonSchema) and op.constraint.on_unsupported == "validate"
    return op.sampling.n == 1 and not op.sampling.token_healing and not judged
