"""From the ops that a held state has recorded to a plan of the wire. Called by plan_runner.py and
compiled.py. Every text is left open here; what all instances have in common is found by `Planned`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from branchline.runtime import protocol
from branchline.runtime.protocol import (
    Plan,
    PlanArgument,
    PlanFork,
    PlanGenerate,
    PlanJoin,
    PlanOp,
    PlanOutput,
    PlanPart,
    PlanSelect,
)

from . import choices, ir
from .backend.base import Backend
from .cells import Cell
from .chat_template import ChatTemplate, ChatTemplateStyle
from .errors import InvalidRequest
from .held import BranchOff, BringTogether, CopyText, HeldExecutor
from .op_queue import Op
from .transcript import Transcript

_METHODS: dict[type[choices.ChoicesSamplingMethod], protocol.PlanMethod] = {
    choices.TokenLengthNormalized: "token_length_normalized",
    choices.GreedyTokenSelection: "greedy_token_selection",
    choices.UnconditionalLikelihoodNormalized: "unconditional_likelihood_normalized",
}
# Stands for output in the text by which chat templates tell empty turns from others.
_OUTPUT = "\0"


class NotPlannable(Exception):
    """Something that only the interpreter can do; the message says what, and where it is."""

    def __init__(self, what: str, source: str | None) -> None:
        super().__init__(what if source is None else f"{what} ({source})")


@dataclass(eq=False)
class Shape:
    """A plan in which every text is an argument: what instances have in common that differ in
    nothing but their texts. `nodes` are those of one of them, where such an instance can be told by
    its nodes alone; `key` is equal for equal plans."""

    branches: list[list[PlanOp]] = field(default_factory=list)
    num_calls: int = 0
    nodes: list[ir.Expr] | None = None
    key: bytes = b""


@dataclass(eq=False)
class Lowered:
    """An instance's shape with its texts. `executors` are its branches by number."""

    shape: Shape = field(default_factory=Shape)
    texts: list[str] = field(default_factory=list)
    executors: list[HeldExecutor] = field(default_factory=list)


def lower(root: HeldExecutor, like: Shape | None = None) -> Lowered:
    """The plan of an instance. like: the shape of another one of the same program, backend and
    options, which it may well have. Raises NotPlannable, and what templates raise or the wire does
    not take."""
    if like is not None and (texts := _texts_in(root.ops, like)) is not None:
        return Lowered(like, texts, [root])
    lowering = _Lowering(root)
    lowering.branch(root, Transcript())
    lowered = lowering.lowered
    sizes = [len(ops) for ops in lowered.shape.branches]
    if len(sizes) > protocol.MAX_PLAN_BRANCHES or max(*sizes, len(lowered.texts), 0) >= (
        protocol.MAX_PLAN_OPS
    ):
        raise NotPlannable(f"{len(sizes)} branches with {sum(sizes)} ops are too many", None)
    lowered.shape.nodes = _telling_nodes(root)
    lowered.shape.key = protocol.encode(lowered.shape.branches)
    return lowered


def _telling_nodes(root: HeldExecutor) -> list[ir.Expr] | None:
    """The nodes of a state, where its plan follows from them and does not look at any text."""
    template = root.backend.chat_template
    if type(template) is not ChatTemplate or template.style is not ChatTemplateStyle.PLAIN:
        return None
    nodes = [op.node for op in root.ops]
    plain = all(
        bool(node.value)
        if isinstance(node, ir.Constant)
        else isinstance(node, ir.Gen | ir.RoleBegin | ir.RoleEnd)
        for node in nodes
    )
    return nodes if plain else None


def _texts_in(ops: list[Op], like: Shape) -> list[str] | None:
    """The texts of a state whose other nodes are the very ones of `like`; None where they are not:
    calls and roles that say the same are one node."""
    if like.nodes is None or len(ops) != len(like.nodes):
        return None
    texts: list[str] = []
    for op, known in zip(ops, like.nodes, strict=True):
        node = op.node
        if isinstance(known, ir.Constant) and isinstance(node, ir.Constant) and node.value:
            texts.append(node.value)
        elif node is not known:
            return None
    return texts


class Planned:
    """The plan of a shape's instances: texts that were the same for all of them so far stand in it,
    the others are its arguments, given per instance. A text that differed once stays an argument,
    so that the runtime sees the same plan again."""

    def __init__(self, shape: Shape, texts: list[str]) -> None:
        self.shape = shape
        self._texts = texts
        self._places: list[int] = []
        self._plan = self._settled()

    def of(self, instances: Sequence[Lowered]) -> tuple[Plan, list[list[str]]]:
        """The plan with each instance's texts. All have this shape or one of its key."""
        differing = {
            place
            for instance in instances
            for place, text in enumerate(instance.texts)
            if text != self._texts[place]
        }
        if not differing.issubset(self._places):
            self._places = sorted(differing.union(self._places))
            self._plan = self._settled()
        return self._plan, [
            [instance.texts[place] for place in self._places] for instance in instances
        ]

    def _settled(self) -> Plan:
        numbers = {place: number for number, place in enumerate(self._places)}

        def settled(op: PlanOp) -> PlanOp:
            if not isinstance(op, PlanArgument):
                return op
            if op.index in numbers:
                return PlanArgument(numbers[op.index])
            return PlanPart(protocol.Text(self._texts[op.index]))

        return Plan([[settled(op) for op in ops] for ops in self.shape.branches])


