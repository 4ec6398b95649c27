"""Triton's kernels run in its interpreter here, on CPU tensors, unless TRITON_INTERPRET=0 is set.

`tests/conftest.py` chooses the interpreter, because triton looks when it is first imported.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
import triton.runtime.interpreter as interpreter

from branchline.runtime.engine.batch import ForwardBatch
from branchline.runtime.kernels.triton.attention import TritonAttention
from branchline.runtime.kernels.triton.work import Machine
from branchline.runtime.memory.kv_pool import LayerKV

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def device() -> torch.device:
    """Where the kernels run: the CPU in the interpreter, else the GPU."""
    return torch.device("cuda" if os.environ["TRITON_INTERPRET"] == "0" else "cpu")


@pytest.fixture(autouse=True)
def products_as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row of a product is the same bits at any place among the rows, as of tensor cores. The
    interpreter's are BLAS's, which without AVX-512 sums a row by where it stands."""

    def dot(builder: Any, a: Any, b: Any, c: Any, *_: object) -> Any:
        left, right = a.data.astype(c.data.dtype), b.data.astype(c.data.dtype)
        total = numpy.zeros_like(c.data)
        for k in range(left.shape[-1]):
            total += left[..., k, None] * right[..., k, None, :]
        return interpreter.TensorHandle(total + c.data, c.dtype.scalar)

    monkeypatch.setattr(interpreter.InterpreterBuilder, "create_dot", dot)


@pytest.fixture
def attend(device: torch.device) -> Callable[..., torch.Tensor]:
    """attend(step, window, soft_cap=, shares=, processors=, fixed_split=): a step of `steps`
    through the interface's parts, into an output full of NaN: [tokens, heads * head_dim] on the
    CPU. shares: some keys must have been read once for several sequences."""

    def attend(
        step: Any,
        window: int | None = None,
        soft_cap: float | None = None,
        shares: bool = False,
        **options: Any,
    ) -> torch.Tensor:
        _, heads, head_dim = step.q.shape
        machine = Machine(heads, step.k.shape[1], head_dim, **({"processors": 8} | options))
        attention = TritonAttention(machine, soft_cap)
        layer_kv = LayerKV(step.layer_kv.heads.to(device))
        plan = attention.plan(batch_on(device, step.batch))
        q, k, v = (x.to(device) for x in (step.q, step.k, step.v))
        attention.store_kv(k, v, layer_kv, plan)
        out = torch.full_like(q, torch.nan)
        attention.decode_attention(q, layer_kv, plan, window, out)
        attention.extend_attention(q, layer_kv, plan, window, out)
        step.layer_kv.heads.copy_(layer_kv.heads)
        work = plan.decode(window)
        assert (work is not None and len(work.launches) > 1) == shares
        return out.flatten(1).cpu()

    return attend


def batch_on(device: torch.device, batch: ForwardBatch) -> ForwardBatch:
    return dataclasses.replace(
        batch,
        positions=batch.positions.to(device),
        new_slots=batch.new_slots.to(device),
        context_slots=[slots.to(device) for slots in batch.context_slots],
        host_slots=[slots.numpy() for slots in batch.context_slots],
    )
