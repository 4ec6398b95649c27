"""Where chat templates run: jinja2's immutable sandbox, with bounds on what a template may use.

The sandbox keeps a template from Python's insides, but lets it run for ever and grow without end.
Here loops, look-ups and calls look at a clock, and whatever makes a larger value out of smaller
ones is measured. Used by template.py.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from string import Formatter
from typing import Any, Final, NoReturn

import jinja2.ext
import jinja2.filters
from jinja2 import nodes
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

MAX_RENDERED_CHARS: Final = 1024 * 1024
# Of processor time: a template of a real model takes a thousandth.
MAX_RENDER_S: Final = 0.2
# What one step counts at most. None of a template's own takes longer, by the bounds below: it was
# the collection of a large process's garbage that fell into it.
_MAX_STEP_S: Final = MAX_RENDER_S / 4
_MAX_ITEMS: Final = 100_000
# Values within a value, about a millisecond of them, between two looks at the clock.
_LOOK_EVERY: Final = 512
_MAX_INT_BITS: Final = 4_096
_MAX_INDENT: Final = 64
# Calls within calls, of macros and recursive loops: Python's own bound belongs to the process, and
# where somebody has raised it the stack overflows first.
_MAX_CALLS: Final = 100

# What chat templates are made of. Left out is what pads, repeats or formats by a number.
_FILTERS: Final = (
    *("abs", "attr", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first"),
    *("float", "forceescape", "int", "items", "last", "length", "list", "lower", "map", "max"),
    *("min", "reject", "rejectattr", "reverse", "safe", "select", "selectattr", "sort", "string"),
    *("title", "trim", "truncate", "unique", "upper"),
)
_TEXT_METHODS: Final = frozenset(
    {
        *("capitalize", "casefold", "count", "endswith", "find", "index", "isalnum"),
        *("isalpha", "isascii", "isdecimal", "isdigit", "islower", "isnumeric", "isspace"),
        *("istitle", "isupper", "join", "lower", "lstrip", "partition", "removeprefix"),
        *("removesuffix", "replace", "rfind", "rindex", "rpartition", "rsplit", "rstrip", "split"),
        *("splitlines", "startswith", "strip", "swapcase", "title", "upper"),
    }
)


class TemplateError(ValueError):
    """The template does not parse, refuses the messages, or costs too much."""


class GenerationTag(jinja2.ext.Extension):
    """Transformers' `{% generation %}` block marks trained text; here it is transparent."""

    tags = {"generation"}  # noqa: RUF012 (jinja2's own class attribute)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class Sandbox(ImmutableSandboxedEnvironment):
    """See the module's text. `start` winds the clock for one rendering."""

    intercepted_binops = frozenset(["+", "*", "**", "%"])

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[GenerationTag, jinja2.ext.loopcontrols],
            finalize=_shown,
        )
        self._left_s = self._looked_s = float("inf")
        self._num_calls = 0
        self.filters = {name: jinja2.filters.FILTERS[name] for name in _FILTERS}
        self.filters |= {
            "tojson": _to_json,
            "join": _join,
            "replace": lambda text, old, new: _replace(str(text), str(old), str(new)),
            "indent": _indent,
            "round": _round,
            _CLOCKED: lambda items: _Clocked(items, self.check_clock),
            _CONCATENATED: lambda parts: _join(parts, ""),
            _WEIGHED: self._weighed,
        }
        del self.globals["lipsum"]
        self.globals["raise_exception"] = _raise_exception
        self.globals["strftime_now"] = time.strftime

    def start(self) -> None:
        """Give the template its time from now on."""
        self._num_calls = 0
        self._left_s = MAX_RENDER_S
        self._looked_s = time.thread_time()

    def check_clock(self) -> None:
        """Raise TemplateError when the time is over."""
        now_s = time.thread_time()
        self._left_s -= min(now_s - self._looked_s, _MAX_STEP_S)
        self._looked_s = now_s
        if self._left_s < 0:
            raise TemplateError(f"the chat template ran for more than {MAX_RENDER_S} s")

    def _weighed(self, value: Any) -> Any:
        """The value, if it holds no more items at all depths than are allowed: lists of lists grow
        with every level, and so does what they are as text."""
        if isinstance(value, list | tuple | dict):
            left, num_seen = _MAX_ITEMS, 0
            waiting = [value]
            while waiting:
                item = waiting.pop()
                num_seen += 1
                if num_seen % _LOOK_EVERY == 0:
                    self.check_clock()
                left -= len(item)
                if left < 0:
                    raise TemplateError(
                        f"the chat template makes a value of over {_MAX_ITEMS} items"
                    )
                inner = item.values() if isinstance(item, dict) else item
                waiting += [one for one in inner if isinstance(one, list | tuple | dict)]
                _check_chars(sum(len(one) for one in inner if isinstance(one, str)))
        return value

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree: nodes.Template = _Bounded().visit(super()._parse(source, name, filename))
        return tree

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        self.check_clock()
        if operator == "%" and isinstance(left, str):
            raise TemplateError("the chat template formats with %, which is not supported")
        if isinstance(left, int) and isinstance(right, int):
            _check_number(operator, left, right)
        elif operator == "*":
            sized, count = (right, left) if isinstance(left, int) else (left, right)
            if isinstance(sized, str | list | tuple) and isinstance(count, int):
                _check_chars(len(sized) * count)
        elif operator == "+" and isinstance(left, str) and isinstance(right, str):
            _check_chars(len(left) + len(right))
        return self._weighed(super().call_binop(context, operator, left, right))

    def getattr(self, obj: Any, attribute: str) -> Any:
        self.check_clock()
        return super().getattr(obj, attribute)

    def wrap_str_format(self, value: Any) -> Any:
        wrapped = super().wrap_str_format(value)
        if wrapped is not None and any(spec for _, _, spec, _ in Formatter().parse(value.__self__)):
            raise TemplateError("the chat template formats with widths, which is not supported")
        return wrapped

    def call(self, context: Any, called: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.check_clock()
        text = getattr(called, "__self__", None)
        if isinstance(text, str):
            return self._weighed(self._call_text(context, called, text, args, kwargs))
        if self._num_calls >= _MAX_CALLS:
            raise TemplateError(f"the chat template calls over {_MAX_CALLS} levels deep")
        self._num_calls += 1
        try:
            return self._weighed(super().call(context, called, *args, **kwargs))
        finally:
            self._num_calls -= 1

    def _call_text(
        self, context: Any, called: Any, text: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """A method of a text, if it is one that cannot pad or repeat."""
        name = called.__name__
        if name not in _TEXT_METHODS:
            raise TemplateError(f"the chat template calls str.{name}, which is not supported")
        match name, args:
            case "join", (items,):
                return _join(items, text)
            case "replace", (str(old), str(new), *rest):
                _check_replaced(text, old, new)
                return text.replace(old, new, *rest)
        return super().call(context, called, *args, **kwargs)


_CLOCKED, _CONCATENATED, _WEIGHED = "_clocked", "_concatenated", "_weighed"


class _Bounded(NodeTransformer):
    """Puts the bounds where jinja2 has no hook: loops, `~`, and lists and the like."""

    def visit_For(self, node: nodes.For) -> nodes.For:
        self.generic_visit(node)
        node.iter = _filtered(node.iter, _CLOCKED)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Expr:
        self.generic_visit(node)
        return _filtered(nodes.List(node.nodes, lineno=node.lineno), _CONCATENATED)

    def visit_List(self, node: nodes.List) -> nodes.Expr:
        self.generic_visit(node)
        return _filtered(node, _WEIGHED)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Expr:
        self.generic_visit(node)
        return _filtered(node, _WEIGHED)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Expr:
        self.generic_visit(node)
        # Names that are assigned to stand in a tuple, too.
        return _filtered(node, _WEIGHED) if node.ctx == "load" else node


def _filtered(node: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


class _Clocked:
    """What a loop goes through, with a look at the clock before each turn."""

    def __init__(self, items: Iterable[Any], check: Callable[[], None]) -> None:
        self._items = items
        self._check = check

    def __iter__(self) -> Iterator[Any]:
        for item in self._items:
            self._check()
            yield item

    def __len__(self) -> int:
        # Where there is none, jinja2 counts.
        return len(self._items)  # type: ignore[arg-type]


def _check_chars(number: int) -> None:
    if number > MAX_RENDERED_CHARS:
        raise TemplateError(f"the chat template makes a value of over {MAX_RENDERED_CHARS} parts")


def _check_number(operator: str, left: int, right: int) -> None:
    bits = left.bit_length() * max(right, 1) if operator == "**" else left.bit_length()
    if max(bits, right.bit_length()) > _MAX_INT_BITS:
        raise TemplateError(f"the chat template computes a number of over {_MAX_INT_BITS} bits")


def _shown(value: Any) -> Any:
    if isinstance(value, Namespace):
        raise TemplateError("the chat template writes a namespace")
    return value


def _join(items: Iterable[Any], separator: object = "", attribute: str | None = None) -> str:
    if attribute is not None:
        raise TemplateError("the chat template joins by an attribute; use map(attribute=...)")
    between, total, pieces = str(separator), 0, []
    for item in items:
        pieces.append(str(_shown(item)))
        total += len(pieces[-1]) + len(between)
        _check_chars(total)
    return between.join(pieces)


def _check_replaced(text: str, old: str, new: str) -> None:
    _check_chars(len(text) + text.count(old) * max(0, len(new) - len(old)))


def _replace(text: str, old: str, new: str) -> str:
    _check_replaced(text, old, new)
    return text.replace(old, new)


def _indent(text: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    if (len(width) if isinstance(width, str) else width) > _MAX_INDENT:
        raise TemplateError(f"the chat template indents by over {_MAX_INDENT}")
    return jinja2.filters.do_indent(text, width, first, blank)


def _round(value: float, precision: int = 0, method: str = "common") -> float:
    if abs(precision) > _MAX_INDENT:
        raise TemplateError(f"the chat template rounds to over {_MAX_INDENT} digits")
    return jinja2.filters.do_round(value, precision, method)  # type: ignore[arg-type]


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Transformers' `tojson`: unlike jinja2's own it does not escape for HTML."""
    if indent is not None and (not isinstance(indent, int) or indent > _MAX_INDENT):
        raise TemplateError(f"the chat template indents by over {_MAX_INDENT}")
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)
