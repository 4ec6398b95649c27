"""Linear layers with weights in int8, int6 and int4 against float64, at every level."""

from __future__ import annotations

import ctypes
import mmap
import random
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from branchline.runtime.engine.config import Quantization
from branchline.runtime.kernels.cpu.library import CpuKernels
from branchline.runtime.kernels.cpu.linear import PackedLinear
from branchline.runtime.kernels.cpu.packing import Packed, Storage, pack, storage_of

STORAGES: list[tuple[Storage, int]] = [
    ("int8", 0),
    ("int6", 64),
    ("int4", 32),
    ("int4", 64),
    ("int4", 128),
]
LEAST = {"int8": -127, "int6": -32, "int4": -8}
DTYPES = [torch.float32, torch.bfloat16]
# Of the largest result: a bfloat16 one is rounded once.
TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 4e-3}

storages = pytest.mark.parametrize(("storage", "group"), STORAGES)


def randn(*shape: int, seed: int = 7) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def weight_of(packed: Packed) -> torch.Tensor:
    return packed.unpack(torch.arange(packed.outputs), torch.float64)


def rounded(x: torch.Tensor, group: int) -> torch.Tensor:
    """x as quantized weights see it: multiples of a 127th of the largest value of each row, or of
    each group of a row."""
    group = group or x.shape[1]
    groups = F.pad(x.float(), (0, -x.shape[1] % group)).view(len(x), -1, group)
    scale = (groups.abs().amax(2, keepdim=True) / 127).double()
    values = torch.where(scale > 0, (groups.double() / scale).round() * scale, 0.0)
    return values.flatten(1)[:, : x.shape[1]]


def made(kernels: CpuKernels, weight: torch.Tensor, storage: Storage, group: int) -> PackedLinear:
    if storage == "int6" and not kernels.has_int6:
        pytest.skip(f"level {kernels.level} does not have it")
    return PackedLinear(kernels, pack(weight, storage, group))


def inputs_seen(linear: PackedLinear, x: torch.Tensor) -> torch.Tensor:
    return x.double() if len(x) > linear.most_rows else rounded(x, linear.packed.group)


@storages
@pytest.mark.parametrize("dtype", DTYPES)
def test_products_of_random_odd_shapes_match_the_definition(
    kernels: CpuKernels, dtype: torch.dtype, storage: Storage, group: int
) -> None:
    rng = random.Random(f"{storage} {group}")
    for seed in range(12):
        # A few rows meet up to eight blocks of 16 outputs at a time.
        outputs, inputs = rng.randint(1, rng.choice([90, 600])), rng.randint(1, 400)
        rows = rng.choice([1, 1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33, 64, 150])
        torch.set_num_threads(rng.choice([1, 2]))
        linear = made(kernels, randn(outputs, inputs, seed=seed), storage, group)
        x = (randn(rows, inputs, seed=seed + 50) * 3).to(dtype)
        bias = randn(outputs, seed=seed + 99).to(dtype)
        product = inputs_seen(linear, x) @ weight_of(linear.packed).T
        # Where torch multiplies, the weight is rounded to bfloat16, too.
        slack = 4 if rows > linear.most_rows else 1
        # A tie of the inputs' rounding may fall either way: a step of one input.
        tie = (
            float(x.abs().max())
            / 127
            * float(linear.packed.unpack(torch.arange(outputs), torch.float32).abs().max())
        )
        for ours, expected in (
            (linear(x), product),
            (linear(x, bias), product + bias.double()),
            (linear.add_to(bias.expand(rows, -1).clone(), x), product + bias.double()),
            (linear(x, None, torch.float32), product),
        ):
            allowed = slack * TOLERANCE[dtype] * float(expected.abs().max()) + 1e-6
            torch.testing.assert_close(ours.double(), expected, rtol=0, atol=allowed + 2 * tie)


