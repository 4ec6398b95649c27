"""Hit rates of the cache's eviction on generated traces, against LRU and the offline optimum.

Traces in the shapes of the SGLang paper's workloads (arXiv:2312.07104, section 6), with a pool that
is 30 % of what all calls of a trace need together. No model runs: each call matches, makes room and
files its tokens, one after another. Short traces (--quick) are drawn four times: in a single one
two documents that are asked for once more outweigh the order.

- `lru`: the tree, where all is worth the same.
- `calls`: the tree's own order, told nothing of programs.
- `sessions`: the same; each program is a session, whose last call says so.
- `optimum`: knows the future: evicts the leaf whose next use is furthest away (Belady's rule).
"""

from __future__ import annotations

import heapq
import random
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from branchline.runtime.memory.allocator import SlotAllocator
from branchline.runtime.radix_cache.chances import Chances
from branchline.runtime.radix_cache.node import Node
from branchline.runtime.radix_cache.tree import RadixCache
from branchline.runtime.scheduler.leases import LeaseTable

from .report import Report, arguments, finish

_POOL_SHARE = 0.3


@dataclass(frozen=True)
class Call:
    """`ids` are prompt and output; of these the prompt is what the cache can serve."""

    program: int
    ids: tuple[int, ...]
    prompt_len: int
    is_last: bool


def main() -> None:
    options = arguments(__doc__.splitlines()[0]).parse_args()
    size, num_draws = (60, 4) if options.quick else (150, 1)
    report = Report("traces")
    shares = []
    for name, make in TRACES.items():
        rates = [
            hit_rates(make(random.Random(name + "+" * draw), size)) for draw in range(num_draws)
        ]
        lru, plain, aware, best = (statistics.fmean(column) for column in zip(*rates, strict=True))
        shares.append(aware / best)
        detail = f"hit rate {aware:.3f}; calls {plain:.3f}; LRU {lru:.3f}; optimum {best:.3f}"
        report.add(f"{name}: sessions / LRU", aware / lru, "ratio", goal=1.0, detail=detail)
    mean = sum(shares) / len(shares)
    report.add("mean share of the optimum", mean, "ratio", goal=0.96)
    finish(report, options, plot)


def hit_rates(calls: list[Call]) -> tuple[float, float, float, float]:
    """LRU's, the tree's told of calls and of sessions, the optimum's."""
    pool = pool_of(calls)
    lru, plain, aware = (replay(calls, pool, order) for order in ("lru", "calls", "sessions"))
    return lru, plain, aware, optimum(calls, pool)


# --- traces ---------------------------------------------------------------------------------


class Words:
    """Fresh stretches of tokens."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def some(self, low: int, high: int) -> tuple[int, ...]:
        return tuple(self.rng.randrange(32_000) for _ in range(self.rng.randint(low, high)))


def interleaved(rng: random.Random, programs: list[list[Call]], at_once: int) -> list[Call]:
    """The programs' calls, of `at_once` programs at a time in random turns."""
    waiting = programs[::-1]
    running: list[list[Call]] = []
    calls: list[Call] = []
    while waiting or running:
        while waiting and len(running) < at_once:
            running.append(waiting.pop())
        turn = rng.choice(running)
        calls.append(turn.pop(0))
        if not turn:
            running.remove(turn)
    return calls


def conversation(words: Words, number: int, head: tuple[int, ...], turns: int) -> list[Call]:
    calls: list[Call] = []
    ids = head
    for turn in range(turns):
        ids += words.some(20, 80)
        prompt_len = len(ids)
        ids += words.some(20, 80)
        calls.append(Call(number, ids, prompt_len, turn == turns - 1))
    return calls


def few_shot(rng: random.Random, size: int, levels: int = 1) -> list[Call]:
    words = Words(rng)
    heads = [words.some(300, 500) for _ in range(8)]
    if levels == 2:
        heads = [head + words.some(100, 200) for head in heads for _ in range(4)]
    return [call for i in range(4 * size) for call in conversation(words, i, rng.choice(heads), 1)]


def agent_programs(rng: random.Random, size: int) -> list[list[Call]]:
    words = Words(rng)
    system = words.some(400, 400)
    return [conversation(words, i, system, rng.randint(3, 10)) for i in range(size)]


def agents(rng: random.Random, size: int) -> list[Call]:
    return interleaved(rng, agent_programs(rng, size), 12)


