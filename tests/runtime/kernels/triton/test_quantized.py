"""Quantized linear layers against float64 products with the weight as it was rounded."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from stored_weights import weight_of

from branchline.runtime.kernels.cpu import packing as cpu_packing
from branchline.runtime.kernels.float8 import float8_weight
from branchline.runtime.kernels.triton.fp8 import round_rows
from branchline.runtime.kernels.triton.packing import (
    Storage,
    as_it_is,
    from_float8,
    quantize,
)
from branchline.runtime.kernels.triton.quantized import MOST_ROWS, QuantizedLinear

STORAGES: list[tuple[Storage, int]] = [
    ("int8", 0),
    ("int4", 32),
    ("int4", 64),
    ("int4", 128),
    ("fp8", 0),
]
# Of the largest result. The interpreter cuts what a GPU rounds to bfloat16.
TOLERANCE = {torch.float32: 3e-6, torch.bfloat16: 8e-3}

storages = pytest.mark.parametrize(("storage", "group"), STORAGES)


def randn(*shape: int, seed: int = 7) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def near(ours: torch.Tensor, expected: torch.Tensor, dtype: torch.dtype) -> None:
    allowed = TOLERANCE[dtype] * float(expected.abs().max())
    torch.testing.assert_close(ours.double().cpu(), expected, rtol=0, atol=allowed)


@storages
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("rows", "outputs", "inputs"), [(1, 70, 130), (17, 33, 1030)])
def test_products_match_the_definition(
    device: torch.device,
    dtype: torch.dtype,
    storage: Storage,
    group: int,
    rows: int,
    outputs: int,
    inputs: int,
) -> None:
    linear = QuantizedLinear(quantize(randn(outputs, inputs).to(device), storage, group))
    x = (randn(rows, inputs, seed=1) * 3).to(dtype)
    bias = randn(outputs, seed=2).to(dtype)
    product = x.double() @ weight_of(linear.weight).T
    near(linear(x.to(device), bias.to(device)), product + bias.double(), dtype)


@storages
def test_a_residual_is_added_to_in_place(
    device: torch.device, storage: Storage, group: int
) -> None:
    linear = QuantizedLinear(quantize(randn(40, 200).to(device), storage, group))
    x, residual = randn(3, 200).to(device), randn(3, 40, seed=3).to(device)
    expected = residual.double().cpu() + x.double().cpu() @ weight_of(linear.weight).T
    assert linear.add_to(residual, x) is residual
    near(residual, expected, torch.float32)


@pytest.mark.parametrize(
    ("storage", "inputs"),
    [("plain", 200), ("int8", 200), ("int4", 200), ("fp8", 200), ("plain", 1030), ("fp8", 1030)],
)
def test_in_one_way_for_all_a_row_has_the_same_bits_in_any_company(
    device: torch.device, storage: str, inputs: int
) -> None:
    weight, x = randn(40, inputs).to(device), randn(70, inputs, seed=1).to(device)
    stored = (
        as_it_is(weight)
        if storage == "plain"
        else quantize(weight, storage, 32 * (storage == "int4"))
    )  # type: ignore[arg-type]
    linear = QuantizedLinear(stored, fixed=True)
    assert linear.parts == (1 if inputs == 200 else 2)
    exact = weight.double().cpu() if storage == "plain" else weight_of(stored)
    together = linear(x)
    near(together, x.double().cpu() @ exact.T, torch.float32)
    for rows in (slice(3, 4), slice(2, 9)):
        assert torch.equal(linear(x[rows]), together[rows])
    residual = torch.ones(70, 40, device=device)
    assert torch.equal(
        linear.add_to(residual.clone(), x)[5], linear.add_to(residual[:1], x[5:6])[0]
    )


def test_weights_as_they_are_give_their_rows_back(device: torch.device) -> None:
    weight = randn(9, 20).to(device)
    rows = QuantizedLinear(as_it_is(weight), fixed=True).rows(
        torch.tensor([8, 0], device=device), torch.float32
    )
    assert torch.equal(rows, weight[[8, 0]])


def test_many_rows_are_multiplied_by_the_same_weight(device: torch.device) -> None:
    linear = QuantizedLinear(quantize(randn(24, 150).to(device), "int4", 32))
    x, bias = randn(MOST_ROWS + 1, 150).to(device), randn(24, seed=4).to(device)
    near(linear(x, bias)[:5], linear(x[:5], bias).double().cpu(), torch.float32)
    residual = torch.ones(MOST_ROWS + 1, 24, device=device)
    near(linear.add_to(residual, x, bias), 1 + linear(x, bias).double().cpu(), torch.float32)


@pytest.mark.parametrize("adds", [False, True])
@pytest.mark.parametrize("whole", [False, True], ids=["squares", "whole"])
def test_many_rows_are_multiplied_in_fp8(device: torch.device, whole: bool, adds: bool) -> None:
    scales = torch.tensor(0.5) if whole else torch.rand(2, 2) + 0.5
    weight = from_float8(float8_weight(randn(150, 200).to(torch.float8_e4m3fn), scales))
    # Numbers that float8 has, with its largest in each row's 128 inputs: they are not rounded.
    x = randn(MOST_ROWS + 6, 200, seed=1).to(torch.float8_e4m3fn).float()
    x[:, [5, 190]] = 448.0
    bias = randn(150, seed=2)
    residual = torch.ones(len(x), 150, device=device) if adds else None
    expected = x.double() @ weight_of(weight).T + bias.double()
    linear = QuantizedLinear(
        dataclasses.replace(weight, codes=weight.codes.to(device), scales=weight.scales.to(device))
    )
    if residual is None:
        near(linear(x.to(device), bias.to(device)), expected, torch.float32)
    else:
        near(linear.add_to(residual, x.to(device), bias.to(device)), expected + 1, torch.float32)


def test_inputs_are_rounded_to_fp8_by_row_and_step(device: torch.device) -> None:
    x = randn(3, 200) * torch.tensor([[1e-3], [1.0], [1e4]])
    x[1, :128] = 0.0
    codes, scales = round_rows(x.to(device), 2)
    largest = torch.stack((x[:, :128].abs().amax(1), x[:, 128:].abs().amax(1)), 1)
    torch.testing.assert_close(scales.cpu(), largest / 448)
    assert not codes.float()[1, :128].any()
    assert not codes.float()[:, 200:].any()
    assert (codes.float().abs().cpu().view(3, 2, 128).amax(2)[largest > 0] == 448).all()


def test_logits_of_bfloat16_states_can_be_float32(device: torch.device) -> None:
    linear = QuantizedLinear(quantize(randn(40, 200).to(device), "int8"))
    x = randn(2, 200).to(torch.bfloat16)
    out = linear(x.to(device), None, torch.float32)
    assert out.dtype is torch.float32
    near(out, x.double() @ weight_of(linear.weight).T, torch.float32)


def test_a_row_does_not_depend_on_the_rows_beside_it(device: torch.device) -> None:
    linear = QuantizedLinear(quantize(randn(70, 1100).to(device), "int4", 64))
    assert linear.parts > 1
    x = randn(30, 1100).to(device)
    # Tiles of 32 rows in both cases; others may add up in another order.
    assert torch.equal(linear(x[7:29]), linear(x)[7:29])


@storages
def test_rows_of_the_weight_come_back_one_by_one(
    device: torch.device, storage: Storage, group: int
) -> None:
    linear = QuantizedLinear(quantize(randn(37, 300).to(device), storage, group))
    ids = torch.tensor([36, 0, 17, 17], device=device)
    rows = linear.rows(ids, torch.float32)
    assert torch.equal(rows.cpu(), weight_of(linear.weight)[ids.cpu()].float())


@pytest.mark.parametrize(("storage", "group"), STORAGES[:-1])
def test_a_gpu_rounds_weights_as_the_cpu_does(
    device: torch.device, storage: Storage, group: int
) -> None:
    weight = randn(30, 256)
    packed = cpu_packing.pack(weight, storage, group)  # type: ignore[arg-type]
    theirs = packed.unpack(torch.arange(30), torch.float64)
    ours = weight_of(quantize(weight.to(device), storage, group))
    torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=0)


def test_fp8_loses_what_four_bits_of_significand_lose() -> None:
    weight = randn(150, 300) * torch.linspace(1e-3, 1e3, 300)
    error = (weight_of(quantize(weight, "fp8")) - weight).abs()
    assert (error <= weight.abs() / 16 + weight.abs().max() * 3e-6).all()


@pytest.mark.parametrize("scales", [torch.tensor(0.25), torch.rand(2, 3) + 0.5])
def test_the_weights_of_fp8_checkpoints_are_taken_as_they_are(
    device: torch.device, scales: torch.Tensor
) -> None:
    codes = randn(140, 270).to(torch.float8_e4m3fn)
    whole = scales.expand(2, 3).repeat_interleave(128, 0).repeat_interleave(128, 1)
    expected = codes.double() * whole[:140, :270]
    linear = QuantizedLinear(from_float8(float8_weight(codes.to(device), scales.to(device))))
    x = randn(4, 270, seed=9)
    near(linear(x.to(device)), x.double() @ expected.T, torch.float32)
