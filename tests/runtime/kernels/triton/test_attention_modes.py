"""Types, soft caps, the deterministic mode, fixed plans, and what Triton's attention refuses."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import numpy as np
import pytest
import torch

from branchline.runtime.engine.batch import ForwardBatch
from branchline.runtime.kernels.torch_attention import TorchAttention
from branchline.runtime.kernels.triton import tree_decode
from branchline.runtime.kernels.triton.attention import TritonAttention
from branchline.runtime.kernels.triton.work import Machine
from branchline.runtime.memory.kv_pool import LayerKV


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sharing pays at once, as on a machine that launches and merges for nothing."""
    monkeypatch.setattr(tree_decode, "_LAUNCH_BYTES", 0)
    monkeypatch.setattr(tree_decode, "_LEAST_GAIN", 0.0)
    monkeypatch.setattr(tree_decode, "_PARTIAL", 0.0)


def some_step(steps: Any, **options: Any) -> Any:
    """Two decoding sequences, an extending one."""
    contexts = steps.contexts(random.Random(1), [90, 200, 70])
    return steps.make([1, 1, 20], contexts, **({"head_dim": 16} | options))


def close(ours: torch.Tensor, naive: torch.Tensor, atol: float) -> None:
    torch.testing.assert_close(ours.double(), naive, rtol=0, atol=atol)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_halves_match_the_definition(steps: Any, attend: Any, dtype: torch.dtype) -> None:
    step = some_step(steps, dtype=dtype)
    close(attend(step), steps.naive(step, None), atol=2e-2)


def test_keys_and_values_in_float8_match_the_definition(steps: Any, attend: Any) -> None:
    step = some_step(steps, dtype=torch.bfloat16)
    step.v[0, 0, 0] = 1e4  # more than float8 holds
    rounded = step.layer_kv.heads.to(torch.float8_e4m3fn)
    step.layer_kv = LayerKV(rounded)
    ours = attend(step)
    assert step.layer_kv.v[step.batch.new_slots[0], 0, 0].item() == 448.0
    close(ours, steps.naive(step, None), atol=4e-2)


def test_heads_of_256_match_the_definition(steps: Any, attend: Any) -> None:
    step = some_step(steps, heads=2, kv_heads=1, head_dim=256, dtype=torch.float32)
    close(attend(step), steps.naive(step, None), atol=1e-5)


def test_large_scores_do_not_overflow(steps: Any, attend: Any) -> None:
    step = some_step(steps, dtype=torch.float32)
    step.q.mul_(200.0)
    close(attend(step), steps.naive(step, None), atol=2e-3)


def test_soft_capped_scores_match_the_definition(steps: Any, attend: Any) -> None:
    step = some_step(steps, heads=1, kv_heads=1, dtype=torch.float32)
    step.q.mul_(30.0)
    ours = attend(step, soft_cap=5.0).double()
    token = 0
    for length, slots in zip(step.batch.query_lens, step.batch.context_slots, strict=True):
        for position in range(len(slots) - length, len(slots)):
            k, v = (
                x[slots[: position + 1], 0].double() for x in (step.layer_kv.k, step.layer_kv.v)
            )
            scores = 5.0 * torch.tanh(k @ step.q[token, 0].double() / 4.0 / 5.0)
            close(ours[token], scores.softmax(0) @ v, atol=1e-5)
            token += 1


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("window", [None, 100])
def test_in_the_deterministic_mode_company_and_cuts_change_no_bit(
    steps: Any, attend: Any, window: int | None
) -> None:
    shared, *own = steps.contexts(random.Random(2), [150, 30, 8, 100])
    contexts = [shared + slots for slots in own]
    step = steps.make([1, 1, 1], contexts, dtype=torch.float32, head_dim=16)
    mode = {"window": window, "fixed_split": 64}
    together = attend(step, shares=True, **mode)

    def only_first(tokens: int) -> Any:
        """The first sequence, whose last `tokens` tokens come together."""
        slots = torch.tensor(contexts[0])
        batch = dataclasses.replace(
            step.batch,
            positions=torch.arange(len(slots) - tokens, len(slots)),
            new_slots=slots[-tokens:],
            query_lens=[tokens],
            context_slots=[slots],
        )
        k, v = step.layer_kv.k[slots[-tokens:]], step.layer_kv.v[slots[-tokens:]]
        q = torch.cat((torch.zeros(tokens - 1, *step.q.shape[1:]), step.q[:1]))
        return dataclasses.replace(step, batch=batch, q=q, k=k, v=v)

    alone = attend(only_first(1), **mode)
    extended = attend(only_first(25), **mode)
    assert torch.equal(alone[0], together[0])
    assert torch.equal(extended[-1], together[0])


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("shares", [False, True])
def test_a_fixed_plan_serves_one_step_after_another(
    steps: Any, device: torch.device, shares: bool
) -> None:
    attention = TritonAttention(Machine(4, 2, 8, processors=8))
    shared, *own = steps.contexts(random.Random(3), [200, 30, 8, 70, 1])
    contexts = [shared + slots for slots in own]
    full = steps.make([1] * 4, contexts, dtype=torch.float32)
    room = attention.fixed_plan(full.batch, 512, [None, 50], shares=shares)
    for count, window in ((4, None), (2, 50), (3, None)):
        step = steps.make([1] * count, contexts[:count], dtype=torch.float32, seed=count)
        host = [slots.numpy() for slots in step.batch.context_slots]
        on_device = [slots.to(device) for slots in step.batch.context_slots]
        batch = dataclasses.replace(step.batch, context_slots=on_device, host_slots=host)
        attention.refill(room, batch)
        step.layer_kv.k[step.batch.new_slots] = step.k
        step.layer_kv.v[step.batch.new_slots] = step.v
        out = torch.zeros(4, 4, 8, device=device)
        q = torch.zeros(4, 4, 8, device=device)
        q[:count] = step.q.to(device)
        layer_kv = LayerKV(step.layer_kv.heads.to(device))
        attention.decode_attention(q, layer_kv, room, window, out)
        assert len(room.decode(window).launches) == 1 + shares
        close(out[:count].flatten(1).cpu(), steps.naive(step, window), atol=1e-5)
        assert not out[count:].any()


