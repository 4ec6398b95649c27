"""What clients are told of the model; used by front.py and branchline/engine.py."""

from __future__ import annotations

from pathlib import Path

from ..protocol import EngineReady, ModelInfo
from ..tokenizer import Tokenizer


def describe(name: str, model_dir: Path, tokenizer: Tokenizer, ready: EngineReady) -> ModelInfo:
    """The ModelInfo of an engine that serves `name` from `model_dir`."""
    return ModelInfo(
        name=name if name == "embedded" else Path(name).name,
        path=str(model_dir),
        architecture=ready.architecture,
        context_length=ready.context_length,
        vocab_size=tokenizer.vocab_size,
        eos_token_ids=list(tokenizer.eos_ids),
        role_markup=tokenizer.render_roles(),
        default_system_prompt=tokenizer.default_system_prompt,
    )
