"""config.json in its layouts, and what is refused with which words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from branchline.runtime.models.config import CapsConfig, ExpertsConfig, RopeConfig, read_config
from branchline.runtime.models.errors import ModelLoadError

BASE = {
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 100,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
QWEN3_MOE = {"architectures": ["Qwen3MoeForCausalLM"], "moe_intermediate_size": 40}
LLAMA3 = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 128,
}


def read(tmp_path: Path, changes: dict[str, Any], generation: Any = None) -> Any:
    (tmp_path / "config.json").write_text(json.dumps({**BASE, **changes}))
    if generation is not None:
        (tmp_path / "generation_config.json").write_text(json.dumps(generation))
    return read_config(tmp_path)


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ({}, RopeConfig(10_000.0)),
        ({"rope_theta": 5e5, "rope_scaling": None}, RopeConfig(5e5)),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}, RopeConfig(5e5)),
        (
            {"rope_theta": 1e4, "rope_scaling": {"type": "linear", "factor": 2.0}},
            RopeConfig(1e4, "linear", factor=2.0),
        ),
        (
            {"rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", **LLAMA3}},
            RopeConfig(5e5, "llama3", 8.0, 1.0, 4.0, 128),
        ),
        (
            {"rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5, **LLAMA3}},
            RopeConfig(5e5, "llama3", 8.0, 1.0, 4.0, 128),
        ),
    ],
)
def test_rope_is_read_from_both_layouts(
    tmp_path: Path, layout: dict[str, Any], expected: RopeConfig
) -> None:
    assert read(tmp_path, layout).rope == expected


@pytest.mark.parametrize(
    ("changes", "windows"),
    [
        ({"sliding_window": 7}, [None] * 4),
        ({"architectures": ["MistralForCausalLM"], "sliding_window": 7}, [7] * 4),
        ({"architectures": ["MistralForCausalLM"], "sliding_window": None}, [None] * 4),
        ({"architectures": ["MistralForCausalLM"]}, [4096] * 4),
        ({"architectures": ["Qwen2ForCausalLM"], "sliding_window": 7}, [None] * 4),
        (
            {
                "architectures": ["Qwen2ForCausalLM"],
                "use_sliding_window": True,
                "sliding_window": 7,
                "max_window_layers": 3,
            },
            [None, None, None, 7],
        ),
        (
            {
                "architectures": ["Qwen3ForCausalLM"],
                "use_sliding_window": True,
                "sliding_window": 7,
                "layer_types": ["sliding_attention", "full_attention"] * 2,
            },
            [7, None, 7, None],
        ),
        ({"architectures": ["Gemma2ForCausalLM"], "sliding_window": 7}, [7, None, 7, None]),
        (
            {
                "architectures": ["Gemma2ForCausalLM"],
                "layer_types": ["full_attention"] * 3 + ["sliding_attention"],
            },
            [None, None, None, 4096],
        ),
    ],
)
def test_each_family_has_its_own_window_rule(
    tmp_path: Path, changes: dict[str, Any], windows: list[int | None]
) -> None:
    assert list(read(tmp_path, changes).layer_windows) == windows


@pytest.mark.parametrize(
    ("config", "generation", "expected"),
    [
        (None, None, ()),
        (2, None, (2,)),
        (2, {"eos_token_id": [7, 9]}, (7, 9)),
        ([1, 2], {"eos_token_id": 7}, (7,)),
        ([1, 2], {"temperature": 1.0}, (1, 2)),
    ],
)
def test_end_tokens_come_from_generation_config_first(
    tmp_path: Path, config: Any, generation: Any, expected: tuple[int, ...]
) -> None:
    assert read(tmp_path, {"eos_token_id": config}, generation).eos_token_ids == expected


def test_head_dim_follows_from_the_sizes_unless_given(tmp_path: Path) -> None:
    assert read(tmp_path, {}).head_dim == 16
    assert read(tmp_path, {"head_dim": 32}).head_dim == 32


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"architectures": ["LlamaForCausalLM"], "num_local_experts": 8}, None),
        (
            {"architectures": ["MixtralForCausalLM"], "num_local_experts": 5},
            ExpertsConfig(5, 2, 96, True, frozenset(range(4))),
        ),
        (
            {**QWEN3_MOE, "num_experts": 16, "norm_topk_prob": True},
            ExpertsConfig(16, 8, 40, True, frozenset(range(4))),
        ),
        (
            {**QWEN3_MOE, "num_local_experts": 16, "num_experts_per_tok": 2},
            ExpertsConfig(16, 2, 40, False, frozenset(range(4))),
        ),
        (
            {**QWEN3_MOE, "num_experts": 8, "decoder_sparse_step": 2, "mlp_only_layers": [3]},
            ExpertsConfig(8, 8, 40, False, frozenset({1})),
        ),
    ],
)
def test_experts_are_read_from_both_layouts(
    tmp_path: Path, changes: dict[str, Any], expected: ExpertsConfig | None
) -> None:
    assert read(tmp_path, changes).experts == expected


def test_caps_are_gemma_s_and_null_switches_them_off(tmp_path: Path) -> None:
    assert read(tmp_path, {"attn_logit_softcapping": 5.0}).caps is None
    gemma = {"architectures": ["Gemma2ForCausalLM"]}
    assert read(tmp_path, gemma).caps == CapsConfig(50.0, 30.0, 256.0)
    off = {"attn_logit_softcapping": None, "final_logit_softcapping": 7, "query_pre_attn_scalar": 9}
    assert read(tmp_path, {**gemma, **off}).caps == CapsConfig(None, 7.0, 9.0)


def test_every_expert_is_counted(tmp_path: Path) -> None:
    dense = read(tmp_path, {"architectures": ["MixtralForCausalLM"], "num_local_experts": 2})
    more = read(tmp_path, {"architectures": ["MixtralForCausalLM"], "num_local_experts": 3})
    assert more.num_parameters - dense.num_parameters == 4 * 3 * 64 * 96


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({**QWEN3_MOE, "num_experts": 4}, "num_experts_per_tok 8 is more than the 4 experts"),
        ({**QWEN3_MOE, "num_experts": 8, "mlp_only_layers": 3}, "mlp_only_layers must be a list"),
        ({"architectures": ["GPT2LMHeadModel"]}, "supported are Gemma2ForCausalLM, Llama"),
        ({"architectures": None}, "supported are Gemma2ForCausalLM"),
        ({"auto_map": {"AutoModel": "x.Y"}}, "never run"),
        ({"quantization_config": {"quant_method": "awq"}}, "quant_method 'awq': of quantized"),
        ({"quantization_config": "fp8"}, "must be an object"),
        ({"quantization_config": {"quant_method": "fp8", "fmt": "e5m2"}}, "format 'e5m2'"),
        (
            {"quantization_config": {"quant_method": "fp8", "weight_block_size": [64, 64]}},
            r"block of \[64, 64\]",
        ),
        (
            {"quantization_config": {"quant_method": "compressed-tensors", "config_groups": {}}},
            "config_groups must be",
        ),
        (
            {
                "quantization_config": {
                    "quant_method": "compressed-tensors",
                    "config_groups": {"g": {"weights": {"type": "int", "num_bits": 4}}},
                }
            },
            "type 'int' with 4 bits",
        ),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "'yarn' is not supported"),
        ({"rope_scaling": {"type": "linear"}}, "factor must be a positive number"),
        ({"rope_parameters": {"full_attention": {"rope_type": "default"}}}, "per layer type"),
        ({"rope_parameters": {"partial_rotary_factor": 0.5}}, "partial_rotary_factor 0.5"),
        ({"num_attention_heads": 4, "num_key_value_heads": 3}, "not a multiple"),
        ({"head_dim": 15}, "odd"),
        ({"hidden_act": "gelu"}, "'silu' is"),
        (
            {"architectures": ["Gemma2ForCausalLM"], "hidden_activation": "gelu"},
            "'gelu_pytorch_tanh' is",
        ),
        ({"vocab_size": -1}, "vocab_size must be a positive integer"),
        ({"vocab_size": None}, "vocab_size must be a positive integer"),
        ({"hidden_size": True}, "hidden_size must be a positive integer"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps must be a positive number"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings must be true or false"),
        ({"eos_token_id": ["</s>"]}, "eos_token_id must be a token id"),
    ],
)
def test_what_cannot_be_served_is_refused_by_name(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ModelLoadError, match=words) as caught:
        read(tmp_path, changes)
    assert "config.json" in str(caught.value)


def test_an_end_that_is_no_token_id_is_told_of_the_file_that_has_it(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"/generation_config\.json: eos_token_id .*'a'"):
        read(tmp_path, {}, {"eos_token_id": "a"})


@pytest.mark.parametrize("text", ["{", "[]", "\x00", "[" * 100_000])
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ModelLoadError, match=r"config\.json"):
        read_config(tmp_path)
