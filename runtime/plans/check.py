"""What is checked of a plan beyond the wire's types, before any of it runs. Called by desk.py."""

from __future__ import annotations

from ..errors import RequestError
from ..protocol import (
    Plan,
    PlanArgument,
    PlanFork,
    PlanGenerate,
    PlanInstance,
    PlanJoin,
    PlanOutput,
)
from ..reasoning import reasoning_format


def check_plan(plan: Plan) -> int:
    """Every branch is started once, by an earlier one, and waits for branches of its own only.

    Returns the number of texts that an instance must give. Raises RequestError.
    """
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
    return num_texts


def check_instance(instance: PlanInstance, num_texts: int) -> None:
    """An instance gives all the texts that its plan asks for."""
    if len(instance.texts) != num_texts:
        raise RequestError(
            "invalid_request",
            f"the plan takes {num_texts} texts, the instance gives {len(instance.texts)}",
            pointer="/texts",
        )


def num_new_tokens(plan: Plan) -> int:
    """How many tokens an instance may generate."""
    generated = (op for ops in plan.branches for op in ops if isinstance(op, PlanGenerate))
    return sum(op.sampling.max_new_tokens for op in generated)


def _wrong(what: str, pointer: str) -> RequestError:
    return RequestError("invalid_request", f"the plan is not sound: {what}", pointer=pointer)
