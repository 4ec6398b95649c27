"""config.json of a checkpoint as plain data; read by the loader, the families and the runner.

Both layouts of Hugging Face configurations are understood: `rope_theta` + `rope_scaling`
(transformers 4) and `rope_parameters` (transformers 5). Keys that the layouts leave out get
the defaults of transformers' configuration classes.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NoReturn

from .checkpoint_formats import stores_float8
from .errors import ModelLoadError

SUPPORTED_ARCHITECTURES: Final = (
    "Gemma2ForCausalLM",
    "LlamaForCausalLM",
    "MistralForCausalLM",
    "MixtralForCausalLM",
    "Qwen2ForCausalLM",
    "Qwen3ForCausalLM",
    "Qwen3MoeForCausalLM",
)

# Families whose sliding_window alone says what all layers see, and its default.
_OWN_WINDOW: Final[dict[str, int | None]] = {"MistralForCausalLM": 4096, "MixtralForCausalLM": None}

# The key that names an MLP's activation, and the one that a family has, where not Llama's.
_ACTIVATION: Final = {"Gemma2ForCausalLM": ("hidden_activation", "gelu_pytorch_tanh")}

RopeKind = Literal["default", "linear", "llama3"]

_REFUSED_KEYS: Final = {
    "auto_map": "it asks for Python code from the checkpoint, which is never run",
    "compression_config": "compressed checkpoints are not supported; use the plain weights",
}


@dataclass(frozen=True, slots=True)
class RopeConfig:
    """Rotary frequencies: `theta` is the base; the other fields belong to `kind`.

    linear divides every frequency by `factor` (arXiv:2306.15595); llama3 divides the low ones and
    blends in between (Llama 3.1 model card).
    """

    theta: float
    kind: RopeKind = "default"
    factor: float = 1.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_context: int = 8192


@dataclass(frozen=True, slots=True)
class ExpertsConfig:
    """The mixture of experts that `layers` have in the place of an MLP.

    per_token: of `count` experts, how many a token goes through. size: an expert's intermediate
    size. normalised: the shares of a token's experts are made to sum to 1.
    """

    count: int
    per_token: int
    size: int
    normalised: bool
    layers: frozenset[int]


@dataclass(frozen=True, slots=True)
class CapsConfig:
    """Gemma 2's soft caps, each c in c * tanh(x / c), None for none, and what scores of attention
    are divided by the root of."""

    attention: float | None
    logits: float | None
    query_scalar: float


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Everything that a decoder family and the runner need to know of a checkpoint.

    `layer_windows` has one entry per layer: the number of tokens that a query sees, itself
    included, or None for all. `eos_token_ids` come from generation_config.json where it exists.
    float8: linear layers are stored as 8-bit floats with scales.
    """

    architecture: str
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    rms_norm_eps: float
    rope: RopeConfig
    context_length: int
    tie_word_embeddings: bool
    attention_bias: bool
    mlp_bias: bool
    layer_windows: tuple[int | None, ...]
    eos_token_ids: tuple[int, ...]
    experts: ExpertsConfig | None = None
    caps: CapsConfig | None = None
    float8: bool = False

    @property
    def num_parameters(self) -> int:
        """Of the weight matrices; biases, norms and routers are too few to matter."""
        attention = 2 * self.hidden_size * self.head_dim * (self.num_heads + self.num_kv_heads)
        sizes = self.num_layers * self.intermediate_size
        if self.experts is not None:
            more = self.experts.count * self.experts.size - self.intermediate_size
            sizes += len(self.experts.layers) * more
        embeddings = self.vocab_size * self.hidden_size * (1 if self.tie_word_embeddings else 2)
        return self.num_layers * attention + 3 * self.hidden_size * sizes + embeddings


