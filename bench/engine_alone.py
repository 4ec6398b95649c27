"""What an engine in this process, without any client, takes for the calls of a program that has
run. Used by programs.py."""

from __future__ import annotations

import gc
import itertools
import time
from typing import TYPE_CHECKING

import branchline as bl
from branchline.runtime import engine_protocol, protocol

if TYPE_CHECKING:
    from branchline.runtime.engine.core import EngineCore

_NUMBERS = itertools.count(1)


def engine_seconds(
    core: EngineCore, state: bl.ProgramState, max_new_tokens: int, *, goes_on: bool
) -> float:
    """The prompts being token ids: one call after the other, or all submitted with the first."""
    core.flush_cache()
    gc.disable()  # as in the engine's process
    try:
        return _seconds(core, state, max_new_tokens, goes_on=goes_on)
    finally:
        gc.enable()


def _seconds(
    core: EngineCore, state: bl.ProgramState, max_new_tokens: int, *, goes_on: bool
) -> float:
    gaps, outputs = _calls_of(core, state)
    sampling = protocol.SamplingParams(
        max_new_tokens=max_new_tokens, temperature=0.0, ignore_eos=True, skip_special_tokens=True
    )
    then = [engine_protocol.NextCall(ids, sampling) for ids in gaps[1:]] if goes_on else []
    prompt: list[int] = []
    start = time.perf_counter()
    for ids, output in list(zip(gaps, outputs, strict=True))[: 1 if goes_on else None]:
        prompt = prompt + ids
        core.submit(
            engine_protocol.Submit(
                sid=next(_NUMBERS), input_ids=prompt, sampling=sampling, then=then
            )
        )
        while core.has_work:
            core.step()
        prompt = prompt + output
    return time.perf_counter() - start


def _calls_of(core: EngineCore, state: bl.ProgramState) -> tuple[list[list[int]], list[list[int]]]:
    """Of each call what stands before its output, and the output."""
    gaps: list[list[int]] = []
    outputs: list[list[int]] = []
    gap: list[int] = []
    for part in state.stream_executor.transcript.parts:
        if isinstance(part, protocol.Tokens):
            gaps.append(gap)
            outputs.append(part.ids)
            gap = []
        else:
            gap = gap + core.tokenizer.encode([part])
    return gaps, outputs
