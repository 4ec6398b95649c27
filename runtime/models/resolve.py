"""From a model's name to its local directory; called by the runner and the front process."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from .errors import ModelLoadError

EMBEDDED: Final = "embedded"
EMBEDDED_DIR: Final = Path(__file__).parent / "embedded"

_HUB_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_HUB_FILES: Final = ["*.safetensors", "*.json", "*.jinja", "tokenizer.model"]


def resolve_model(model: str) -> Path:
    """The directory of `model`: "embedded", a local directory, or a hub id "owner/name".

    A hub id is downloaded, or found in the local cache when there is no network. Raises
    ModelLoadError.
    """
    if model == EMBEDDED:
        return EMBEDDED_DIR
    path = Path(model).expanduser()
    if model and path.is_dir():
        return path
    if model and path.exists():
        raise ModelLoadError(f"{model} is a file; give the directory that holds config.json")
    if not _HUB_ID.fullmatch(model):
        raise ModelLoadError(
            f"model {model!r} is neither an existing directory, nor a hub id such as "
            "'Qwen/Qwen3-0.6B', nor 'embedded'"
        )
    return _download(model)


def _download(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        return Path(snapshot_download(hub_id, allow_patterns=_HUB_FILES))
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        # The hub's own texts are long and differ by cause; their first line says what happened.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelLoadError(
            f"{hub_id!r} is no local directory and could not be fetched from the hub ({reason}). "
            "Without a network give a local model directory, or 'embedded'"
        ) from None
