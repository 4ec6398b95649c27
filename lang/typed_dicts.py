"""TypedDicts for pydantic on Python 3.11, which takes only those of `typing_extensions` there.
Called by schema.py."""

from __future__ import annotations

import sys
import types
import typing
from typing import Any, get_args, get_origin


def readable(kind: Any) -> Any:
    """The same type with every `typing.TypedDict` in it replaced by its equal that pydantic reads
    on every version. Types that hold none are returned as they are."""
    if sys.version_info >= (3, 12):
        return kind
    return _replaced(kind)


def _replaced(kind: Any) -> Any:
    if typing.is_typeddict(kind) and type(kind).__module__ == "typing":
        import typing_extensions

        hints = typing.get_type_hints(kind, include_extras=True)
        fields = {name: _field(kind, name, hint) for name, hint in hints.items()}
        make: Any = typing_extensions.TypedDict
        return make(kind.__name__, fields)
    arguments = get_args(kind)
    replaced = tuple(_replaced(argument) for argument in arguments)
    if all(new is old for new, old in zip(replaced, arguments, strict=True)):
        return kind
    if isinstance(kind, types.UnionType):
        return typing.Union[replaced]  # noqa: UP007 - of a tuple there is no other spelling
    if get_origin(kind) is typing.Annotated:
        return typing.Annotated[(replaced[0], *kind.__metadata__)]
    return get_origin(kind)[replaced if len(replaced) > 1 else replaced[0]]


def _field(kind: Any, name: str, hint: Any) -> Any:
    """A field's type, marked as required or not: keys of a total=False class have no mark."""
    if get_origin(hint) in (typing.Required, typing.NotRequired):
        return _replaced(hint)
    if name in kind.__required_keys__:
        return typing.Required[_replaced(hint)]
    return typing.NotRequired[_replaced(hint)]
