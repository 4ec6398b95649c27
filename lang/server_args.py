"""`bl.ServerArgs`: a runtime's settings under the names that SGLang programs use. `bl.Runtime` and
`bl.Engine` take either these names or their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Option = str | int | float | None

_OWN_NAMES = {
    "max_running_requests": "max_running",
    "chunked_prefill_size": "chunk_tokens",
    "mem_fraction_static": "kv_memory_fraction",
    "max_total_tokens": "kv_slots",
    "random_seed": "seed",
    "schedule_policy": "policy",
    "enable_deterministic_inference": "deterministic",
}
# A runtime of one's own listens on a private socket and logs nothing while all is well.
_WITHOUT_EFFECT = {"host", "port", "log_level", "log_requests", "tokenizer_mode"}
_ONLY = {"tp_size": 1, "dp_size": 1, "pp_size": 1, "trust_remote_code": False}
_ADAPTERS = {"enable_lora", "lora_paths", "max_lora_rank", "max_loras_per_batch"}
_REASONS = {
    "trust_remote_code": "code that comes with a model is never run",
    "tp_size": "a runtime has one device",
    "dp_size": "a runtime has one device; start several runtimes",
    "pp_size": "a runtime has one device",
}


@dataclass(frozen=True)
class ServerArgs:
    """For `bl.Engine(**dataclasses.asdict(args))`. None is the runtime's own default."""

    model_path: str = "embedded"
    dtype: str | None = None
    device: str | None = None
    context_length: int | None = None
    max_total_tokens: int | None = None
    mem_fraction_static: float | None = None
    max_running_requests: int | None = None
    chunked_prefill_size: int | None = None
    schedule_policy: str | None = None
    random_seed: int | None = None
    tp_size: int = 1
    dp_size: int = 1
    trust_remote_code: bool = False
    host: str = "127.0.0.1"
    port: int = 30_000
    log_level: str = "error"


def runtime_options(options: Mapping[str, Option]) -> dict[str, Option]:
    """A runtime's own options for options of either naming. What is None is left out.

    Raises ValueError for a setting that the runtime cannot honour, and for one given twice.
    """
    own: dict[str, Option] = {}
    for name, value in options.items():
        if value is None or name in _WITHOUT_EFFECT:
            continue
        if name in _ONLY:
            if value != _ONLY[name]:
                raise ValueError(f"{name}={value!r}: {_REASONS[name]}; leave it at {_ONLY[name]}")
            continue
        if name in _ADAPTERS:
            raise ValueError(
                f"{name}={value!r}: adapters (LoRA) are not served; merge one into its model and "
                "serve that"
            )
        target = _OWN_NAMES.get(name, name)
        if target in own:
            raise ValueError(f"{target} is given twice, once under SGLang's name for it")
        own[target] = value
    return own