@storages
@pytest.mark.parametrize("rows", [1, 2, 3, 5, 70])
def test_sums_of_the_largest_bytes_fit(
    kernels: CpuKernels, storage: Storage, group: int, rows: int
) -> None:
    """Where two products, or some more, are added in 16 bits: all of one sign, the largest."""
    least = LEAST[storage]
    most = 127 if storage == "int8" else -least - 1
    weight = torch.full((40, 256), float(least))
    weight[1::2] = most
    weight[1::2, ::32] = least  # each group's largest
    linear = made(kernels, weight, storage, group)
    assert torch.equal(weight_of(linear.packed), weight.double())
    for sign in (1.0, -1.0):
        x = torch.full((rows, 256), sign * 127)
        x[::2, 1::3] *= -1
        assert torch.equal(linear(x).double(), x.double() @ weight.double().T)


@pytest.mark.parametrize(("storage", "group"), [("bf16", 0), ("float", 0), *STORAGES])
def test_words_lie_as_torch_would_lay_them(
    kernels: CpuKernels, storage: Storage, group: int
) -> None:
    for outputs, inputs in ((1, 1), (16, 128), (90, 70), (1000, 64), (5000, 33)):
        torch.set_num_threads(1 + outputs % 2)
        weight = randn(outputs, inputs)
        packed = pack(weight, storage, group, kernels.interleave)
        assert torch.equal(packed.words, pack(weight, storage, group).words)


@storages
@pytest.mark.parametrize("inputs", [32, 70, 896])
def test_a_layer_of_the_shapes_of_models_is_near_the_unrounded_one(
    kernels: CpuKernels, storage: Storage, group: int, inputs: int
) -> None:
    weight, x = randn(48, inputs), randn(5, inputs, seed=1)
    exact = x.double() @ weight.double().T
    error = made(kernels, weight, storage, group)(x).double() - exact
    # Normal numbers have the largest relative rounding errors: measured 0.011, 0.027 and 0.084 to
    # 0.101.
    most = {"int8": 0.016, "int6": 0.03, "int4": 0.095 + group / 5000}[storage]
    assert error.norm() / exact.norm() < most


def test_int8_loses_at_most_half_a_step() -> None:
    weight = randn(50, 77)
    step = weight.abs().amax(1, keepdim=True) / 127
    error = weight_of(pack(weight, "int8")) - weight
    assert (error.abs() <= 0.5001 * step).all()


@pytest.mark.parametrize(("storage", "group"), STORAGES[1:])
def test_groups_hold_what_so_many_steps_can_hold(storage: Storage, group: int) -> None:
    rng, least = torch.Generator().manual_seed(3), LEAST[storage]
    codes = torch.randint(least, -least, (21, 2 * group), generator=rng)
    codes[:, ::group] = least
    scales = torch.tensor([0.25, -2.0]).repeat_interleave(group)
    weight = codes * scales
    assert torch.equal(weight_of(pack(weight, storage, group)).float(), weight)


@storages
def test_zeros_stay_zeros(kernels: CpuKernels, storage: Storage, group: int) -> None:
    linear = made(kernels, torch.zeros(20, 40), storage, group)
    assert not linear(randn(3, 40)).any()
    linear = made(kernels, randn(20, 40), storage, group)
    assert not linear(torch.zeros(3, 40)).any()


@storages
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_what_is_not_finite_shows_in_its_row_and_nowhere_else(
    kernels: CpuKernels, storage: Storage, group: int, bad: float
) -> None:
    linear = made(kernels, randn(20, 70), storage, group)
    x = randn(3, 70)
    clean = linear(x)
    x[1, 33] = bad
    out = linear(x)
    assert not out[1].isfinite().any()
    assert torch.equal(out[[0, 2]], clean[[0, 2]])


@storages
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_does_not_depend_on_the_rows_beside_it(
    kernels: CpuKernels, dtype: torch.dtype, storage: Storage, group: int
) -> None:
    linear = made(kernels, randn(390, 200), storage, group)
    x = randn(64, 200).to(dtype)
    together = linear(x)
    few = [(3, 3 + rows) for rows in range(1, 10)]
    for start, stop in (*few, (0, 1), (5, 12), (40, 57), (31, 64)):
        assert torch.equal(linear(x[start:stop]), together[start:stop])


