"""Work that a thread of the library does in order, while the caller goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from branchline.runtime.kernels.cpu.library import CpuKernels
from branchline.runtime.kernels.cpu.queue import CpuQueue
from branchline.runtime.kernels.cpu.sampler import CpuSampler
from branchline.runtime.protocol import SamplingParams
from branchline.runtime.sampling import SamplingState, of_drawn, sample


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_work_is_done_in_the_order_in_which_it_was_added(kernels: CpuKernels, threads: int) -> None:
    queue = CpuQueue(kernels.library)
    values = torch.arange(64)
    turned = torch.arange(64).roll(1)
    made = [values]
    for _ in range(500):
        made.append(queue.pick(made[-1], turned))
    queue.drain()
    assert all(torch.equal(each, values.roll(i)) for i, each in enumerate(made))


def test_who_waits_for_some_work_does_not_wait_for_what_was_added_since(
    kernels: CpuKernels,
) -> None:
    queue = CpuQueue(kernels.library)
    zero = torch.zeros(1, dtype=torch.int64)
    first = queue.pick(torch.tensor([7]), zero)
    mark = queue.mark()
    later = [queue.pick(first, zero) for _ in range(100)]
    queue.wait(mark)
    assert first.item() == 7
    queue.drain()
    queue.wait(mark)  # long since done
    assert [each.item() for each in later] == [7] * 100


def test_who_waits_does_what_nobody_has_begun(kernels: CpuKernels) -> None:
    """The queue's thread may have to wait for a core; of so many it is not always the first."""
    queue = CpuQueue(kernels.library)
    values, turned = torch.arange(64), torch.arange(64).roll(1)
    made = [values]
    for _ in range(5_000):
        made.append(queue.pick(made[-1], turned))
        queue.drain()
    assert queue.num_taken > 0
    assert all(torch.equal(each, values.roll(i)) for i, each in enumerate(made))


def test_it_is_busy_as_long_as_work_is_left(kernels: CpuKernels) -> None:
    queue = CpuQueue(kernels.library)
    assert not queue.is_busy
    values, turned = torch.arange(64), torch.arange(64).roll(1)
    seen = []
    for _ in range(5_000):
        queue.pick(values, turned)
        seen.append(queue.is_busy)
    assert any(seen)
    queue.drain()
    assert not queue.is_busy


@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_queued_drawing_gives_what_drawing_at_once_gives(
    kernels: CpuKernels, threads: int, temperature: float
) -> None:
    # So many that several threads are asked for.
    logits = torch.randn(24, 20_000, generator=torch.Generator().manual_seed(1))
    wanted = [SamplingParams(temperature=temperature, top_p=0.9, seed=i) for i in range(24)]
    states = [SamplingState(params, [], logits.shape[1]) for params in wanted]
    sampler, queue = CpuSampler(kernels), CpuQueue(kernels.library)
    sampler.load(states)
    queued = [sampler.queue(logits, queue) for _ in range(5)]
    queue.drain()
    expected = sampler.launch(logits)
    assert all(torch.equal(each, expected) for each in queued)


@pytest.mark.parametrize("vocab", [1, 63, 700, 4_099])
def test_the_first_of_the_likeliest_is_found_whatever_stands_beside_it(
    kernels: CpuKernels, vocab: int
) -> None:
    logits = torch.randn(40, vocab, generator=torch.Generator().manual_seed(vocab))
    logits[10:30] = logits[10:30].round()  # many are equal
    logits[30:33, vocab // 2] = torch.tensor([torch.nan, torch.inf, -torch.inf])
    logits[33] = -torch.inf
    logits[34, : vocab // 2] = -torch.inf
    logits[35] = -3e38  # their sum overflows
    states = [SamplingState(SamplingParams(temperature=0.0), [], vocab) for _ in logits]
    sampler, queue = CpuSampler(kernels), CpuQueue(kernels.library)
    sampler.load(states)
    queued = sampler.queue(logits, queue)
    queue.drain()
    expected = sample(logits, states)
    found = of_drawn(queued.tolist())
    assert (found.token_ids, found.failures) == (expected.token_ids, expected.failures)


def test_closing_waits_for_all_that_was_added(kernels: CpuKernels) -> None:
    queue = CpuQueue(kernels.library)
    made = torch.tensor([5, 6])
    swap = torch.tensor([1, 0])
    for _ in range(301):
        made = queue.pick(made, swap)
    queue.close()
    assert made.tolist() == [6, 5]
