"""The experts' MLPs against a float64 loop over tokens and their experts."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from branchline.runtime.kernels.triton.moe import expert_mlp

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
    ours = expert_mlp(*(t.to(device) for t in (x, gate_up, down, ids, shares)))
    exact = expected(x, gate_up, down, ids, shares)
    close = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}
    torch.testing.assert_close(ours.double().cpu(), exact, **close)


def test_all_tokens_may_choose_the_same_expert(device: torch.device) -> None:
    x, gate_up, down = randn(20, 16, seed=1), randn(5, 24, 16, seed=2), randn(5, 16, 12, seed=3)
    ids, shares = torch.full((20, 1), 3), torch.ones(20, 1)
    ours = expert_mlp(*(t.to(device) for t in (x, gate_up, down, ids, shares)))
    exact = expected(x, gate_up, down, ids, shares)
    torch.testing.assert_close(ours.double().cpu(), exact, rtol=1e-5, atol=1e-4)


def test_a_token_s_result_does_not_depend_on_the_tokens_beside_it(device: torch.device) -> None:
    x, gate_up, down = randn(9, 16, seed=1), randn(4, 24, 16, seed=2), randn(4, 16, 12, seed=3)
    ids, shares = choose(9, 4, 2)
    weights = (gate_up.to(device), down.to(device))
    together = expert_mlp(x.to(device), *weights, ids.to(device), shares.to(device))
    alone = expert_mlp(x[4:5].to(device), *weights, ids[4:5].to(device), shares[4:5].to(device))
    assert torch.equal(alone[0], together[4])


def test_weights_that_do_not_fit_are_refused(device: torch.device) -> None:
    ids = torch.zeros(2, 1, dtype=torch.int64, device=device)
    with pytest.raises(ValueError, match="do not fit"):
        expert_mlp(
            torch.zeros(2, 8, device=device),
            torch.zeros(3, 12, 8, device=device),
            torch.zeros(3, 8, 5, device=device),
            ids,
            ids.float(),
        )
