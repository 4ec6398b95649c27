"""Ten thousand documents through one runtime: what the processes hold when the first of them are
done, they hold at the end."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest
from processes import children, resident_bytes

import branchline as bl
from branchline.lang.launch import RuntimeProcess

NUM_DOCUMENTS = 10_000
# By then the KV pool is full, and so is the table of the last 4,096 answers.
NUM_WARM = 5_000
MAX_GROWTH = 1.05


@bl.function
def read(s: bl.ProgramState, text: str) -> None:
    s += bl.user(text)
    s += bl.assistant(bl.gen("title", max_tokens=2) + ": " + bl.gen("rest", max_tokens=2))


def document(number: int) -> dict[str, str]:
    words = ["quick", "brown", "fox", "lazy", "dogs", "rivers", "stars"]
    return {"text": " ".join(words[number * step % 7] for step in range(1, 30)) + f" {number}"}


@pytest.mark.nightly
@pytest.mark.timeout(3_000)
@pytest.mark.parametrize("compiled", [True, False])
def test_ten_thousand_documents_hold_steady_memory(model_dir: Path, compiled: bool) -> None:
    with (
        RuntimeProcess(str(model_dir), kv_slots=8192, num_threads=1) as runtime,
        bl.RuntimeEndpoint(runtime.address) as endpoint,
    ):

        def held() -> dict[str, int]:
            gc.collect()
            (engine,) = children(runtime.pid)
            pids = {"client": os.getpid(), "front": runtime.pid, "engine": engine}
            return {name: resident_bytes(pid) for name, pid in pids.items()}

        states = read.run_batch(
            [document(number) for number in range(NUM_DOCUMENTS)],
            temperature=0.0,
            backend=endpoint,
            generator_style=True,
            compiled=compiled,
        )
        early: dict[str, int] = {}
        for number, state in enumerate(states, 1):
            assert len(state["title"]) + len(state["rest"]) > 0
            if number == NUM_WARM:
                early = held()
        late = held()
    figures = {name: (early[name] >> 20, late[name] >> 20) for name in early}
    print(f"MiB after {NUM_WARM} and {NUM_DOCUMENTS} documents: {figures}")
    grown = {name: late[name] / early[name] for name in early}
    assert max(grown.values()) < MAX_GROWTH, figures
