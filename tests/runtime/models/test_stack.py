"""All layers in one call give what layer by layer gives; in bfloat16 with less of it rounded."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from branchline.runtime.kernels.cpu.library import LEVEL_VARIABLE, LEVELS
from branchline.runtime.kernels.torch_attention import TorchAttention

# Between logits whose deviation is 1, layer by layer rounding more: 0.08 at most was seen.
ROUNDING = 0.16
# (sequence, new tokens): a cold prompt beside another, decoding beside an extension, a long one.
STEPS = [
    [("a", list(range(5, 25))), ("b", [7])],
    [("a", [30]), ("b", [31, 32, 33]), ("c", [34])],
    [("a", [35]), ("b", [36]), ("c", [37])],
    [("d", list(range(100)))],
]


@pytest.mark.parametrize("level", LEVELS)
def test_one_call_gives_what_layer_by_layer_gives(
    pair: Any, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_alike(pair, level, "auto", monkeypatch)


@pytest.mark.parametrize("level", LEVELS)
def test_it_does_with_keys_and_values_in_int8(
    make_pair: Any, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_alike(make_pair("llama"), level, "int8", monkeypatch)


@pytest.mark.parametrize("variant", ["llama", "qwen3"])
def test_it_is_nearer_to_float32_than_layer_by_layer(
    make_pair: Any, variant: str, tmp_path: Path
) -> None:
    pair = make_pair(variant)
    model = copy.deepcopy(pair.reference).bfloat16()
    model.save_pretrained(tmp_path)
    rounded = type(pair)(model, tmp_path)
    exact, stacked, plain = (
        rounded.driver(dtype=dtype) for dtype in ("float32", "bfloat16", "bfloat16")
    )
    if stacked.runner.model.stack is None:
        pytest.skip("no C++ kernels here")
    for driver in (exact, plain):
        driver.runner.model.stack = driver.runner.model.whole = None
    prompt = ("a", list(range(5, 105)))
    (wanted,), (ours,), (theirs,) = (driver.step(prompt) for driver in (exact, stacked, plain))
    assert (ours - wanted).abs().mean() < 0.8 * (theirs - wanted).abs().mean()


def assert_alike(pair: Any, level: str, kv_dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LEVEL_VARIABLE, level)
    stacked = pair.driver(dtype="bfloat16", kv_dtype=kv_dtype)
    plain = pair.driver(dtype="bfloat16", kv_dtype=kv_dtype)
    if stacked.runner.model.stack is None or isinstance(stacked.runner.attention, TorchAttention):
        pytest.skip(f"no C++ kernels at level {level} here, or none for this attention")
    taken = []
    stack = stacked.runner.model.stack
    stacked.runner.model.stack = lambda *step: taken.append(stack(*step)) or taken[-1]
    plain.runner.model.stack = None
    stacked.runner.model.whole = plain.runner.model.whole = None
    for parts in STEPS:
        for ours, expected in zip(stacked.step(*parts), plain.step(*parts), strict=True):
            torch.testing.assert_close(ours, expected, rtol=0, atol=ROUNDING)
    assert taken[:3] == [True] * 3


def test_steps_that_torch_multiplies_faster_go_layer_by_layer(
    make_pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LEVEL_VARIABLE, "portable")
    driver = make_pair("llama").driver(dtype="bfloat16")
    if driver.runner.model.stack is None:
        pytest.skip("no C++ kernels here")
    model = driver.runner.model
    x = torch.zeros(65, 64, dtype=torch.bfloat16)
    assert not model.stack(x, driver.runner.kv_pool.layers, None, x, x, x)


def test_weights_that_stay_with_torch_are_not_stacked(make_pair: Any) -> None:
    assert make_pair("llama").driver(dtype="float32").runner.model.stack is None


def test_a_step_of_another_type_or_beyond_all_positions_is_refused(make_pair: Any) -> None:
    driver = make_pair("llama").driver(dtype="bfloat16")
    model = driver.runner.model
    if model.stack is None:
        pytest.skip("no C++ kernels here")
    seen: list[Any] = []
    stack = model.stack
    model.stack = lambda x, *rest: seen.append(rest) or stack(x, *rest)
    model.whole = None
    driver.step(("a", [1]))
    with pytest.raises(ValueError, match=r"torch\.bfloat16, x in torch\.float32"):
        stack(torch.zeros(1, 64), *seen[0])
    *others, positions = seen[0]
    with pytest.raises(IndexError, match="a position is not below"):
        stack(torch.zeros(1, 64, dtype=torch.bfloat16), *others, positions + 2**20)