def at_an_end(tensor: torch.Tensor) -> torch.Tensor:
    """A copy, behind whose last byte no memory can be read."""
    page, length = mmap.PAGESIZE, tensor.numel() * tensor.element_size()
    end = -(-length // page) * page
    memory = mmap.mmap(-1, end + page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(address + end), ctypes.c_size_t(page), 0) == 0
    copy = torch.frombuffer(
        memory, dtype=tensor.dtype, count=tensor.numel(), offset=end - length
    ).view(tensor.shape)
    return copy.copy_(tensor)


@pytest.mark.parametrize(("storage", "group"), [("bf16", 0), ("float", 0), *STORAGES])
@pytest.mark.parametrize(("outputs", "inputs"), [(70, 100), (16, 64), (600, 33)])
def test_nothing_is_read_behind_a_weight(
    kernels: CpuKernels, storage: Storage, group: int, outputs: int, inputs: int
) -> None:
    """If something is, this process ends."""
    free = made(kernels, randn(outputs, inputs), storage, group)
    scales = None if free.packed.scales is None else at_an_end(free.packed.scales)
    linear = PackedLinear(
        kernels, replace(free.packed, words=at_an_end(free.packed.words), scales=scales)
    )
    for rows in (1, 2, 3, 5, 9, 17, 40, 70):
        x = randn(rows, inputs)
        assert torch.equal(linear(x), free(x))
    ids = torch.tensor([outputs - 1, 0])
    assert torch.equal(linear.rows(ids, torch.float32), free.rows(ids, torch.float32))


@storages
def test_rows_of_the_weight_come_back_one_by_one(storage: Storage, group: int) -> None:
    packed = pack(randn(37, 70), storage, group)
    ids = torch.tensor([36, 0, 17, 17])
    assert torch.equal(packed.unpack(ids, torch.float64), weight_of(packed)[ids])


@pytest.mark.parametrize(
    ("quantization", "layer", "vocabulary"),
    [
        ("none", ("bf16", 0), ("bf16", 0)),
        ("int8", ("int8", 0), ("int8", 0)),
        ("int4", ("int4", 32), ("int8", 0)),
        ("int4-128", ("int4", 128), ("int8", 0)),
    ],
)
def test_the_vocabulary_is_never_as_coarse_as_int4_and_a_router_as_it_was(
    quantization: str, layer: tuple[str, int], vocabulary: tuple[str, int]
) -> None:
    assert storage_of(quantization, "layer") == layer  # type: ignore[arg-type]
    assert storage_of(quantization, "vocabulary") == vocabulary  # type: ignore[arg-type]
    fine = ("int6", 64) if quantization.startswith("int4") else vocabulary
    assert storage_of(quantization, "vocabulary", has_int6=True) == fine  # type: ignore[arg-type]
    assert storage_of(quantization, "router") == ("bf16", 0)  # type: ignore[arg-type]


def test_kernels_quantize_what_they_pack(kernels: CpuKernels) -> None:
    own = CpuKernels(kernels.library, kernels.level, "int4-64")
    linear = own.pack_linear(randn(16, 64))
    head = own.pack_linear(randn(16, 64), "vocabulary")
    assert linear is not None
    assert head is not None
    assert (linear.packed.storage, linear.packed.group) == ("int4", 64)
    assert head.packed.storage == ("int6" if kernels.has_int6 else "int8")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("quantization", ["int8", "int4"])
def test_rows_of_an_embedding_are_unpacked_to_the_bit(
    kernels: CpuKernels, quantization: Quantization, dtype: torch.dtype
) -> None:
    own = CpuKernels(kernels.library, kernels.level, quantization)
    linear = own.pack_linear(torch.randn(70, 100), "vocabulary")
    assert linear is not None
    ids = torch.tensor([69, 0, 33, 33])
    assert torch.equal(linear.rows(ids, dtype), linear.packed.unpack(ids, dtype))
