"""From options to what the engine is told, and from the engine to what clients are told of the
model; used by front.py and branchline/engine.py."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ..engine.config import EngineConfig
from ..engine_protocol import EngineReady
from ..protocol import MAX_CHOICES, ModelInfo
from ..tokenizer import Tokenizer


def describe(name: str, model_dir: Path, tokenizer: Tokenizer, ready: EngineReady) -> ModelInfo:
    """The ModelInfo of an engine that serves `name` from `model_dir`."""
    return ModelInfo(
        name=name if name == "embedded" else Path(name).name,
        path=str(model_dir),
        architecture=ready.architecture,
        # A token needs a slot.
        context_length=min(ready.context_length, ready.num_slots),
        vocab_size=tokenizer.vocab_size,
        eos_token_ids=list(tokenizer.eos_ids),
        role_markup=tokenizer.render_roles(),
        default_system_prompt=tokenizer.default_system_prompt,
        tool_call_example=tokenizer.tool_call_example,
        reasoning_tags=tokenizer.reasoning_tags,
    )


def serving_facts(model: ModelInfo, ready: EngineReady) -> dict[str, str]:
    """What somebody who starts a server wants to see, in order."""
    return {
        "model": f"{model.name} ({model.architecture}, context {model.context_length:,})",
        **ready.execution,
        "KV slots": f"{ready.num_slots:,} tokens",
    }


def engine_config(config: EngineConfig, model_dir: Path) -> EngineConfig:
    """The engine's settings behind a service.

    The service decides who must wait, and lets one Score of any size in when nobody waits; the
    engine's own bound stands beyond that.
    """
    room = config.max_waiting + 2 * MAX_CHOICES
    return dataclasses.replace(config, model=str(model_dir), max_waiting=room)
