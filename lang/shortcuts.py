"""`bl.extract` and `bl.classify`: one-line programs, in the words that the embedded model is
trained on."""

from __future__ import annotations

import enum
import json
import typing
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar, overload

from .api import assistant, gen, select, system, user
from .function import Function
from .ir import Expr
from .schema import NoSchemaError, schema_outline
from .state import ProgramState

Value = TypeVar("Value")
Label = TypeVar("Label", bound=enum.Enum)


def _extract(s: ProgramState, kind: Any, fields: str, text: str, options: dict[str, Any]) -> None:
    # What is the same for all texts comes first, so that it is computed once.
    s += system("Extract a record from the document as JSON with these fields:\n" + fields)
    s += user(text)
    s += assistant(gen("value", schema=kind, **options))


def _classify(s: ProgramState, text: str, labels: Sequence[str]) -> None:
    s += system(f"Classify the text. Labels: {', '.join(labels)}")
    s += user(text)
    s += assistant(select("label", choices=labels))


_extract_program: Function[None] = Function(_extract)
_classify_program: Function[None] = Function(_classify)
# Errors say what the user called.
_extract_program.name, _classify_program.name = "extract", "classify"


@overload
def extract(
    kind: type[Value],
    text: str,
    *,
    max_tokens: int = ...,
    temperature: float = ...,
    backend: object = None,
    **sampling: Any,
) -> Value: ...
@overload
def extract(
    kind: Any,
    text: str,
    *,
    max_tokens: int = ...,
    temperature: float = ...,
    backend: object = None,
    **sampling: Any,
) -> Any: ...
def extract(
    kind: Any,
    text: str,
    *,
    max_tokens: int = 512,
    temperature: float = 0.0,
    backend: object = None,
    **sampling: Any,
) -> Any:
    """What `text` says, as a `kind`: a pydantic model, dataclass, TypedDict, list[...] or whatever
    `gen(schema=...)` takes, or a JSON schema as a dict or its text. `sampling` are further
    arguments of `gen`.

    Raises GenerationError, and InvalidOutput when the model's record does not validate.
    """
    _check_text(text, "extract()")
    try:
        kind = json.loads(kind) if isinstance(kind, str) else kind
        fields = schema_outline(kind)
    except NoSchemaError as error:
        raise TypeError(f"extract(): kind={error}") from error.__cause__
    except json.JSONDecodeError as error:
        raise ValueError(
            f"extract(): kind={kind!r}: expected a type or a JSON schema ({error})"
        ) from None
    options = {"max_tokens": max_tokens, "temperature": temperature, **sampling}
    state = _extract_program.run(kind, fields, text, options, backend=backend)
    return state.value("value", None if isinstance(kind, dict) else kind)


@overload
def classify(text: str, labels: type[Label], *, backend: object = None) -> Label: ...
@overload
def classify(text: str, labels: Sequence[str], *, backend: object = None) -> str: ...
@overload
def classify(text: str, labels: Any, *, backend: object = None) -> Any: ...
def classify(text: str, labels: Any, *, backend: object = None) -> Any:
    """The label that fits `text` best, by the likelihood that the model gives each. `labels` is a
    list of strings, a Literal, or an Enum with strings for values, of which a member is returned.
    """
    _check_text(text, "classify()")
    if isinstance(labels, type) and issubclass(labels, enum.Enum):
        return labels(classify(text, [member.value for member in labels], backend=backend))
    if typing.get_origin(labels) is typing.Literal:
        labels = typing.get_args(labels)
    given = labels if isinstance(labels, str) or not isinstance(labels, Iterable) else [*labels]
    if not (isinstance(given, list) and given and all(isinstance(one, str) for one in given)):
        raise ValueError(f"classify(): labels={given!r}: expected a list of strings")
    return _classify_program.run(text, given, backend=backend)["label"]


def _check_text(text: object, where: str) -> None:
    if not isinstance(text, str | Expr):
        raise TypeError(f"{where}: text={text!r}: expected a string; leave out what has no text")
