"""The constructors that programs call: `gen`, `select`, roles and the rest. Arguments are checked
here, once; what they return is appended to a state with `s += ...`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Literal

from branchline.runtime import protocol

from . import ir
from .choices import ChoicesSamplingMethod, token_length_normalized
from .ir import Expr, ExprList
from .sampling import SamplingOptions, checked_timeout
from .schema import json_schema_of
from .values import ValueKind

DType = type[int] | type[float] | type[bool] | type[str] | Literal["int", "float", "bool", "str"]

_DTYPES: dict[str, tuple[ValueKind, str, tuple[str, ...]]] = {
    "int": ("int", ir.REGEX_INT, (" ", "\n")),
    "float": ("float", ir.REGEX_FLOAT, (" ", "\n")),
    "bool": ("bool", ir.REGEX_BOOL, ()),
    "str": ("string", ir.REGEX_STR, ()),
}


def gen(
    name: str | None = None,
    max_tokens: int | None = None,
    min_tokens: int | None = None,
    n: int | None = None,
    stop: str | Sequence[str] | None = None,
    stop_token_ids: Sequence[int] | None = None,
    stop_regex: str | Sequence[str] | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    top_k: int | None = None,
    min_p: float | None = None,
    frequency_penalty: float | None = None,
    presence_penalty: float | None = None,
    ignore_eos: bool | None = None,
    return_logprob: bool | None = None,
    logprob_start_len: int | None = None,
    top_logprobs_num: int | None = None,
    return_text_in_logprobs: bool | None = None,
    dtype: DType | None = None,
    choices: Sequence[str] | None = None,
    choices_method: ChoicesSamplingMethod | None = None,
    regex: str | None = None,
    json_schema: str | dict[str, Any] | None = None,
    *,
    schema: Any = None,
    seed: int | None = None,
    skip_special_tokens: bool | None = None,
    token_healing: bool | None = None,
    timeout: float | None = None,
) -> Expr:
    """A generation call whose output becomes the variable `name`.

    What is None is taken from `run()`. At most one of these holds the output to a form:
    `regex` (the whole output matches), `json_schema` (dict or JSON text), `schema` (a Python type:
    pydantic model, dataclass, TypedDict, Enum, Literal, list[T], ...; `s.value(name)` returns the
    validated object), `dtype` (int, float, bool, str) or `choices` (the same as `select`; sampling
    arguments do not apply). With `n` > 1 the variable is a list and the text goes on with its
    first. `token_healing=True` is for prompts that end inside a token ("http:"): the output may
    then begin with any token that spells their end. `skip_special_tokens=False` leaves the model's
    control tokens in the text. A call that
    has no result `timeout` seconds after it began fails with TimeoutExceeded.

    Raises ValueError for arguments that are out of range or contradict each other, `re.error` for
    a broken regex.
    """
    where = f"gen({name!r})" if name is not None else "gen()"
    forms = {
        "dtype": dtype,
        "choices": choices or None,
        "regex": regex,
        "json_schema": json_schema,
        "schema": schema,
    }
    given = [form for form, value in forms.items() if value is not None]
    if len(given) > 1:
        raise ValueError(f"{where}: {' and '.join(given)} contradict each other; give one of them")
    if choices:
        return select(name, choices, temperature or 0.0, choices_method or token_length_normalized)

    kind: ValueKind = "text"
    constraint: protocol.Constraint | None = None
    extra_stops: tuple[str, ...] = ()
    if dtype is not None:
        kind, pattern, extra_stops = _dtype(dtype, where)
        constraint = protocol.Regex(pattern)
    elif regex is not None:
        re.compile(regex)
        constraint = protocol.Regex(regex)
    elif json_schema is not None:
        kind = "json"
        constraint = protocol.JsonSchema(_schema_text(json_schema, where))
    elif schema is not None:
        kind = "type"
        constraint = protocol.JsonSchema(_compact(json_schema_of(schema)))

    sampling = SamplingOptions(
        max_tokens=max_tokens,
        min_tokens=min_tokens,
        n=n,
        stop=stop,
        stop_token_ids=stop_token_ids,
        stop_regex=stop_regex,
        temperature=temperature,
        top_p=top_p,
        top_k=top_k,
        min_p=min_p,
        frequency_penalty=frequency_penalty,
        presence_penalty=presence_penalty,
        ignore_eos=ignore_eos,
        return_logprob=return_logprob,
        logprob_start_len=logprob_start_len,
        top_logprobs_num=top_logprobs_num,
        return_text_in_logprobs=return_text_in_logprobs,
        seed=seed,
        skip_special_tokens=skip_special_tokens,
        token_healing=token_healing,
    )
    return ir.Gen(
        name,
        sampling.checked(where),
        constraint,
        kind,
        schema,
        extra_stops,
        timeout_s=checked_timeout(timeout, where),
    )


def gen_int(
    name: str | None = None,
    max_tokens: int | None = None,
    n: int | None = None,
    stop: str | Sequence[str] | None = None,
    stop_token_ids: Sequence[int] | None = None,
    stop_regex: str | Sequence[str] | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    top_k: int | None = None,
    min_p: float | None = None,
    frequency_penalty: float | None = None,
    presence_penalty: float | None = None,
    ignore_eos: bool | None = None,
    return_logprob: bool | None = None,
    logprob_start_len: int | None = None,
    top_logprobs_num: int | None = None,
    return_text_in_logprobs: bool | None = None,
) -> Expr:
    """`gen(dtype=int)`: a whole number; the variable is its text, `s.value(name)` the int."""
    return gen(
        name, max_tokens, None, n, stop, stop_token_ids, stop_regex, temperature, top_p, top_k,
        min_p, frequency_penalty, presence_penalty, ignore_eos, return_logprob, logprob_start_len,
        top_logprobs_num, return_text_in_logprobs, int,
    )  # fmt: skip


def gen_string(
    name: str | None = None,
    max_tokens: int | None = None,
    n: int | None = None,
    stop: str | Sequence[str] | None = None,
    stop_token_ids: Sequence[int] | None = None,
    stop_regex: str | Sequence[str] | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    top_k: int | None = None,
    min_p: float | None = None,
    frequency_penalty: float | None = None,
    presence_penalty: float | None = None,
    ignore_eos: bool | None = None,
    return_logprob: bool | None = None,
    logprob_start_len: int | None = None,
    top_logprobs_num: int | None = None,
    return_text_in_logprobs: bool | None = None,
) -> Expr:
    """`gen(dtype=str)`: a quoted string; `s.value(name)` is what stands between the quotes."""
    return gen(
        name, max_tokens, None, n, stop, stop_token_ids, stop_regex, temperature, top_p, top_k,
        min_p, frequency_penalty, presence_penalty, ignore_eos, return_logprob, logprob_start_len,
        top_logprobs_num, return_text_in_logprobs, str,
    )  # fmt: skip


def select(
    name: str | None = None,
    choices: Sequence[str] | None = None,
    temperature: float = 0.0,
    choices_method: ChoicesSamplingMethod = token_length_normalized,
) -> ir.Select:
    """The one of `choices` that the model finds likeliest, by the rule `choices_method`."""
    where = f"select({name!r})"
    if isinstance(choices, str) or not choices:
        raise ValueError(f"{where}: choices={choices!r}: expected a non-empty list of strings")
    if not all(isinstance(choice, str) and choice for choice in choices):
        raise ValueError(f"{where}: choices={list(choices)!r}: every choice is a non-empty string")
    if len(choices) > protocol.MAX_CHOICES:
        raise ValueError(f"{where}: {len(choices)} choices; at most {protocol.MAX_CHOICES}")
    if temperature > 1e-5:
        raise ValueError(
            f"{where}: temperature={temperature}: a choice is made by score, not by chance; "
            "leave temperature at 0"
        )
    return ir.Select(name, tuple(choices), choices_method)


def system(expr: Expr | str | None = None) -> ExprList:
    """A system turn with `expr` as its content."""
    return role("system", expr)


def user(expr: Expr | str | None = None) -> ExprList:
    """A user turn with `expr` as its content."""
    return role("user", expr)


def assistant(expr: Expr | str | None = None) -> ExprList:
    """An assistant turn with `expr` as its content."""
    return role("assistant", expr)


def role(name: str, expr: Expr | str | None) -> ExprList:
    """A whole turn of a role."""
    if expr is not None and not isinstance(expr, Expr | str):
        raise TypeError(f"{name}(): expected text or an expression, got {type(expr).__name__}")
    return ir.expr_list([ir.RoleBegin(name), *([] if expr is None else [expr]), ir.RoleEnd(name)])


def system_begin() -> ir.RoleBegin:
    return ir.RoleBegin("system")


def system_end() -> ir.RoleEnd:
    return ir.RoleEnd("system")


def user_begin() -> ir.RoleBegin:
    return ir.RoleBegin("user")


def user_end() -> ir.RoleEnd:
    return ir.RoleEnd("user")


def assistant_begin() -> ir.RoleBegin:
    return ir.RoleBegin("assistant")


def assistant_end() -> ir.RoleEnd:
    return ir.RoleEnd("assistant")


def _dtype(dtype: object, where: str) -> tuple[ValueKind, str, tuple[str, ...]]:
    key = dtype.__name__ if isinstance(dtype, type) else dtype
    if not isinstance(key, str) or key not in _DTYPES:
        raise ValueError(f"{where}: dtype={dtype!r}: expected one of {', '.join(_DTYPES)}")
    return _DTYPES[key]


def _schema_text(schema: str | dict[str, Any], where: str) -> str:
    """The schema as JSON text; only its form is checked, its keywords are the runtime's matter."""
    if isinstance(schema, str):
        try:
            schema = json.loads(schema)
        except json.JSONDecodeError as error:
            raise ValueError(f"{where}: json_schema is not JSON: {error}") from None
    if not isinstance(schema, dict):
        raise ValueError(f"{where}: json_schema: expected an object, got {schema!r}")
    return _compact(schema)


def _compact(schema: dict[str, Any]) -> str:
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))


def __getattr__(name: str) -> object:
    """The other public names: SGLang programs import all of them from here."""
    import branchline

    if name not in branchline.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(branchline, name)