def tree_of_thought(rng: random.Random, size: int) -> list[Call]:
    words = Words(rng)
    programs = []
    for number in range(size // 3):
        level = [words.some(150, 250)]
        calls: list[Call] = []
        for _ in range(3):
            following = []
            for path in level:
                for _ in range(3):
                    ids = path + words.some(20, 60)
                    calls.append(Call(number, ids, len(path), False))
                    following.append(ids)
            level = rng.sample(following, 3)
        last = calls[-1]
        calls[-1] = Call(number, last.ids, last.prompt_len, True)
        programs.append(calls)
    return interleaved(rng, programs, 4)


def chat(rng: random.Random, size: int) -> list[Call]:
    words = Words(rng)
    programs = [conversation(words, i, words.some(30, 60), rng.randint(4, 20)) for i in range(size)]
    return interleaved(rng, programs, 16)


def json_records(rng: random.Random, size: int) -> list[Call]:
    words = Words(rng)
    schemas = [words.some(150, 300) for _ in range(4)]
    programs = [conversation(words, i, rng.choice(schemas), 2) for i in range(2 * size)]
    return interleaved(rng, programs, 8)


def rag(rng: random.Random, size: int) -> list[Call]:
    words = Words(rng)
    system = words.some(100, 100)
    documents = [words.some(200, 400) for _ in range(30)]
    weights = [1 / (rank + 1) for rank in range(len(documents))]
    calls: list[Call] = []
    for number in range(3 * size):
        (document,) = rng.choices(documents, weights)
        calls += conversation(words, number, system + document, 1)
    return calls


TRACES: dict[str, Callable[[random.Random, int], list[Call]]] = {
    "few-shot, 1 level": few_shot,
    "few-shot, 2 levels": lambda rng, size: few_shot(rng, size, levels=2),
    "agents with tools": agents,
    "tree of thought": tree_of_thought,
    "chat of 4-20 turns": chat,
    "JSON": json_records,
    "RAG": rag,
}


def pool_of(calls: list[Call]) -> int:
    """30 % of the distinct tokens of a trace, but no less than its longest call."""
    cache = RadixCache(SlotAllocator(sum(len(call.ids) for call in calls)))
    for call in calls:
        put(cache, np.array(call.ids, np.int32))
    return max(int(_POOL_SHARE * cache.num_tokens), max(len(call.ids) for call in calls))


# --- the tree ---------------------------------------------------------------------------------


def put(
    cache: RadixCache, ids: np.ndarray[tuple[int], np.dtype[np.int32]], program: int = 0
) -> None:
    match = cache.match_prefix("", ids)
    cache.lock(match.node)
    missing = len(ids) - len(match.slots)
    if missing > cache.allocator.num_free:
        cache.evict(missing - cache.allocator.num_free)
    fresh = cache.allocator.allocate(missing)
    cache.unlock(match.node)
    if fresh is None:
        raise RuntimeError("the pool is smaller than one call")
    cache.insert("", ids, np.concatenate([match.slots, fresh]), program)


class Alike(Chances):
    """All is as likely used again, which makes the order LRU."""

    def of(self, node: Node) -> float:
        return 1.0


def replay(calls: list[Call], pool: int, order: str) -> float:
    """The share of prompt tokens that the tree had. order: see the module's text."""
    sessions = order == "sessions"
    now_s = 0.0
    cache = RadixCache(SlotAllocator(pool), lambda: now_s)
    if order == "lru":
        cache.order.chances = Alike()
    leases = LeaseTable(cache, 0)
    num_hit = 0
    for number, call in enumerate(calls):
        now_s = float(number)
        ids = np.array(call.ids, np.int32)
        match = cache.match_prefix("", ids[: call.prompt_len - 1])
        num_hit += len(match.slots)
        program = call.program + 1 if sessions else 0
        cache.count_hit(match.node, program)
        if sessions:
            leases.begin(program, program, "", 1e9)
        put(cache, ids, program)
        if sessions:
            leases.end(program, "", ids, last=call.is_last)
    return num_hit / sum(call.prompt_len - 1 for call in calls)


# --- the optimum ------------------------------------------------------------------------------


class _Piece:
    """A node of the whole trace's tree of tokens, one per token."""

    __slots__ = ("cached", "children", "parent", "uses")

    def __init__(self, parent: _Piece | None) -> None:
        self.parent = parent
        self.children: dict[int, _Piece] = {}
        self.uses: list[int] = []
        self.cached = 0


def optimum(calls: list[Call], pool: int) -> float:
    """Hit rate when the leaf whose next use is furthest away is evicted, token by token."""
    root = _Piece(None)
    paths: list[list[_Piece]] = []
    for number, call in enumerate(calls):
        path = []
        piece = root
        for place, token in enumerate(call.ids):
            child = piece.children.get(token)
            if child is None:
                child = piece.children[token] = _Piece(piece)
            piece = child
            if place < call.prompt_len - 1:
                piece.uses.append(number)
            path.append(piece)
        paths.append(path)
    for path in paths:
        for piece in path:
            if piece.uses and piece.uses[0] < piece.uses[-1]:
                piece.uses = sorted(set(piece.uses), reverse=True)
    held: dict[_Piece, int] = {}  # cached children of each
    leaves: list[tuple[int, int, _Piece]] = []
    size = num_hit = order = 0
    never = len(calls)
    for number, (call, path) in enumerate(zip(calls, paths, strict=True)):
        hit = 0
        while hit < call.prompt_len - 1 and path[hit].cached:
            hit += 1
        num_hit += hit
        for place, piece in enumerate(path):
            while piece.uses and piece.uses[-1] <= number:
                piece.uses.pop()
            if not piece.cached:
                piece.cached = 1
                size += 1
                if place:
                    held[path[place - 1]] = held.get(path[place - 1], 0) + 1
        for piece in path:
            if not held.get(piece):
                order += 1
                following = piece.uses[-1] if piece.uses else never
                heapq.heappush(leaves, (-following, order, piece))
        while size > pool:
            wait, _, piece = heapq.heappop(leaves)
            following = piece.uses[-1] if piece.uses else never
            if not piece.cached or held.get(piece) or -wait != following:
                continue
            piece.cached = 0
            size -= 1
            above = piece.parent
            if above is not None and above is not root:
                held[above] -= 1
                if not held[above]:
                    order += 1
                    next_use = above.uses[-1] if above.uses else never
                    heapq.heappush(leaves, (-next_use, order, above))
    return num_hit / sum(call.prompt_len - 1 for call in calls)


def plot(report: Report, path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    axes.barh([row.metric for row in report.rows], [row.value for row in report.rows])
    axes.axvline(1.0, color="black")
    axes.set_xlabel("ratio")
    figure.savefig(path)


if __name__ == "__main__":
    main()
