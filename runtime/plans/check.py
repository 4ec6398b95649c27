"""What is checked of a plan beyond the wire's types, before any of it runs, and what is found out
once for all its instances. Called by server/programs.py."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..engine_protocol import NextCall
from ..errors import RequestError
from ..protocol import (
    Plan,
    PlanArgument,
    PlanFork,
    PlanGenerate,
    PlanInstance,
    PlanJoin,
    PlanOp,
    PlanOutput,
    PlanSelect,
)
from ..reasoning import reasoning_format


@dataclass(slots=True, eq=False)
class SoundPlan:
    """A plan that was checked. num_texts: how many an instance must give. num_calls: how many it
    makes, besides what forks compute. num_new_tokens: how many it may generate. wanted: calls, by
    branch and number, whose texts other branches take. alike_from: per branch, the place from
    which on no op depends on the instance. ahead: by branch and place, the calls that follow one
    and are the same for all instances (instance.py).
    """

    plan: Plan
    num_texts: int
    num_calls: int
    num_new_tokens: int
    wanted: frozenset[tuple[int, int]]
    alike_from: list[int]
    ahead: dict[tuple[int, int], list[NextCall]] = field(default_factory=dict)


def check_plan(plan: Plan) -> SoundPlan:
    """Every branch is started once, by an earlier one, and waits for branches of its own only.
    Raises RequestError."""
    num_texts = 0
    parents: dict[int, int] = {0: 0}
    for number, ops in enumerate(plan.branches):
        if number not in parents:
            raise _wrong(f"no branch before branch {number} starts it", f"/branches/{number}")
        for place, op in enumerate(ops):
            pointer = f"/branches/{number}/{place}"
            if isinstance(op, PlanArgument):
                num_texts = max(num_texts, op.index + 1)
            elif isinstance(op, PlanFork):
                for branch in op.branches:
                    if branch in parents or not number < branch < len(plan.branches):
                        raise _wrong(f"branch {number} cannot start branch {branch}", pointer)
                    parents[branch] = number
            elif isinstance(op, PlanJoin):
                for branch in op.branches:
                    if parents.get(branch) != number or branch == number:
                        raise _wrong(f"branch {number} did not start branch {branch}", pointer)
            elif isinstance(op, PlanOutput) and op.branch >= len(plan.branches):
                raise _wrong(f"there is no branch {op.branch}", pointer)
            elif isinstance(op, PlanGenerate) and op.reasoning is not None:
                try:
                    reasoning_format(op.reasoning)
                except ValueError as error:
                    raise _wrong(str(error), f"{pointer}/reasoning") from None
    calls = [op for ops in plan.branches for op in ops if isinstance(op, PlanGenerate | PlanSelect)]
    generated = (op for op in calls if isinstance(op, PlanGenerate))
    num_new_tokens = sum(op.sampling.max_new_tokens for op in generated)
    alike_from = [_alike_from(ops) for ops in plan.branches]
    return SoundPlan(plan, num_texts, len(calls), num_new_tokens, _wanted(plan), alike_from)


def check_instance(instance: PlanInstance, plan: SoundPlan) -> None:
    """An instance gives all the texts that its plan asks for."""
    if len(instance.texts) != plan.num_texts:
        raise RequestError(
            "invalid_request",
            f"the plan takes {plan.num_texts} texts, the instance gives {len(instance.texts)}",
            pointer="/texts",
        )


def _wanted(plan: Plan) -> frozenset[tuple[int, int]]:
    return frozenset(
        (op.branch, op.call)
        for number, ops in enumerate(plan.branches)
        for op in ops
        if isinstance(op, PlanOutput) and op.branch != number
    )


def _alike_from(ops: list[PlanOp]) -> int:
    own = (place for place, op in enumerate(ops) if isinstance(op, PlanArgument | PlanOutput))
    return max(own, default=-1) + 1


def _wrong(what: str, pointer: str) -> RequestError:
    return RequestError("invalid_request", f"the plan is not sound: {what}", pointer=pointer)
