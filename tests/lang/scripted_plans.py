"""The scripted model as a backend that takes plans: the runtime's own room for plans runs them,
with the scripted model's calls."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any

from scripted import Scripted, text_of

import branchline as bl
from branchline.lang.backend.base import Capabilities, OnNews
from branchline.lang.errors import GenerationError
from branchline.runtime import protocol
from branchline.runtime.plans.check import SoundPlan, check_instance, check_plan
from branchline.runtime.plans.instance import Instance
from branchline.runtime.plans.prompt import Speller

WORDS = [{"word": word} for word in ("one", "two", "three")]


class Characters:
    """A tokenizer whose tokens are characters."""

    def encode(self, parts: Iterable[protocol.Part]) -> list[int]:
        return [ord(character) for character in text_of(list(parts))]


@dataclass(eq=False)
class ScriptedPlans(Scripted):
    """`plans` are those that were run, each with the texts of its instances."""

    capabilities: Capabilities = Capabilities(tool_calls=True, plans=True)  # noqa: RUF009
    plans: list[tuple[protocol.Plan, list[list[str]]]] = field(default_factory=list)
    fail_plans: GenerationError | None = None

    async def run_plan(
        self, plan: protocol.Plan, texts: list[list[str]], on_news: OnNews
    ) -> list[Coroutine[object, object, protocol.PlanDone]]:
        request = protocol.RunPlan(
            plan, [protocol.PlanInstance(f"i{n}", given) for n, given in enumerate(texts)]
        )
        # Over the wire and back: what does not fit there is no plan.
        request = protocol.client_messages.decode(protocol.encode(request))
        sound = check_plan(request.plan)
        self.plans.append((plan, texts))
        if self.fail_plans is not None:
            raise self.fail_plans
        for instance in request.instances:
            check_instance(instance, sound)
        return [self._run(sound, instance) for instance in request.instances]

    async def _run(self, plan: SoundPlan, instance: protocol.PlanInstance) -> protocol.PlanDone:
        run = Instance(plan, instance.texts, Speller(Characters()), name="i")  # type: ignore[arg-type]
        branches: list[list[protocol.PlanCall]] = [[] for _ in plan.plan.branches]
        calls = {asyncio.ensure_future(self._ask(call)): call for call in run.begin()}
        try:
            while run.running:
                done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    number = int(calls.pop(task).rid.split(".")[1])
                    branches[number].append(protocol.PlanCall(task.result(), 0.0, 0.0))
                    for call in run.answer(number, task.result()):
                        calls[asyncio.ensure_future(self._ask(call))] = call
        finally:
            for task in calls:
                task.cancel()
        return protocol.PlanDone(instance.rid, branches)

    async def _ask(
        self, call: protocol.Generate | protocol.Score
    ) -> protocol.Done | protocol.Scores | protocol.Error:
        try:
            if isinstance(call, protocol.Score):
                return await self.score(call.prompt, call.choices, unconditional=call.unconditional)
            return await self.generate(
                call.prompt,
                call.sampling,
                constraint=call.constraint,
                logprobs=call.logprobs,
            )
        except GenerationError as error:
            return protocol.Error(call.rid, error.code, error.message)


def seen(state: bl.ProgramState) -> dict[str, Any]:
    """Everything that a user can read of a state, but for ids."""
    executor = state.stream_executor
    metas = {name: state.get_meta_info(name) for name in executor.cells}
    return {
        "text": state.text(),
        "messages": state.messages(),
        "variables": dict(sorted(executor.variables.items())),
        "values": {name: state.value(name) for name in executor.cells},
        "metas": {
            name: meta and {key: value for key, value in meta.items() if key != "id"}
            for name, meta in metas.items()
        },
        # Branches run side by side, so the order of their calls is nobody's.
        "usages": sorted(map(str, state.usages())),
        "spans": executor.transcript.spans,
        "parts": executor.transcript.parts,
        "returned": state.ret_value,
    }
