"""Linear layers with packed weights against float64."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest
import torch

from branchline.runtime.engine.config import Quantization
from branchline.runtime.engine.heartbeat import Heartbeat, Pulse
from branchline.runtime.kernels.cpu.library import CpuKernels, load_kernels
from branchline.runtime.kernels.cpu.linear import PackedLinear

# Relative to the result, which is rounded once in bfloat16, and to the norm of what is summed.
TOLERANCE = {torch.float32: (1e-6, 4e-6), torch.bfloat16: (4e-3, 4e-6)}
SHAPES = [(1, 2), (16, 32), (17, 33), (33, 30), (50, 264), (272, 900)]
ROWS = [1, 2, 4, 5, 15, 16, 17, 31, 33, 64, 130, 500]


def randn(*shape: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7)).to(dtype)


def pack(kernels: CpuKernels, weight: torch.Tensor) -> PackedLinear:
    packed = kernels.pack_linear(weight)
    assert packed is not None
    return packed


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("outputs", "inputs"), SHAPES)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_products_match_the_definition(
    kernels: CpuKernels, dtype: torch.dtype, outputs: int, inputs: int, threads: int
) -> None:
    torch.set_num_threads(threads)
    weight = randn(outputs, inputs, dtype=torch.bfloat16).to(dtype)
    packed = pack(kernels, weight)
    for rows in ROWS:
        x, bias = randn(rows, inputs, dtype=dtype) * 3, randn(outputs, dtype=dtype)
        residual = randn(rows, outputs, dtype=dtype)
        product = x.double() @ weight.double().T
        rtol, atol = TOLERANCE[dtype]
        if rows > packed.most_rows:  # torch rounds before it adds
            rtol *= 2
        atol *= 3 * inputs**0.5
        for ours, expected in (
            (packed(x), product),
            (packed(x, bias), product + bias.double()),
            (packed.add_to(residual.clone(), x, bias), product + bias.double() + residual.double()),
        ):
            assert ours.dtype is dtype
            # What a bfloat16 residual is added to was rounded where torch multiplies.
            slack = 4e-3 * product.abs().max() if rows > packed.most_rows and rtol > 1e-3 else 0
            torch.testing.assert_close(ours.double(), expected, rtol=rtol, atol=atol + float(slack))


@pytest.mark.parametrize("outputs", [40, 64])
def test_logits_come_out_in_float32_and_nothing_beside_them(
    kernels: CpuKernels, outputs: int
) -> None:
    weight, x = (randn(n, 96, dtype=torch.bfloat16) for n in (outputs, 66))
    packed = pack(kernels, weight)
    expected = x.double() @ weight.double().T
    for rows in (1, 3, 15, 16, 17, 32, 33, 47, 48, 49, 63, 64, 65):
        around = torch.full((rows + 32, outputs), torch.nan)
        logits = around[16:-16]
        kernels.linear(x[:rows], packed, None, logits, False)
        torch.testing.assert_close(logits.double(), expected[:rows], rtol=1e-6, atol=6e-5)
        assert around[:16].isnan().all()
        assert around[-16:].isnan().all()
    assert packed(x[:3], None, torch.float32).dtype is torch.float32


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_rows_of_the_weight_are_those_that_were_packed(
    kernels: CpuKernels, dtype: torch.dtype
) -> None:
    weight = randn(37, 70, dtype=torch.bfloat16).to(dtype)
    ids = torch.tensor([36, 0, 17, 17, 31])
    assert torch.equal(pack(kernels, weight).rows(ids, dtype), weight[ids])


@pytest.mark.parametrize("row", [-1, 37])
def test_a_row_that_there_is_not_is_refused(kernels: CpuKernels, row: int) -> None:
    with pytest.raises(IndexError, match="there is not"):
        pack(kernels, randn(37, 64, dtype=torch.bfloat16)).rows(torch.tensor([row]), torch.bfloat16)


def test_a_float32_weight_that_bfloat16_would_change_is_left_to_torch(
    kernels: CpuKernels,
) -> None:
    assert kernels.pack_linear(torch.full((16, 32), 1.0 + 2**-12)) is None


def test_an_input_of_another_width_is_refused(kernels: CpuKernels) -> None:
    packed = pack(kernels, randn(16, 32, dtype=torch.bfloat16))
    with pytest.raises(ValueError, match="do not fit"):
        packed(randn(2, 33, dtype=torch.bfloat16))


def test_torch_and_our_tiles_take_turns(kernels: CpuKernels) -> None:
    """Both configure the same tile registers; neither may disturb the other."""
    weight, x = randn(96, 160, dtype=torch.bfloat16), randn(40, 160, dtype=torch.bfloat16)
    packed = pack(kernels, weight)
    first = torch.nn.functional.linear(x, weight)
    for rows in (40, 3, 40):
        ours = packed(x[:rows])
        again = torch.nn.functional.linear(x, weight)
        torch.testing.assert_close(again, first, rtol=0, atol=0)
        torch.testing.assert_close(ours, first[:rows], rtol=8e-3, atol=1e-3)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_a_row_does_not_depend_on_the_rows_beside_it(
    kernels: CpuKernels, dtype: torch.dtype
) -> None:
    packed = pack(kernels, randn(70, 600, dtype=torch.bfloat16).to(dtype))
    x = randn(500, 600, dtype=dtype)
    together = packed(x[: packed.most_rows])
    for start, stop in ((0, 1), (1, 4), (5, 12), (40, 57), (64, 128), (170, 479)):
        if stop <= len(together):
            assert torch.equal(packed(x[start:stop]), together[start:stop])


def test_more_threads_than_cores_lose_no_part_and_change_no_bit(kernels: CpuKernels) -> None:
    linear = pack(kernels, randn(1024, 512, dtype=torch.bfloat16))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        inputs = [randn(rows, 512, dtype=torch.bfloat16) for rows in range(1, 33)]
        alone = [linear(x) for x in inputs]
        torch.set_num_threads(7)
        for _ in range(4):
            for x, expected in zip(inputs, alone, strict=True):
                assert torch.equal(linear(x), expected)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("quantization", ["none", "int8", "int4"])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_gates_meet_what_they_let_through_to_the_bit(
    kernels: CpuKernels, dtype: torch.dtype, quantization: Quantization
) -> None:
    """As the product in float32 and silu of it do one after the other. Halves that are not whole
    blocks have no way of their own, nor up to four rows, quantized weights as bytes, and on tiles
    int4 and up to 64 rows of anything but bfloat16."""
    is_on_tiles = kernels.level == "amx"
    can_gate = {"amx": quantization != "int4", "portable": True}
    has_a_way = can_gate.get(kernels.level, quantization == "none")
    kernels = CpuKernels(kernels.library, kernels.level, quantization)
    seen = []
    for outputs, inputs in ((64, 30), (320, 900), (832, 200), (4096, 96), (96, 64), (24, 64)):
        packed = pack(kernels, randn(outputs, inputs, dtype=torch.bfloat16).to(dtype))
        more_rows = (600,) if inputs == 900 else ()  # in chunks
        for rows in (1, 2, 15, 16, 17, 31, 32, 33, 48, 49, 64, 65, 81, 130, *more_rows):
            x = randn(rows, inputs, dtype=dtype) * 3
            around = torch.full((rows + 32, outputs // 2), torch.nan, dtype=dtype)
            ours = around[16:-16]
            for threads in (1, 2):
                failed = kernels.library.bl_linear(
                    kernels.level_address,
                    rows,
                    inputs,
                    outputs,
                    *packed.storage,
                    x.data_ptr(),
                    *packed.pointers,
                    None,
                    ours.data_ptr(),
                    dtype is torch.bfloat16,
                    False,
                    dtype is torch.bfloat16,
                    True,
                    threads,
                )
                takes_rows = rows > 4
                if is_on_tiles:
                    plain = dtype is torch.bfloat16 and quantization == "none"
                    takes_rows = plain or rows > 64
                assert failed == (0 if has_a_way and takes_rows and outputs % 32 == 0 else 2)
                if failed:
                    continue
                whole = torch.empty(rows, outputs)
                kernels.linear(x, packed, None, whole, False)
                expected = kernels.silu_mul(whole).to(dtype)
                torch.testing.assert_close(ours, expected, rtol=0, atol=0)
                assert around[:16].isnan().all()
                assert around[-16:].isnan().all()
                seen.append(rows)
    assert bool(seen) == has_a_way


@pytest.mark.parametrize("threads", [1, 2])
def test_a_long_product_counts_its_pieces_as_they_are_done(threads: int, tmp_path: Path) -> None:
    """R9: no product is as long as what counts as a hang, however few threads there are."""
    kernels = load_kernels()
    if kernels.linear_rows < 512:
        pytest.skip("this processor leaves them to torch")
    pulse = Pulse(tmp_path / "pulse")
    number = ctypes.c_uint64.from_address(Heartbeat(pulse.path).work_address())
    assert kernels.count_at(ctypes.addressof(number))
    packed = pack(kernels, torch.zeros(16_384, 1_024, dtype=torch.bfloat16))
    torch.set_num_threads(threads)
    counts = []
    for rows in (496, 512):  # 8.3 and 8.6 billion products; 16 rows are packed at a time
        before = number.value
        packed(randn(rows, 1_024, dtype=torch.bfloat16))
        counts.append(number.value - before)
    if threads == 1:
        assert counts == [31 + 2, 32 + 2]
    assert pulse.moved()
    pulse.close()
