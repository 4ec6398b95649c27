"""Do new grammars delay others? One sequence decodes while requests arrive, each with a grammar
that nobody used before, against the same arrivals without any: `python -m bench.arrivals`.

On the embedded model. What counts is the time between two tokens of the sequence that has no
grammar; arrivals cost it their prompts and their share of each step either way.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.core import EngineCore
from branchline.runtime.protocol import (
    Choices,
    Constraint,
    Ebnf,
    Island,
    Islands,
    JsonSchema,
    Regex,
    SamplingParams,
    Submit,
    Text,
)

from .report import Report, arguments, finish

_EVERY = 8
_ARRIVAL_TOKENS = 12


def constraints() -> Iterator[Constraint]:
    """Grammars of every kind, no two alike."""
    number = 0
    while True:
        number += 1
        members = {
            f"field_{number}_{place}": {"type": "string", "pattern": f"^[a-z]{{2,{place + 3}}}$"}
            for place in range(12)
        }
        record = {"type": "object", "properties": members, "required": list(members)[:6]}
        yield JsonSchema(json.dumps(record))
        yield Choices([f"choice {number} of {place}" for place in range(400)])
        yield Regex(rf"[^\n]{{1,80}} {number}\.[0-9]{{2}}")
        yield Ebnf(f'root ::= "({number}" root ")" | [a-z]+')
        yield JsonSchema(json.dumps({"type": ["array", "object"], "title": str(number)}))
        yield Islands([Island(f"<n{number}>", Regex("[0-9]{1,9}"), "</n>")])


class Contest:
    """One engine, and the prompts of those who arrive."""

    def __init__(self) -> None:
        self.core = EngineCore(EngineConfig(kv_slots=16_384, speculation="off"))
        self._constraints = constraints()
        self._num_sids = 0

    def gaps_ms(self, num_tokens: int, *, with_grammars: bool) -> list[float]:
        """Times between the tokens of a sequence without a grammar, while others arrive."""
        watched = self._submit("Once upon a time", num_tokens)
        gaps: list[float] = []
        last_s: float | None = None
        for step in range(1_000_000):
            if step % _EVERY == _EVERY - 1:
                constraint = next(self._constraints) if with_grammars else None
                self._submit(f"Request {step}:", _ARRIVAL_TOKENS, constraint)
            events = self.core.step()
            heard = [one for one in events.progress if one.sid == watched]
            if any(one.token_ids for one in heard):
                now_s = time.perf_counter()
                if last_s is not None:
                    gaps.append(1e3 * (now_s - last_s))
                last_s = now_s
            if any(one.finish for one in heard):
                break
        while self.core.has_work:
            self.core.step()
        self.core.flush_cache()
        return gaps

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
    contest = Contest()
    num_tokens, rounds = (150, 2) if options.quick else (400, 5)
    contest.gaps_ms(num_tokens // 4, with_grammars=False)  # warm
    gaps: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(rounds):
        for with_grammars, found in gaps.items():
            found += contest.gaps_ms(num_tokens, with_grammars=with_grammars)
    report = Report("arrivals")
    free, held = (sorted(gaps[way]) for way in (False, True))
    report.add("between tokens, arrivals without grammars: p50", statistics.median(free), "ms")
    report.add("between tokens, arrivals with new grammars: p50", statistics.median(held), "ms")
    for name, share in (("p99", 0.99), ("longest", 1.0)):
        place = int(share * (len(free) - 1)), int(share * (len(held) - 1))
        report.add(
            f"grammars delay a token: {name}",
            held[place[1]] - free[place[0]],
            "ms",
            goal=2.0,
            at_most=True,
            detail=f"{free[place[0]]:.1f} ms without, {held[place[1]]:.1f} ms with",
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
        for found, label in ((free, "without grammars"), (held, "with new grammars")):
            axes.plot([place / len(found) for place in range(len(found))], found, label=label)
        axes.set_xlabel("share of the tokens")
        axes.set_ylabel("ms since the one before")
        axes.legend()
        figure.tight_layout()
        figure.savefig(path)

    finish(report, options, plot)


if __name__ == "__main__":
    main()
