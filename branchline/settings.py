"""Settings of the commands from a TOML file, below flags and variables. Called by cli.py; `serve`
has its own layers in runtime/server/layers.py, over the same file and with the same rules."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from typer.core import TyperCommand, TyperGroup, TyperOption

from .records import UsageError

VARIABLE_PREFIX: Final = "BRANCHLINE"
CONFIG_VARIABLE: Final = "BRANCHLINE_CONFIG"
# Read by the server itself, which knows its options.
_SERVE: Final = "serve"


def default_map(group: TyperGroup, path: Path) -> dict[str, Any]:
    """What click takes for flags that are not given. Raises UsageError for a file that cannot be
    read and for names that no command knows."""
    try:
        content = tomllib.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"the settings file {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the settings file {path} is no TOML: {error}") from None
    return _defaults(group, content, str(path), "")


def name_variables(group: TyperGroup) -> None:
    """Let each option's variable be named after its flag: click goes by Python's name for it."""
    for prefix, command in _commands(group, VARIABLE_PREFIX):
        for parameter in _options(command):
            parameter.envvar = _variable(prefix, parameter)


def check_variables(group: TyperGroup, environ: Mapping[str, str] = os.environ) -> None:
    """Refuse variables that look like a command's and are none. Raises UsageError."""
    for prefix, command in _commands(group, VARIABLE_PREFIX):
        known = {_variable(prefix, parameter) for parameter in _options(command)}
        for variable in environ:
            if variable.startswith(f"{prefix}_") and variable not in known:
                raise UsageError(_unknown("the variable", variable, known))


def _commands(group: TyperGroup, prefix: str) -> list[tuple[str, TyperCommand]]:
    found: list[tuple[str, TyperCommand]] = []
    for name, command in group.commands.items():
        path = f"{prefix}_{name.upper().replace('-', '_')}"
        if isinstance(command, TyperGroup):
            found += _commands(command, path)
        elif name != _SERVE and isinstance(command, TyperCommand):
            found.append((path, command))
    return found


def _defaults(group: TyperGroup, content: dict[str, Any], path: str, above: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, table in content.items():
        command = group.commands.get(name)
        if command is None or not isinstance(table, dict):
            raise UsageError(_unknown(f"{path}: the table", f"{above}{name}", group.commands))
        if isinstance(command, TyperGroup):
            found[name] = _defaults(command, table, path, f"{above}{name}.")
        elif isinstance(command, TyperCommand) and (above or name != _SERVE):
            found[name] = _values(command, table, f"{path}: [{above}{name}]")
    return found


def _values(command: TyperCommand, table: dict[str, Any], place: str) -> dict[str, Any]:
    known = {_key(parameter): parameter.name for parameter in _options(command)}
    found: dict[str, Any] = {}
    for key, value in table.items():
        name = known.get(key.replace("_", "-"))
        if name is None:
            raise UsageError(_unknown(f"{place} the setting", key, known))
        found[name] = value
    return found


def _options(command: TyperCommand) -> list[TyperOption]:
    return [item for item in command.params if isinstance(item, TyperOption)]


def _variable(prefix: str, option: TyperOption) -> str:
    return f"{prefix}_{_key(option)}".upper().replace("-", "_")


def _key(option: TyperOption) -> str:
    return next(name for name in option.opts if name.startswith("--")).removeprefix("--")


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    from branchline.runtime.server.layers import unknown

    return unknown(what, name, known)
