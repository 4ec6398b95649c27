"""What type checkers know of public names: typed_values.py beside this file, checked and run."""

from __future__ import annotations

from pathlib import Path

import pytest
import typed_values
from scripted import Scripted

ROOT = Path(__file__).parents[2]


def test_values_have_their_schemas_type_when_run(model: Scripted) -> None:
    model.reply = lambda prompt: '{"number":"A1","total":3,"x":7}'
    invoice, total, point = typed_values.read_values(model)
    assert (invoice.number, total, point.x) == ("A1", 3, 7)


def test_values_have_their_schemas_type_for_a_type_checker() -> None:
    api = pytest.importorskip("mypy.api")
    checked = str(Path(__file__).parent / "typed_values.py")
    # Errors inside the package are told by its own check; here count those of the program.
    told, _, _ = api.run(
        [checked, "--strict", "--follow-imports=silent", f"--config-file={ROOT / 'pyproject.toml'}"]
    )
    assert told.splitlines()[-1].startswith("Success"), told
