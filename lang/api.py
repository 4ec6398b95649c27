"""The constructors that programs call: `gen`, `select`, roles and the rest. Arguments are checked
here, once; what they return is appended to a state with `s += ...`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, wraps
from typing import Any, Final, ParamSpec, TypeVar, cast

from branchline.runtime import protocol

from . import ir
from .choices import ChoicesSamplingMethod, token_length_normalized
from .forms import (
    DType,
    GrammarBackend,
    Island,
    OnUnsupported,
    Reading,
    SchemaOptions,
    Separators,
    form_of,
    only_form,
)
from .ir import Expr, ExprList
from .sampling import SamplingOptions, checked_timeout

Made = TypeVar("Made")
Given = ParamSpec("Given")
# A long batch makes the calls of one body; a program of more is as fast as it ever was.
_REMEMBERED: Final = 1_024


def _remembered(make: Callable[Given, Made]) -> Callable[Given, Made]:
    """Nodes do not change, so equal arguments may give the same one: checking them costs more than
    all else that a body does. A type may be completed later, so what has one is made anew."""
    known = cast(Callable[Given, Made], lru_cache(_REMEMBERED, typed=True)(make))

    @wraps(make)
    def made(*args: Given.args, **given: Given.kwargs) -> Made:
        try:
            hash((args, *given.values()))
        except TypeError:
            return make(*args, **given)
        return make(*args, **given) if "schema" in given else known(*args, **given)

    return made


@_remembered
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
    regex: str | re.Pattern[str] | None = None,
    json_schema: str | dict[str, Any] | None = None,
    *,
    schema: Any = None,
    grammar: str | None = None,
    islands: Sequence[Island] | Island | None = None,
    grammar_backend: GrammarBackend | None = None,
    reading: Reading | None = None,
    any_order: bool | None = None,
    on_unsupported: OnUnsupported | None = None,
    separators: Separators | None = None,
    indent: int | None = None,
    max_whitespace: int | None = None,
    seed: int | None = None,
    skip_special_tokens: bool | None = None,
    token_healing: bool | None = None,
    repetition_penalty: float | None = None,
    logit_bias: Mapping[int, float] | None = None,
    timeout: float | None = None,
) -> Expr:
    """A generation call whose output becomes the variable `name`.

    What is None is taken from `run()`. At most one of these holds the output to a form:
    `regex` (the whole output matches), `json_schema` (dict or JSON text), `schema` (a Python type:
    pydantic model, dataclass, TypedDict, Enum, Literal, list[T], ...; `s.value(name)` returns the
    validated object; a dict is a JSON schema), `dtype` (int, float, bool, str), `grammar` (a
    sentence of a GBNF grammar), `islands` (free text; where it writes the `begin` of an `Island`,
    what that allows follows) or `choices` (the same as `select`; sampling arguments do not apply).
    `grammar_backend` says which engine makes the masks. A schema's `reading` is "closed" (no
    members but the declared ones) or "specification", with `any_order` members of small objects
    come in any order, and `on_unsupported="validate"` checks keywords that cannot be enforced when
    the value is there (and generates again, a few times) where they are otherwise refused. Its JSON
    is compact unless `separators` and `indent` (as `json.dumps` takes them) say otherwise, or
    `max_whitespace` leaves so much white space at a place to the model. With `n` > 1 the variable
    is a list and the text goes on with its first. `token_healing=True` is for prompts that end
    inside a token ("http:"): the output may then begin with any token that spells their end, and
    take as many tokens more as the end had. Where a stop may begin in that end, nothing is healed.
    `skip_special_tokens=False` leaves the model's control tokens in the text. `repetition_penalty`
    also counts the prompt's tokens; `logit_bias` maps token ids to what is added to their logits.
    A call that has no result `timeout` seconds after it began fails with TimeoutExceeded.

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
        "grammar": grammar,
        "islands": islands,
    }
    form_name = only_form(forms, where)
    if choices:
        return select(name, choices, temperature or 0.0, choices_method or token_length_normalized)
    options = SchemaOptions(reading, any_order, on_unsupported, separators, indent, max_whitespace)
    form = form_of(where, form_name, forms.get(form_name or ""), grammar_backend, options)

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
        repetition_penalty=repetition_penalty,
        logit_bias=logit_bias,
    )
    return ir.Gen(
        name,
        sampling.checked(where),
        form.constraint,
        form.kind,
        schema,
        form.extra_stops,
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
    given = () if choices is None or isinstance(choices, str) else tuple(choices)
    if not given:
        raise ValueError(f"{where}: choices={choices!r}: expected a non-empty list of strings")
    if not all(isinstance(choice, str) and choice for choice in given):
        raise ValueError(f"{where}: choices={list(given)!r}: every choice is a non-empty string")
    if len(given) > protocol.MAX_CHOICES:
        raise ValueError(f"{where}: {len(given)} choices; at most {protocol.MAX_CHOICES}")
    if temperature > 1e-5:
        raise ValueError(
            f"{where}: temperature={temperature}: a choice is made by score, not by chance; "
            "leave temperature at 0"
        )
    return ir.Select(name, tuple(map(str.__str__, given)), choices_method)


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
    begin, end = _ends(name)
    inside = () if expr is None else ir.flatten(expr)
    return ExprList((begin, *inside, end))


@lru_cache
def _ends(name: str) -> tuple[ir.RoleBegin, ir.RoleEnd]:
    return ir.RoleBegin(name), ir.RoleEnd(name)


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


def __getattr__(name: str) -> object:
    """The other public names: SGLang programs import all of them from here."""
    import branchline

    if name not in branchline.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(branchline, name)
