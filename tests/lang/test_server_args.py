"""A runtime's settings under SGLang's names."""

from __future__ import annotations

import dataclasses

import pytest

import branchline as bl
from branchline.lang.launch import _flags
from branchline.lang.server_args import runtime_options
from branchline.runtime.server.options import parse


def test_known_names_become_the_runtimes_own() -> None:
    given = {"max_total_tokens": 4096, "random_seed": 7, "dtype": "float32", "log_level": "info"}
    assert runtime_options(given) == {"kv_slots": 4096, "seed": 7, "dtype": "float32"}


def test_the_deterministic_mode_is_a_flag_of_the_runtime() -> None:
    options = runtime_options({"enable_deterministic_inference": True, "kv_slots": 9})
    assert _flags(options) == ["--deterministic", "--kv-slots=9"]
    assert parse(["--deterministic"]).engine.deterministic
    assert _flags({"deterministic": False, "seed": None}) == []


def test_the_defaults_ask_for_nothing() -> None:
    assert runtime_options(dataclasses.asdict(bl.ServerArgs())) == {"model_path": "embedded"}


@pytest.mark.parametrize(("name", "value"), [("tp_size", 2), ("trust_remote_code", True)])
def test_what_cannot_be_honoured_is_refused(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=name):
        runtime_options({name: value})


def test_one_setting_under_two_names_is_refused() -> None:
    with pytest.raises(ValueError, match="seed is given twice"):
        runtime_options({"seed": 1, "random_seed": 2})


@pytest.mark.parametrize("name", ["lora_paths", "enable_lora"])
def test_adapters_are_refused_with_what_to_do(name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name}=.*not served; merge one into its model"):
        runtime_options({name: 1})


def test_an_engine_names_an_option_that_it_does_not_have() -> None:
    with pytest.raises(
        bl.RuntimeUnavailable, match=r"no option kv_slotz; known: model, .*kv_slots"
    ):
        bl.Engine(kv_slotz=4)
