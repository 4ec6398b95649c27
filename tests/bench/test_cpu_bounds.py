"""The least times that bench.cpu holds ratios against, on a machine made up for it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import LlamaConfig

from bench.cpu_bounds import Machine, Pass, branches, decode, extend, prefill, quantized_bytes
from bench.report import Row
from branchline.runtime.models.config import read_config

READS, MULTIPLIES = 1e6, 1e8  # bytes and operations per second


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """For a model of 2 layers of 64 x (64 + 2 x 32 + 64) + 3 x 64 x 96 weights, 1,000 tokens."""
    config = LlamaConfig(
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=1000,
        tie_word_embeddings=True,
    )
    config.architectures = ["LlamaForCausalLM"]
    config.save_pretrained(tmp_path)
    made = Machine(read_config(tmp_path), torch.bfloat16, None, 1)
    made.rates = {1: MULTIPLIES / 4, 1024: MULTIPLIES}
    made.speeds = {made.weight_bytes: READS}
    return made


def test_what_decodes_alone_takes_the_time_to_read_all_weights_and_keys(machine: Machine) -> None:
    assert machine.layer_weights == 2 * (64 * 192 + 3 * 64 * 96)
    work = decode(1, 10, 3)
    # A key and its value are 2 layers x 2 heads x 16 dims in two bytes; a token sees itself, too.
    keys = (11 + 12 + 13) * 2 * 2 * 2 * 16 * 2
    expected = (3 * 2 * (machine.layer_weights + 64_000) + keys) / READS
    assert machine.least_s(work) == pytest.approx(expected)


def test_a_prompt_takes_the_time_of_its_products_and_of_one_row_of_logits(machine: Machine) -> None:
    pairs = 2000 * 2001 / 2
    flops = 2 * (2000 * machine.layer_weights + 64_000) + 4 * 2 * 4 * 16 * pairs
    assert machine.least_s([prefill(1, 2000)]) == pytest.approx(flops / MULTIPLIES)


def test_what_branches_share_is_computed_and_read_once() -> None:
    (shared,) = branches(100, 8, 4)
    assert (shared.rows, shared.keys, shared.logit_rows) == (132, 132, 8)
    assert shared.pairs == 100 * 101 / 2 + 8 * (101 + 102 + 103 + 104)
    assert decode(8, 104, 1, shared=100) == [Pass(8, 8, 8 * 105, 100 + 8 * 5)]
    assert extend(8, 104, 103) == Pass(8, 8, 8 * 104, 8 * 104)


def test_int4_weights_take_half_a_byte_and_a_scale_for_each_32(machine: Machine) -> None:
    assert quantized_bytes(machine, "int8") == machine.layer_weights + 64_000
    assert quantized_bytes(machine, "int4") == machine.layer_weights * 9 // 16 + 64_000
    machine.ops = SimpleNamespace(has_int6=True)
    assert quantized_bytes(machine, "int4") == machine.layer_weights * 9 // 16 + 64_000 * 25 // 32


def test_limits_are_the_best_that_was_seen(machine: Machine) -> None:
    work = [prefill(1, 3)]
    machine.measure(work)
    assert machine.speeds[machine.weight_bytes] >= READS
    first = machine.rates[4]
    machine.measure(work)
    assert machine.rates[4] >= first > 0


def test_a_goal_above_what_is_possible_says_so() -> None:
    assert Row("decode", 1.2, "x", goal=2.0, most=1.754).goal_told == ">= 2; at most 1.75 here"
    assert Row("decode", 1.2, "x", goal=2.0, most=2.5).goal_told == ">= 2"
    assert Row("decode", 1.2, "x").goal_told == ""
