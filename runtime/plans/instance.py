"""One run of a plan: which calls it makes when, and what becomes of their answers. No clock, no
sockets: desk.py makes the calls and hands the answers in."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from ..engine_protocol import NextCall
from ..errors import RequestError
from ..protocol import (
    Done,
    Error,
    Generate,
    PlanArgument,
    PlanFork,
    PlanGenerate,
    PlanJoin,
    PlanOp,
    PlanOutput,
    PlanPart,
    PlanSelect,
    Score,
    Scores,
    Text,
    Tokens,
)
from ..reasoning import reasoning_format
from .ahead import COMPUTE_ONLY, calls_ahead
from .check import SoundPlan
from .choices import decide
from .prompt import Prompt, Speller

# Calls of a plan whose followers are remembered; a program's first is mostly all that is asked for.
_MAX_KNOWN: Final = 64

Reply = Done | Scores | Error


@dataclass(slots=True, eq=False)
class _Branch:
    """A cursor in one branch's ops. `outputs` are the texts of its calls; `waits` means that it
    can go on only after another branch; `failed`, that it did not come to its end."""

    number: int
    ops: list[PlanOp]
    prompt: Prompt
    place: int = 0
    num_calls: int = 0
    outputs: list[str] = field(default_factory=list)
    in_call: bool = False
    ended: bool = False
    failed: bool = False


class Instance:
    """Texts for a plan's arguments, and how far each of its branches has come.

    `begin()` and `answer()` return the calls to make now, at most one per branch at a time;
    `running` is False once no answer is awaited any more, and when the first branch has failed at a
    join: what others still generate is of no use then. tokens_left: how many the calls that were
    not made yet may generate.
    """

    def __init__(
        self, plan: SoundPlan, texts: list[str], speller: Speller, *, name: str, namespace: str = ""
    ) -> None:
        self.num_awaited = 0
        self.tokens_left = plan.num_new_tokens
        self._plan = plan
        self._texts = texts
        self._name = name
        self._namespace = namespace
        self._speller = speller
        self._branches: dict[int, _Branch] = {}
        self._runnable: deque[_Branch] = deque()
        self._calls: list[Generate | Score] = []
        self._failures: list[tuple[int, Error]] = []
        self._is_lost = False
        self._start(0, Prompt(speller))

    @property
    def running(self) -> bool:
        return self.num_awaited > 0 and not self._is_lost

    @property
    def in_last_call(self) -> bool:
        """Whether it has one branch, which makes its last call."""
        made = self._branches[0].num_calls
        return len(self._plan.plan.branches) == 1 and made == self._plan.num_calls

    def begin(self) -> list[Generate | Score]:
        """The first calls."""
        return self._run()

    def answer(self, number: int, reply: Reply) -> list[Generate | Score]:
        """Take the answer to the call of branch `number`; the calls that follow from it."""
        branch = self._branches[number]
        self.num_awaited -= 1
        branch.in_call = False
        if isinstance(reply, Error):
            self._end(branch, failed=True)
        else:
            self._take(branch, reply)
            self._runnable.append(branch)
        return self._run()

    def ahead(self, number: int) -> list[NextCall]:
        """The calls of branch `number` that will follow its present one, as far as that is sure."""
        branch = self._branches[number]
        known = self._plan.ahead.get((number, branch.place))
        if known is not None:
            return list(known)
        made, behind = branch.ops[branch.place], islice(branch.ops, branch.place + 1, None)

        def is_private(op: PlanOp, later: int) -> bool:
            return self._is_private(op, number, len(branch.outputs) + later)

        calls = calls_ahead(made, behind, self._texts, self._written, self._speller, is_private)
        is_alike = branch.place >= self._plan.alike_from[number]
        if is_alike and len(self._plan.ahead) < _MAX_KNOWN:
            self._plan.ahead[number, branch.place] = list(calls)
        return calls

    def is_private(self, number: int) -> bool:
        """Whether nobody waits for the present call of branch `number` but that branch."""
        branch = self._branches[number]
        return self._is_private(branch.ops[branch.place], number, len(branch.outputs))

    def _is_private(self, op: PlanOp, number: int, call: int) -> bool:
        # A call that has ended in its own time must not seem late.
        hurries = isinstance(op, PlanGenerate) and op.timeout_s is not None
        return not hurries and (number, call) not in self._plan.wanted

    def take_failures(self) -> list[tuple[int, Error]]:
        """Calls that could not even be made: branch and reason. Each is told once."""
        failures, self._failures = self._failures, []
        return failures

    def _start(self, number: int, prompt: Prompt) -> None:
        branch = _Branch(number, self._plan.plan.branches[number], prompt)
        self._branches[number] = branch
        self._runnable.append(branch)

    def _run(self) -> list[Generate | Score]:
        while self._runnable:
            branch = self._runnable.popleft()
            if not (branch.ended or branch.in_call):
                try:
                    self._go_on(branch)
                except RequestError as error:
                    failure = Error(None, error.code, error.message, error.pointer)
                    self._failures.append((branch.number, failure))
                    self._end(branch, failed=True)
        calls, self._calls = self._calls, []
        self.num_awaited += len(calls)
        return calls

    def _go_on(self, branch: _Branch) -> None:
        """Work off ops until one needs something that is not there yet."""
        while branch.place < len(branch.ops):
            match branch.ops[branch.place]:
                case PlanPart(part=part):
                    branch.prompt.append(part)
                case PlanArgument(index=index):
                    branch.prompt.append(Text(self._texts[index]))
                case PlanOutput(branch=number) as op:
                    text = self._written(op)
                    if text is None:
                        source = self._branches.get(number)
                        if source is not None and source.ended:
                            self._end(branch, failed=True)
                        return
                    branch.prompt.append(Text(text))
                case PlanGenerate() as op:
                    self.tokens_left -= op.sampling.max_new_tokens
                    self._generate(branch, op)
                    return
                case PlanSelect() as op:
                    self._select(branch, op)
                    return
                case PlanFork(branches=numbers):
                    if len(numbers) > 1 and branch.prompt.fresh:
                        # What the branches share is computed once, before any of them.
                        self._generate(branch, COMPUTE_ONLY)
                        return
                    for number in numbers:
                        self._start(number, branch.prompt.branch())
                case PlanJoin(branches=numbers, append=append):
                    children = [self._branches[number] for number in numbers]
                    if any(child.failed for child in children):
                        self._is_lost = branch.number == 0
                        self._end(branch, failed=True)
                        return
                    if not all(child.ended for child in children):
                        return
                    if append:
                        for child in children:
                            branch.prompt.extend(child.prompt.added())
            branch.place += 1
        self._end(branch)

    def _written(self, op: PlanOutput) -> str | None:
        """What a call wrote; None before it has ended."""
        source = self._branches.get(op.branch)
        return source.outputs[op.call] if source and op.call < len(source.outputs) else None

    def _take(self, branch: _Branch, reply: Done | Scores) -> None:
        """Append what a call wrote. Its prompt is computed now."""
        branch.prompt.fresh = False
        op = branch.ops[branch.place]
        if isinstance(op, PlanFork):
            return
        text = ""
        if isinstance(op, PlanSelect) and isinstance(reply, Scores):
            text = op.choices[decide(op.method, reply.choices)]
            branch.prompt.append(Text(text))
        elif isinstance(op, PlanGenerate) and isinstance(reply, Done) and op.keep:
            output = reply.outputs[0]
            text = output.text
            if op.reasoning is not None:
                _, text = reasoning_format(op.reasoning).split(text)
                branch.prompt.append(Text(text))
            else:
                branch.prompt.append(Tokens(output.token_ids) if output.token_ids else Text(text))
        branch.outputs.append(text)
        branch.place += 1
        # Somebody may be waiting for this text.
        self._wake()

    def _end(self, branch: _Branch, *, failed: bool = False) -> None:
        branch.ended, branch.failed = True, failed
        self._wake()

    def _wake(self) -> None:
        """Let those look again who wait for another branch."""
        for branch in self._branches.values():
            idle = not (branch.ended or branch.in_call) and branch.place < len(branch.ops)
            if idle and isinstance(branch.ops[branch.place], PlanOutput | PlanJoin):
                self._runnable.append(branch)

    def _generate(self, branch: _Branch, op: PlanGenerate) -> None:
        self._call(
            branch,
            Generate(
                rid=self._rid(branch),
                prompt=branch.prompt.tokens(),
                sampling=op.sampling,
                constraint=op.constraint,
                logprobs=op.logprobs,
                namespace=self._namespace,
                timeout_s=op.timeout_s,
            ),
        )

    def _select(self, branch: _Branch, op: PlanSelect) -> None:
        self._call(
            branch,
            Score(
                rid=self._rid(branch),
                prompt=branch.prompt.parts(),
                choices=op.choices,
                unconditional=op.method == "unconditional_likelihood_normalized",
                namespace=self._namespace,
            ),
        )

    def _call(self, branch: _Branch, call: Generate | Score) -> None:
        branch.in_call = True
        branch.num_calls += 1
        self._calls.append(call)

    def _rid(self, branch: _Branch) -> str:
        return f"{self._name}.{branch.number}.{branch.num_calls}"
