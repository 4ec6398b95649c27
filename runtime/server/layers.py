"""Settings of `branchline serve` by flags, environment or a TOML file, in that order. Used by
__main__.py when `branchline serve` started it; a runtime that a program starts gets flags alone.

Every option has the same name in all three: `--kv-slots 4096`, `BRANCHLINE_SERVE_KV_SLOTS=4096`,
and `kv-slots = 4096` under `[serve]`. The file is `--config FILE` or `BRANCHLINE_CONFIG`.
"""

from __future__ import annotations

import argparse
import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from .options import UsageError, build_parser

CONFIG_VARIABLE: Final = "BRANCHLINE_CONFIG"
_TABLE: Final = "serve"
_PREFIX: Final = "BRANCHLINE_SERVE_"
# Tables of the same file that other commands read.
OTHER_TABLES: Final = frozenset(
    {"demo", "run", "chat", "bench", "grammar", "doctor", "build-kernels"}
)

Value = str | int | float | bool | list[str]


def layered(argv: list[str], environ: Mapping[str, str]) -> list[str]:
    """All settings as arguments, later ones winning. Raises UsageError, which names the file or
    the variable."""
    argv, config = _take_config(argv)
    config = config or environ.get(CONFIG_VARIABLE)
    actions = options_by_name()
    lower: dict[str, list[str]] = {}
    if config:
        for key, value in read_table(Path(config), _TABLE, OTHER_TABLES).items():
            name = key.replace("_", "-")
            place = f"{config}: [{_TABLE}] {key}"
            lower[name] = _arguments(actions, name, value, place)
    for variable, text in environ.items():
        if variable.startswith(_PREFIX):
            name = variable.removeprefix(_PREFIX).lower().replace("_", "-")
            lower[name] = _arguments(actions, name, _of_text(actions, name, text), variable)
    given = {argument.split("=", 1)[0].removeprefix("--") for argument in argv}
    return [
        argument
        for name, arguments in lower.items()
        # One that may be repeated would be added to, where a flag should replace it.
        if name not in given
        for argument in arguments
    ] + argv


def options_by_name() -> dict[str, argparse.Action]:
    """The options of `serve` by their long names without dashes, hidden ones left out."""
    return {
        option.removeprefix("--"): action
        for action in build_parser()._actions
        for option in action.option_strings
        if option.startswith("--") and action.help != argparse.SUPPRESS and option != "--help"
    }


def read_table(path: Path, table: str, others: Iterable[str]) -> dict[str, Value]:
    """One table of a TOML file, empty when it is not there. Raises UsageError."""
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        raise UsageError(f"the settings file {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the settings file {path} is no TOML: {error}") from None
    allowed = {table, *others}
    for name, value in content.items():
        if name not in allowed or not isinstance(value, dict):
            raise UsageError(unknown(f"{path}: table", name, allowed))
    found: dict[str, Value] = content.get(table, {})
    return found


def unknown(place: str, name: str, allowed: Iterable[str]) -> str:
    """What is said of a name that is none, with the nearest ones."""
    near = difflib.get_close_matches(name, list(allowed), 3, 0.5)
    hint = f"; did you mean {', '.join(near)}?" if near else f"; there are: {_listed(allowed)}"
    return f"{place} {name!r} is not known{hint}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _take_config(argv: list[str]) -> tuple[list[str], str | None]:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--config")
    try:
        given, rest = parser.parse_known_args(argv)
    except argparse.ArgumentError as error:
        raise UsageError(str(error)) from None
    return rest, given.config


def _arguments(
    actions: dict[str, argparse.Action], name: str, value: Value, place: str
) -> list[str]:
    """A value as arguments of the command line."""
    action = actions.get(name)
    if action is None:
        raise UsageError(unknown(f"{place}: the setting", name, actions))
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise UsageError(f"{place} is true or false, not {value!r}")
        return [f"--{name}"] if value else []
    repeatable = isinstance(action, argparse._AppendAction)
    values = value if isinstance(value, list) else [value]
    if len(values) != 1 and not repeatable:
        raise UsageError(f"{place} takes one value, not {len(values)}")
    for each in values:
        if isinstance(each, bool) or not isinstance(each, str | int | float):
            raise UsageError(f"{place} takes a text or a number, not {each!r}")
    return [f"--{name}={each}" for each in values]


def _of_text(actions: dict[str, argparse.Action], name: str, text: str) -> Value:
    """What a variable stands for."""
    action = actions.get(name)
    if action is not None and action.nargs == 0 and text.lower() in ("1", "true", "0", "false"):
        return text.lower() in ("1", "true")
    return text.split() if isinstance(action, argparse._AppendAction) else text