def read_config(model_dir: Path) -> ModelConfig:
    """The configuration in `model_dir`; raises ModelLoadError on anything that is not supported."""
    raw = _read_json(model_dir / "config.json")
    for key, reason in _REFUSED_KEYS.items():
        if raw.get(key) is not None:
            raise ModelLoadError(f"{model_dir}/config.json has {key!r}: {reason}")
    fields = _Fields(raw, f"{model_dir}/config.json")
    architecture = _architecture(fields)

    num_layers = fields.count("num_hidden_layers")
    num_heads = fields.count("num_attention_heads")
    num_kv_heads = fields.count("num_key_value_heads", num_heads)
    hidden_size = fields.count("hidden_size")
    is_gemma = architecture == "Gemma2ForCausalLM"
    head_dim = fields.count("head_dim", 256 if is_gemma else hidden_size // num_heads or None)
    context_length = fields.count("max_position_embeddings")
    if num_heads % num_kv_heads:
        fields.refuse(
            f"num_attention_heads {num_heads} is not a multiple of "
            f"num_key_value_heads {num_kv_heads}"
        )
    if head_dim % 2:
        fields.refuse(f"head_dim {head_dim} is odd; rotary embeddings need an even one")
    key, needed = _ACTIVATION.get(architecture, ("hidden_act", "silu"))
    if (activation := raw.get(key, needed)) != needed:
        fields.refuse(f"{key} {activation!r} is not supported; {needed!r} is")

    return ModelConfig(
        architecture=architecture,
        vocab_size=fields.count("vocab_size"),
        hidden_size=hidden_size,
        intermediate_size=fields.count("intermediate_size"),
        num_layers=num_layers,
        num_heads=num_heads,
        num_kv_heads=num_kv_heads,
        head_dim=head_dim,
        rms_norm_eps=fields.number("rms_norm_eps", 1e-6),
        rope=_rope(fields, architecture, context_length),
        context_length=context_length,
        tie_word_embeddings=fields.flag("tie_word_embeddings", is_gemma),
        attention_bias=fields.flag("attention_bias", False),
        mlp_bias=fields.flag("mlp_bias", False),
        layer_windows=_layer_windows(fields, architecture, num_layers),
        eos_token_ids=_eos_token_ids(model_dir, fields),
        experts=_experts(fields, architecture, num_layers),
        caps=_caps(fields) if is_gemma else None,
        float8=stores_float8(raw.get("quantization_config"), fields.refuse),
    )


class _Fields:
    """Typed reads of one JSON object; every refusal names the file."""

    def __init__(self, raw: dict[str, Any], path: str) -> None:
        self.raw = raw
        self.path = path

    def refuse(self, text: str) -> NoReturn:
        raise ModelLoadError(f"{self.path}: {text}")

    def count(self, key: str, default: int | None = None) -> int:
        """A positive integer; null and absent mean `default`."""
        value = self.raw.get(key)
        if value is None:
            value = default
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ModelLoadError(f"{self.path}: {key} must be a positive integer, not {value!r}")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A positive finite number; null and absent mean `default`."""
        value = self.raw.get(key)
        if value is None:
            value = default
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not 0 < value < math.inf
        ):
            raise ModelLoadError(f"{self.path}: {key} must be a positive number, not {value!r}")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        value = self.raw.get(key, default)
        if not isinstance(value, bool):
            raise ModelLoadError(f"{self.path}: {key} must be true or false, not {value!r}")
        return value


def _read_json(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ModelLoadError(
            f"{path} does not exist; a model directory holds config.json, *.safetensors and "
            "tokenizer.json"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ModelLoadError(f"{path} cannot be read: {error}") from None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelLoadError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise ModelLoadError(f"{path} must hold a JSON object, not a {type(value).__name__}")
    return value


def _architecture(fields: _Fields) -> str:
    names = fields.raw.get("architectures")
    name = names[0] if isinstance(names, list) and len(names) == 1 else None
    if name not in SUPPORTED_ARCHITECTURES:
        raise ModelLoadError(
            f"{fields.path}: architectures {names!r} is not supported; "
            f"supported are {', '.join(SUPPORTED_ARCHITECTURES)}"
        )
    return str(name)


def _rope(fields: _Fields, architecture: str, context_length: int) -> RopeConfig:
    raw = fields.raw
    parameters: dict[str, Any] = {}
    for key in ("rope_scaling", "rope_parameters"):
        if (value := raw.get(key)) is not None:
            if not isinstance(value, dict):
                fields.refuse(f"{key} must be an object, not {value!r}")
            parameters.update(value)
    if any(isinstance(value, dict) for value in parameters.values()):
        fields.refuse("rope_parameters per layer type are not supported")
    rope = _Fields(
        {"rope_theta": raw.get("rope_theta"), **parameters}, f"{fields.path}, rope parameters"
    )
    partial = rope.raw.get("partial_rotary_factor", raw.get("partial_rotary_factor"))
    if partial is not None and partial != 1:
        fields.refuse(f"partial_rotary_factor {partial!r} is not supported; 1.0 is")

    theta = rope.number("rope_theta", 1e6 if architecture == "MixtralForCausalLM" else 1e4)
    kind = rope.raw.get("rope_type", rope.raw.get("type", "default"))
    if kind == "default":
        return RopeConfig(theta)
    if kind == "linear":
        return RopeConfig(theta, "linear", factor=rope.number("factor"))
    if kind == "llama3":
        low, high = rope.number("low_freq_factor"), rope.number("high_freq_factor")
        if low >= high:
            rope.refuse(f"low_freq_factor {low} must be below high_freq_factor {high}")
        return RopeConfig(
            theta,
            "llama3",
            factor=rope.number("factor"),
            low_freq_factor=low,
            high_freq_factor=high,
            original_context=rope.count("original_max_position_embeddings", context_length),
        )
    raise ModelLoadError(
        f"{fields.path}: rope type {kind!r} is not supported; default, linear and llama3 are"
    )


def _layer_windows(fields: _Fields, architecture: str, num_layers: int) -> tuple[int | None, ...]:
    raw = fields.raw
    if architecture in _OWN_WINDOW:
        # transformers' default when the key is absent; null switches the window off.
        default = _OWN_WINDOW[architecture]
        if raw.get("sliding_window", default) is None:
            return (None,) * num_layers
        return (fields.count("sliding_window", default),) * num_layers
    is_gemma = architecture == "Gemma2ForCausalLM"
    windowed = is_gemma or fields.flag("use_sliding_window", False)
    if architecture == "LlamaForCausalLM" or not windowed:
        return (None,) * num_layers
    window = fields.count("sliding_window", 4096)
    if architecture == "Qwen3MoeForCausalLM":
        return (window,) * num_layers
    first_windowed = raw.get("max_window_layers", 28)
    kinds = raw.get("layer_types") or [
        "sliding_attention"
        if (layer % 2 == 0 if is_gemma else layer >= first_windowed)
        else "full_attention"
        for layer in range(num_layers)
    ]
    if not isinstance(kinds, list) or len(kinds) != num_layers:
        fields.refuse(f"layer_types must have one entry for each of the {num_layers} layers")
    if unknown := set(kinds) - {"sliding_attention", "full_attention"}:
        fields.refuse(f"layer_types {sorted(unknown)} are not supported")
    return tuple(window if kind == "sliding_attention" else None for kind in kinds)


def _experts(fields: _Fields, architecture: str, num_layers: int) -> ExpertsConfig | None:
    if architecture == "MixtralForCausalLM":
        count, size = fields.count("num_local_experts", 8), fields.count("intermediate_size")
        per_token, normalised = fields.count("num_experts_per_tok", 2), True
        sparse = frozenset(range(num_layers))
    elif architecture == "Qwen3MoeForCausalLM":
        # The first is transformers 4's name, the second 5's.
        named = "num_experts" if fields.raw.get("num_experts") else "num_local_experts"
        count, size = fields.count(named, 128), fields.count("moe_intermediate_size", 768)
        per_token = fields.count("num_experts_per_tok", 8)
        normalised = fields.flag("norm_topk_prob", False)
        step, dense = fields.count("decoder_sparse_step", 1), fields.raw.get("mlp_only_layers")
        if not isinstance(dense, list | None):
            fields.refuse(f"mlp_only_layers must be a list of layers, not {dense!r}")
        every = range(step - 1, num_layers, step)
        sparse = frozenset(layer for layer in every if layer not in (dense or []))
    else:
        return None
    if per_token > count:
        fields.refuse(f"num_experts_per_tok {per_token} is more than the {count} experts")
    return ExpertsConfig(count, per_token, size, normalised, sparse)


def _caps(fields: _Fields) -> CapsConfig:
    def cap(key: str, default: float) -> float | None:
        return None if fields.raw.get(key, default) is None else fields.number(key, default)

    if fields.raw.get("use_bidirectional_attention"):
        fields.refuse("use_bidirectional_attention is not supported; a decoder sees what is before")
    return CapsConfig(
        attention=cap("attn_logit_softcapping", 50.0),
        logits=cap("final_logit_softcapping", 30.0),
        query_scalar=fields.number("query_pre_attn_scalar", 256.0),
    )


def _eos_token_ids(model_dir: Path, fields: _Fields) -> tuple[int, ...]:
    path = model_dir / "generation_config.json"
    value = _read_json(path).get("eos_token_id") if path.exists() else None
    if value is None:
        path, value = Path(fields.path), fields.raw.get("eos_token_id")
    if value is None:
        return ()
    ids = value if isinstance(value, list) else [value]
    if any(isinstance(i, bool) or not isinstance(i, int) or i < 0 for i in ids):
        raise ModelLoadError(
            f"{path}: eos_token_id must be a token id or a list of them, not {value!r}"
        )
    return tuple(dict.fromkeys(ids))
