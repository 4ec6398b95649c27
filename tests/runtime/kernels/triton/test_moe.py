"""The experts' MLPs against a float64 loop over tokens and their experts, of weights as they are
and rounded."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from stored_weights import weight_of

from branchline.runtime.kernels.triton import moe
from branchline.runtime.kernels.triton.experts import TritonExperts
from branchline.runtime.kernels.triton.ops import TritonOps
from branchline.runtime.kernels.triton.packing import Quantized

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 3e-2}


def randn(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def expected(
    x: torch.Tensor,
    gate_up: torch.Tensor,
    down: torch.Tensor,
    expert_ids: torch.Tensor,
    shares: torch.Tensor,
) -> torch.Tensor:
    out = torch.zeros(x.shape, dtype=torch.float64)
    for token, (ids, parts) in enumerate(zip(expert_ids.tolist(), shares.tolist(), strict=True)):
        for expert, share in zip(ids, parts, strict=True):
            gate, up = (gate_up[expert].double() @ x[token].double()).chunk(2)
            out[token] += share * (down[expert].double() @ (F.silu(gate) * up))
    return out


def experts_of(
    device: torch.device, gate_up: torch.Tensor, down: torch.Tensor, quantization: str = "none"
) -> TritonExperts:
    each = zip(gate_up.to(device), down.to(device), strict=True)
    return TritonOps(quantization).pack_experts(each)


def run(
    device: torch.device,
    experts: TritonExperts,
    x: torch.Tensor,
    ids: torch.Tensor,
    shares: torch.Tensor,
) -> torch.Tensor:
    """What is added to a residual of ones."""
    x = x.to(device)
    out = experts.add_to(torch.ones_like(x), x, ids.to(device), shares.to(device))
    return out.double().cpu() - 1.0


def choose(tokens: int, experts: int, choices: int) -> tuple[torch.Tensor, torch.Tensor]:
    probabilities, ids = randn(tokens, experts, seed=4).softmax(1).topk(choices, 1)
    return ids, probabilities


@pytest.mark.parametrize(
    ("tokens", "experts", "choices", "hidden", "size"),
    [(1, 8, 2, 40, 70), (5, 4, 2, 100, 33), (70, 3, 2, 24, 20)],
)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_each_token_gets_its_experts_sum(
    device: torch.device,
    dtype: torch.dtype,
    tokens: int,
    experts: int,
    choices: int,
    hidden: int,
    size: int,
) -> None:
    x = randn(tokens, hidden, seed=1).to(dtype)
    gate_up = (randn(experts, 2 * size, hidden, seed=2) / hidden**0.5).to(dtype)
    down = (randn(experts, hidden, size, seed=3) / size**0.5).to(dtype)
    ids, shares = choose(tokens, experts, choices)
    ours = run(device, experts_of(device, gate_up, down), x, ids, shares)
    exact = expected(x, gate_up, down, ids, shares)
    close = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}
    torch.testing.assert_close(ours, exact, **close)


@pytest.mark.parametrize("quantization", ["int8", "int4", "int4-64", "int4-128", "fp8"])
@pytest.mark.parametrize(("tokens", "hidden", "size"), [(3, 200, 70), (40, 128, 136)])
def test_rounded_experts_give_what_their_weights_stand_for(
    device: torch.device, quantization: str, tokens: int, hidden: int, size: int
) -> None:
    x = randn(tokens, hidden, seed=1)
    gate_up = randn(4, 2 * size, hidden, seed=2) / hidden**0.5
    down = randn(4, hidden, size, seed=3) / size**0.5
    ids, shares = choose(tokens, 4, 2)
    experts = experts_of(device, gate_up, down, quantization)
    rounded = [whole(weight) for weight in (experts.gate_up, experts.down)]
    assert 0 < (rounded[0] - gate_up).abs().max() < 0.3
    ours = run(device, experts, x, ids, shares)
    exact = expected(x, rounded[0], rounded[1], ids, shares)
    torch.testing.assert_close(ours, exact, rtol=1e-4, atol=1e-4)


def whole(experts: Quantized) -> torch.Tensor:
    """The weights that rounded ones stand for, [experts, outputs, inputs]."""
    each = zip(experts.codes, experts.scales, strict=True)
    return torch.stack(
        [weight_of(dataclasses.replace(experts, codes=c, scales=s)) for c, s in each]
    )


def test_pairs_are_sorted_by_expert_and_each_block_is_of_one(device: torch.device) -> None:
    ids, _ = choose(50, 7, 3)
    block_m, most_blocks = 16, 150 // 16 + 7
    sorted_pairs = moe._sort(ids.flatten().to(device), 7, block_m, most_blocks)
    experts_of, ends, blocks, starts, counts, order = (each.cpu() for each in sorted_pairs)
    assert sorted(order.tolist()) == list(range(150))
    assert ids.flatten()[order].diff().ge(0).all()
    places = []
    for block, expert in enumerate(experts_of.tolist()):
        if expert == 7:
            continue
        first = int(starts[expert]) + (block - int(ends[expert] - blocks[expert])) * block_m
        last = min(first + block_m, int(starts[expert] + counts[expert]))
        assert set(ids.flatten()[order[first:last]].tolist()) == {expert}
        places += range(first, last)
    assert sorted(places) == list(range(150))


@pytest.mark.parametrize("experts", [2, 12])
def test_all_experts_of_a_layer_are_three_launches(
    device: torch.device, monkeypatch: pytest.MonkeyPatch, experts: int
) -> None:
    launched = []

    class Noted:
        def __init__(self, name: str) -> None:
            self.name, self.kernel = name, getattr(moe, name)

        def __getitem__(self, grid: object) -> Any:
            launched.append(self.name)
            return self.kernel[grid]

    for name in ("_gate_up", "_down", "_add_choices"):
        monkeypatch.setattr(moe, name, Noted(name))
    x, gate_up, down = (
        randn(9, 16, seed=1),
        randn(experts, 24, 16, seed=2),
        randn(experts, 16, 12, seed=3),
    )
    run(device, experts_of(device, gate_up, down), x, *choose(9, experts, 2))
    assert launched == ["_gate_up", "_down", "_add_choices"]


def test_all_tokens_may_choose_the_same_expert(device: torch.device) -> None:
    x, gate_up, down = randn(20, 16, seed=1), randn(5, 24, 16, seed=2), randn(5, 16, 12, seed=3)
    ids, shares = torch.full((20, 1), 3), torch.ones(20, 1)
    ours = run(device, experts_of(device, gate_up, down), x, ids, shares)
    exact = expected(x, gate_up, down, ids, shares)
    torch.testing.assert_close(ours, exact, rtol=1e-5, atol=1e-4)


def test_a_token_s_result_does_not_depend_on_the_tokens_beside_it(device: torch.device) -> None:
    x, gate_up, down = randn(9, 16, seed=1), randn(4, 24, 16, seed=2), randn(4, 16, 12, seed=3)
    ids, shares = choose(9, 4, 2)
    experts = experts_of(device, gate_up, down)
    together = run(device, experts, x, ids, shares)
    alone = run(device, experts, x[4:5], ids[4:5], shares[4:5])
    assert torch.equal(alone[0], together[4])


def test_no_tokens_are_no_work(device: torch.device) -> None:
    experts = experts_of(device, torch.zeros(3, 12, 8), torch.zeros(3, 8, 6))
    ids = torch.zeros(0, 1, dtype=torch.int64)
    assert run(device, experts, torch.zeros(0, 8), ids, ids.float()).shape == (0, 8)


def test_weights_that_do_not_fit_are_refused(device: torch.device) -> None:
    experts = experts_of(device, torch.zeros(3, 12, 8), torch.zeros(3, 8, 5))
    ids = torch.zeros(2, 1, dtype=torch.int64)
    with pytest.raises(ValueError, match="do not fit"):
        run(device, experts, torch.zeros(2, 8), ids, ids.float())
