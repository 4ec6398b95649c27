"""What only a GPU can show; skipped where there is none. `test_overlap.py` counts the same waits on
a device of its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from branchline.runtime.device.select import open_device
from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.core import EngineCore
from branchline.runtime.engine.runner import ModelRunner
from branchline.runtime.engine_protocol import Submit
from branchline.runtime.protocol import LogprobParams, SamplingParams

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA here")


def test_what_is_put_while_a_step_is_under_way_is_there_and_stays() -> None:
    device = open_device("cuda")
    busy = torch.randn(4096, 4096, device="cuda")
    kept = []
    for value in range(20):
        busy = (busy @ busy).clamp_(-1, 1)
        first, second = device.put([np.full(100_000, value), np.arange(3)])
        kept.append((first.sum(), second.clone()))
        del first, second  # their memory is another's now, once they were read
    assert [int(total) for total, _ in kept] == [100_000 * value for value in range(20)]
    assert all(second.tolist() == [0, 1, 2] for _, second in kept)


@pytest.mark.parametrize("deterministic", [False, True])
def test_steady_decoding_makes_no_call_that_waits(model_dir: str, deterministic: bool) -> None:
    config = EngineConfig(
        model_dir,
        dtype="bfloat16",
        kv_slots=2_000,
        speculation="off",
        deterministic=deterministic,
    )
    core = EngineCore(config, ModelRunner(config, open_device("cuda")), strict=True)
    for sid in range(4):
        sampling = SamplingParams(
            max_new_tokens=60,
            temperature=0.5 * sid,
            top_p=0.9,
            presence_penalty=0.5,
            seed=sid,
            ignore_eos=True,
        )
        wanted = LogprobParams(top=2) if sid == 3 else None
        core.submit(Submit(sid, [5 + sid, 9, 30, 7], sampling, logprobs=wanted))
    for _ in range(10):  # kernels are compiled, a step is captured
        core.step()
    ahead = core.stats()["steps_ahead"]
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(20):
            core.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert core.stats()["steps_ahead"] - ahead == 20
    while core.has_work:
        assert not core.step().failed