def decoding(slots: list[Any]) -> ForwardBatch:
    where = torch.arange(len(slots))
    contexts = [torch.from_numpy(own) for own in slots]
    return ForwardBatch(where, where, where, [1] * len(slots), contexts, where, slots)


@pytest.mark.parametrize(("shared", "pays"), [(0, False), (60, False), (4000, True)])
def test_a_step_asks_for_the_room_of_a_tree_only_where_one_is_read(shared: int, pays: bool) -> None:
    attention = TritonAttention(Machine(32, 8, 128, processors=132))
    host = [np.r_[:shared, 5000 + 90 * i : 5090 + 90 * i] for i in range(6)]
    assert attention.reads_shared(decoding(host), [None, 50]) == pays


def test_another_tree_is_another_input_of_a_fixed_plan_in_the_same_place() -> None:
    """So a captured step need not be left for another tree: it is read where the graph looks."""
    attention = TritonAttention(Machine(32, 8, 128, processors=132))
    # Two trees: a trunk of all, and two of three sequences each.
    lone, pairs = np.arange(4000), (np.arange(4000), np.arange(5000, 9000))
    trees = [[lone] * 6, [pairs[i // 3] for i in range(6)]]
    host = [[np.append(trunk, 10_000 + i) for i, trunk in enumerate(tree)] for tree in trees]
    room: Any = attention.fixed_plan(decoding(host[0]), 8192, [None], shares=True)

    def places() -> list[int]:
        work = room.decode(None)
        tables = [table for launch in work.launches for table in (launch.items, launch.queries)]
        return [table.data_ptr() for table in (*tables, work.merges, *work.partials)]

    before, members = places(), []
    for slots in host:
        attention.refill(room, decoding(slots))
        items = room.decode(None).launches[0].items
        members.append(sorted(set(items[items[:, 2] > 0][:, 4].tolist())))
        assert places() == before
    assert members == [[6], [3]]


def test_a_fixed_plan_refuses_steps_that_extend(steps: Any) -> None:
    attention = TritonAttention(Machine(4, 2, 8, processors=8))
    room = attention.fixed_plan(steps.make([1], [[5]]).batch, 512, [None], shares=False)
    with pytest.raises(ValueError, match="one new token each"):
        attention.refill(room, steps.make([2], [[5, 6]]).batch)


def test_rotating_and_attending_give_what_torch_gives(steps: Any, device: torch.device) -> None:
    contexts = steps.contexts(random.Random(4), [40, 30])
    step = steps.make([1, 6], contexts, dtype=torch.float32)
    generator = torch.Generator().manual_seed(1)
    qkv = torch.randn(7, 8, 8, generator=generator)
    cos, sin = (torch.randn(7, 1, 8, generator=generator) for _ in range(2))
    results = []
    for attention, place in (
        (TorchAttention(4, 2, 8), torch.device("cpu")),
        (TritonAttention(Machine(4, 2, 8, processors=8)), device),
    ):
        batch = dataclasses.replace(
            step.batch,
            positions=step.batch.positions.to(place),
            new_slots=step.batch.new_slots.to(place),
            context_slots=[slots.to(place) for slots in step.batch.context_slots],
        )
        layer_kv = LayerKV(step.layer_kv.heads.to(place, copy=True))
        inputs = [x.to(place, copy=True) for x in (qkv, cos, sin)]
        plan: Any = attention.plan(batch)
        results.append(attention.attend_qkv(*inputs, layer_kv, plan, None).cpu())
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=1e-5)


def test_strided_queries_that_are_not_whole_heads_are_refused(steps: Any, attend: Any) -> None:
    step = some_step(steps, dtype=torch.float32)
    step.q = step.q.repeat(1, 1, 2)[..., ::2]
    with pytest.raises(ValueError, match="contiguous"):
        attend(step)
