"""What a user may call a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from branchline.runtime.models.errors import ModelLoadError
from branchline.runtime.models.resolve import EMBEDDED_DIR, resolve_model


def test_a_directory_is_itself(tmp_path: Path) -> None:
    assert resolve_model(str(tmp_path)) == tmp_path


def test_embedded_is_inside_the_package() -> None:
    assert resolve_model("embedded") == EMBEDDED_DIR


def test_a_hub_id_is_fetched_without_code_or_pickles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def fetch(hub_id: str, *, allow_patterns: list[str]) -> str:
        asked.update(hub_id=hub_id, patterns=allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert resolve_model("owner/name-1.5B") == tmp_path
    assert asked["hub_id"] == "owner/name-1.5B"
    assert not [p for p in asked["patterns"] if p.endswith((".py", ".bin", ".pt", "*"))]


def test_without_a_network_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> str:
        raise LocalEntryNotFoundError("no connection\nand a long explanation")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(ModelLoadError, match=r"no connection\).* give a local model directory"):
        resolve_model("owner/name")


@pytest.mark.parametrize("name", ["", "nowhere", "/no/such/dir", "../up", "a/b/c", "own er/name"])
def test_anything_else_is_refused(name: str) -> None:
    with pytest.raises(ModelLoadError, match="neither an existing directory"):
        resolve_model(name)


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ModelLoadError, match="is a file"):
        resolve_model(str(tmp_path / "model.safetensors"))