class _Lowering:
    """Walks the branches, parents before children, as the runtime numbers them."""

    def __init__(self, root: HeldExecutor) -> None:
        self.lowered = Lowered()
        self._backend: Backend = root.backend
        self._numbers: dict[HeldExecutor, int] = {}
        self._written: dict[Cell, PlanOutput] = {}

    def branch(self, executor: HeldExecutor, before: Transcript) -> None:
        """Lower one branch and those that leave it; `before` is what it has of its parent."""
        ops: list[PlanOp] = []
        self._numbers[executor] = len(self.lowered.shape.branches)
        self.lowered.shape.branches.append(ops)
        self.lowered.executors.append(executor)
        num_calls = 0
        for op in executor.ops:
            try:
                num_calls += self._lower(executor, op, ops, before, num_calls)
            except InvalidRequest as error:
                # The interpreter says it better: there the op names its place.
                raise NotPlannable(error.message, op.origin.source) from None
        self.lowered.shape.num_calls += num_calls

    def _lower(
        self, executor: HeldExecutor, op: Op, ops: list[PlanOp], so_far: Transcript, call: int
    ) -> int:
        """Append the wire's ops for one op; how many calls it makes."""
        number = self._numbers[executor]
        match op.node:
            case ir.Constant(value=text):
                self._text(ops, text)
                so_far.add_text(text)
            case CopyText(cell=cell):
                self._copy(ops, cell, op)
                so_far.add_text(_OUTPUT)
            case ir.RoleBegin(role=role):
                ops += _markup(so_far, lambda: so_far.begin_role(role, self._backend.chat_template))
            case ir.RoleEnd(role=role):
                if role == "system" and _OUTPUT in so_far.text[so_far.role_start :]:
                    self._refuse_folding(op)
                ops += _markup(so_far, lambda: so_far.end_role(role, self._backend.chat_template))
            case ir.VarScopeBegin() | ir.VarScopeEnd():
                pass
            case ir.AppendChildren(additions=additions):
                for addition in additions:
                    ops += [PlanPart(part) for part in addition.parts]
                    so_far.add_text(addition.text)
            case ir.Gen() as node:
                ops.append(self._generate(executor, node, op))
                so_far.add_text(_OUTPUT)
                self._note(op, number, call)
                return 1
            case ir.Select() as node:
                ops.append(_select(node, op))
                so_far.add_text(_OUTPUT)
                self._note(op, number, call)
                return 1
            case BranchOff(children=children):
                self._fork(children, ops, so_far)
            case BringTogether(children=children, append=append):
                ops.append(PlanJoin([self._numbers[child] for child in children], append))
                so_far.add_text(_OUTPUT if append else "")
            case node:
                raise NotPlannable(f"{node!r} is for the interpreter", op.origin.source)
        return 0

    def _text(self, ops: list[PlanOp], text: str) -> None:
        if text:
            ops.append(PlanArgument(len(self.lowered.texts)))
            self.lowered.texts.append(text)

    def _copy(self, ops: list[PlanOp], cell: Cell, op: Op) -> None:
        written = self._written.get(cell)
        if written is not None:
            ops.append(written)
        elif cell.final and cell.error is None:
            self._text(ops, cell.value)
        else:
            raise NotPlannable(f"the text of {cell.name!r} is no single output", op.origin.source)

    def _generate(self, executor: HeldExecutor, node: ir.Gen, op: Op) -> PlanGenerate:
        sampling, logprobs, peek = executor.asked(node)
        if sampling.token_healing:
            raise NotPlannable("token healing changes the prompt", op.origin.source)
        reasoning = None if node.reasoning is None else node.reasoning.model_type
        return PlanGenerate(
            sampling, node.constraint, logprobs, node.timeout_s, not peek, reasoning
        )

    def _fork(
        self, children: Sequence[HeldExecutor], ops: list[PlanOp], so_far: Transcript
    ) -> None:
        fork = PlanFork([])
        ops.append(fork)
        for child in children:
            fork.branches.append(len(self.lowered.shape.branches))
            self.branch(child, so_far.branch())

    def _note(self, op: Op, branch: int, call: int) -> None:
        """Which call writes a variable: its first, for thinking is no text of the plan's."""
        for cell in op.cells[:1]:
            self._written[cell] = PlanOutput(branch, call)

    def _refuse_folding(self, op: Op) -> None:
        # Such a template looks whether the system turn is empty, which only a run can tell.
        if self._backend.chat_template.style is ChatTemplateStyle.LLAMA2:
            raise NotPlannable("this chat template folds a generated turn", op.origin.source)


def _markup(transcript: Transcript, change: Callable[[], None]) -> list[PlanOp]:
    """The parts that a role's beginning or end adds."""
    parts, transcript.parts = transcript.parts, []
    change()
    added, transcript.parts = transcript.parts, parts
    return [PlanPart(part) for part in added]


def _select(node: ir.Select, op: Op) -> PlanSelect:
    method = _METHODS.get(type(node.choices_method))
    if method is None:
        raise NotPlannable(f"{node.choices_method!r} is a rule of the user's", op.origin.source)
    return PlanSelect(list(node.choices), method)
