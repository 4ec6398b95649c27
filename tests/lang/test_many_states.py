"""Ten thousand states at a time in one process, and thousands one after the other."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections import deque

import branchline as bl

MANY = 10_000


@bl.function
def plain(s, number):
    s += f"{number}" + bl.gen("a")


@bl.function
async def waiting(s, number):
    s += f"{number}" + bl.gen("a")
    return await s.get("a")


def release_when_all_run(model):
    def watch():
        for _ in range(MANY):
            model.started.acquire()
        model.release()

    watcher = threading.Thread(target=watch)
    watcher.start()
    return watcher


def expected(model):
    return [model.reply(f"{i}") for i in range(MANY)]


def test_ten_thousand_running_states_need_no_threads(model):
    model.hold = lambda prompt: True
    bl.flush_cache(model)  # starts the shared loop
    before = threading.active_count()
    states = [plain.run(i, backend=model) for i in range(MANY)]
    assert threading.active_count() == before
    release_when_all_run(model).join()
    assert [state["a"] for state in states] == expected(model)
    assert model.most_running == MANY


def test_amap_may_have_ten_thousand_instances_under_way(model):
    model.hold = lambda prompt: True
    watcher = release_when_all_run(model)

    async def main():
        records = ((i,) for i in range(MANY))
        states = waiting.amap(records, backend=model, concurrency=MANY)
        return [state.ret_value async for state in states]

    assert asyncio.run(main()) == expected(model)
    watcher.join()
    assert model.most_running == MANY


def test_thousands_of_documents_hold_steady_memory(model, tmp_path):
    """What is held after 1,000 documents is held after 5,000: nothing grows with their number
    but the arguments themselves and the checkpoint's table of offsets, which hold no objects."""
    model.calls = deque(maxlen=1)
    items = [(i,) for i in range(5_000)]
    states = plain.run_batch(
        items, backend=model, generator_style=True, checkpoint=tmp_path / "out.jsonl"
    )
    held = []
    for number, state in enumerate(states):
        assert state["a"]
        if number in (1_000, 4_999):
            del state
            gc.collect()
            held.append(len(gc.get_objects()))
    # The instances that run ahead of the consumer at the first count are gone at the second.
    assert held[1] <= held[0]
