"""Do new grammars delay others? One sequence decodes while requests arrive, each with a grammar
that nobody used before, against the same arrivals without any: `python -m bench.arrivals`.

On the embedded model. What counts is the time between two tokens of the sequence that has no
grammar; arrivals cost it their prompts and their share of each step either way. The time that the
loop's thread itself works stands beside: a busy machine changes it less. Rounds of both kinds take
turns until the time is up; what still runs then is dropped.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from branchline.runtime.engine import garbage
from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.core import EngineCore
from branchline.runtime.engine_protocol import StepEvents, Submit
from branchline.runtime.protocol import (
    Choices,
    Constraint,
    Ebnf,
    Island,
    Islands,
    JsonSchema,
    Regex,
    SamplingParams,
    Text,
)

from .report import Report, arguments, finish

_EVERY = 8
_ARRIVAL_TOKENS = 16
# So many gaps are measured however late it is, and so many steps end a round.
_ENOUGH = 100
_STEPS_PER_TOKEN = 20


def constraints() -> Iterator[Constraint]:
    """Grammars of every kind, no two alike."""
    number = 0
    while True:
        number += 1
        members = {
            f"field_{number}_{place}": {"type": "string", "pattern": f"^[a-z]{{2,{place + 3}}}$"}
            for place in range(12)
        }
        record = {"type": "object", "properties": members, "required": list(members)[:1]}
        yield JsonSchema(json.dumps(record))
        yield Choices([f"choice {number} of {place}" for place in range(400)])
        yield Regex(rf"[^\n]{{1,80}} {number}\.[0-9]{{2}}")
        yield Ebnf(f'root ::= "({number}" root ")" | [a-z]+')
        yield JsonSchema(json.dumps({"type": ["array", "object"], "title": str(number)}))
        yield Islands([Island(f"<n{number}>", Regex("[0-9]{1,9}"), "</n>")])


@dataclass
class Gaps:
    """Milliseconds between two tokens: by the clock, and of the loop's own processor time."""

    clock: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)


class Contest:
    """One engine, and the prompts of those who arrive."""

    def __init__(self) -> None:
        # One thread: others would wait for each other, and spin, on a machine that is busy.
        self.core = EngineCore(EngineConfig(kv_slots=16_384, speculation="off", num_threads=1))
        self.num_grammars = 0
        self.until_s = math.inf
        self._constraints = constraints()
        self._num_sids = 0

    @property
    def is_over(self) -> bool:
        return time.perf_counter() > self.until_s

    def measure(self, gaps: Gaps, num_tokens: int, *, with_grammars: bool) -> None:
        """The tokens of a sequence without a grammar, while others arrive."""
        watched = self._submit("Once upon a time", num_tokens)
        last: tuple[float, float] | None = None
        for step in range(_STEPS_PER_TOKEN * num_tokens):
            if step % _EVERY == _EVERY - 1:
                constraint = next(self._constraints) if with_grammars else None
                self.num_grammars += with_grammars
                self._submit(f"Request {step}:", _ARRIVAL_TOKENS, constraint)
            events = self._step()
            heard = [one for one in events.progress if one.sid == watched]
            if any(one.token_ids for one in heard):
                now = time.perf_counter(), time.thread_time()
                if last is not None:
                    gaps.clock.append(1e3 * (now[0] - last[0]))
                    gaps.own.append(1e3 * (now[1] - last[1]))
                last = now
            if (self.is_over and len(gaps.clock) >= _ENOUGH) or any(one.finish for one in heard):
                break
        while self.core.has_work and not self.is_over:
            self._step()
        for seq in list(self.core.sequences):
            self.core.drop(seq.sid)
        self.core.flush_cache()

    def _step(self) -> StepEvents:
        events = self.core.step()
        garbage.collect_if_needed()  # as the engine's process does
        if events.failed:
            raise RuntimeError(f"a request failed: {events.failed[0].message}")
        return events

    def _submit(self, prompt: str, num_tokens: int, constraint: Constraint | None = None) -> int:
        self._num_sids += 1
        params = SamplingParams(
            max_new_tokens=num_tokens, temperature=1.0, seed=1, ignore_eos=constraint is None
        )
        ids = self.core.tokenizer.encode([Text(prompt)])
        self.core.submit(Submit(self._num_sids, ids, params, constraint))
        return self._num_sids


def main() -> None:
    options = arguments(__doc__ or "").parse_args()
    num_tokens, limit_s = (150, 60.0) if options.quick else (400, 240.0)
    contest = Contest()
    for with_grammars in (False, True):
        contest.measure(Gaps(), num_tokens // 4, with_grammars=with_grammars)  # warm
    garbage.begin()
    contest.until_s = time.perf_counter() + limit_s
    gaps = {False: Gaps(), True: Gaps()}
    num_rounds = 0
    while not contest.is_over or not num_rounds:
        for with_grammars, found in gaps.items():
            contest.measure(found, num_tokens, with_grammars=with_grammars)
        num_rounds += 1
    report = Report("arrivals")
    rounds = f"{num_rounds} rounds, {contest.num_grammars} grammars"
    for kind, name in (("clock", ""), ("own", ", of the loop's processor time")):
        free, held = (sorted(getattr(gaps[way], kind)) for way in (False, True))
        for label, share in (("p50", 0.5), ("p99", 0.99), ("longest", 1.0)):
            without, beside = (ordered[int(share * (len(ordered) - 1))] for ordered in (free, held))
            report.add(
                f"new grammars delay a token{name}: {label}",
                beside - without,
                "ms",
                goal=2.0,
                at_most=True,
                detail=f"{without:.1f} ms without, {beside:.1f} ms with; {rounds}",
            )
    stats = contest.core.stats()
    report.add(
        "places in grammars looked at in one step, at most",
        stats["most_mask_work"],
        "places",
        detail=f"{stats['unfinished_masks']:,.0f} masks took more than one step",
    )

    def plot(_: Report, path: Path) -> None:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(7, 3))
        for way, label in ((False, "without grammars"), (True, "with new grammars")):
            found = sorted(gaps[way].clock)
            axes.plot([place / len(found) for place in range(len(found))], found, label=label)
        axes.set_xlabel("share of the tokens")
        axes.set_ylabel("ms since the one before")
        axes.legend()
        figure.tight_layout()
        figure.savefig(path)

    finish(report, options, plot)


if __name__ == "__main__":
    main()
