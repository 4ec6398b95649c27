"""A decode step in one call gives what its parts give one by one, to the bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from branchline.runtime.engine.batch import ForwardBatch
from branchline.runtime.kernels.cpu.library import LEVEL_VARIABLE, LEVELS
from branchline.runtime.kernels.torch_attention import TorchAttention

# A prompt beside another, then decoding, of which one call computes all.
STEPS = [
    [("a", list(range(5, 25))), ("b", [7])],
    [("a", [30]), ("b", [31]), ("c", [34])],
    [("a", [35]), ("b", [36]), ("c", [0]), ("d", [37])],
    [("b", [38])],
]


@pytest.mark.parametrize("level", LEVELS)
def test_one_call_gives_what_part_by_part_gives(
    pair: Any, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LEVEL_VARIABLE, level)
    assert_same(pair, dtype="bfloat16")


@pytest.mark.parametrize("quantization", ["int8", "int4"])
def test_it_does_with_rounded_weights_keys_and_values(make_pair: Any, quantization: str) -> None:
    assert_same(make_pair("llama"), dtype="float32", kv_dtype="int8", quantization=quantization)


def assert_same(pair: Any, **settings: str) -> None:
    whole, parts = pair.driver(**settings), pair.driver(**settings)
    if whole.runner.model.whole is None or isinstance(whole.runner.attention, TorchAttention):
        pytest.skip("not computed whole: by its family, or without C++ kernels at this level")
    taken = []
    run = whole.runner.model.whole
    whole.runner.model.whole = lambda *step: taken.append(run(*step)) or taken[-1]
    parts.runner.model.whole = None
    for step in STEPS:
        for ours, expected in zip(whole.step(*step), parts.step(*step), strict=True):
            torch.testing.assert_close(ours, expected, rtol=0, atol=0)
    assert [logits is not None for logits in taken] == [False, True, True, True]


def test_a_token_or_a_position_that_there_is_not_is_refused(make_pair: Any) -> None:
    driver = make_pair("llama").driver(dtype="bfloat16")
    if driver.runner.model.whole is None:
        pytest.skip("no C++ kernels here")
    with pytest.raises(IndexError, match="or a token too large"):
        driver.step(("a", [2**20]))
    slot = torch.tensor([0])
    beyond = ForwardBatch(slot, torch.tensor([2**20]), slot, [1], [slot], slot)
    with pytest.raises(IndexError, match="a position is not below"):
        driver.runner.forward(beyond)


def test_families_that_do_more_than_that_go_part_by_part(make_pair: Any) -> None:
    assert make_pair("gemma2").driver(dtype="bfloat16").runner.model.whole is None
