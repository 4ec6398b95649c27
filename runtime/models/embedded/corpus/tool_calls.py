"""Choosing a tool and its arguments, and answering from what the tool returned."""

# Tables of wordings read better packed than one string per line.
# fmt: off
from __future__ import annotations

from . import values
from .chat import Message, Param, Sample, Tool, tool_call, tool_lines
from .schema import Value, compact_json
from .tool_phrases import FRAMES, OPENINGS, ORDERS, SUFFIXES
from .tool_specs import SPECS, Slot, Spec
from .writer import Writer, capital, reads_like

SYSTEMS = (
    "", "", "You are a helpful assistant.", "Use a tool when it helps.", "Call the right tool.",
        "Answer with a tool call.", "You can call tools.", "Choose a tool for the request.",
        "Help the user.",
)
SMALL_TALK = (
    ("Hello!", "Hello! How can I help you?"), ("Hi", "Hello! How can I help you?"), ("Thank you!",
        "You are welcome!"),
    ("Thanks, that is all.", "You are welcome!"), ("Good morning", "Hello! How can I help you?"), (
        "Bye!", "Goodbye!"),
)


# fmt: on
def _arbitrary(w: Writer) -> Spec:
    """A tool that no list holds: made-up verb and noun, parameters named in the request."""
    verb = w.pick(
        (
            "get",
            "find",
            "set",
            "update",
            "check",
            "create",
            "delete",
            "list",
            "start",
            "count",
            "show",
            "load",
        )
    )
    noun = w.pick(
        (
            "invoice",
            "sensor",
            "customer",
            "room",
            "user",
            "vehicle",
            "report",
            "project",
            "account",
            "device",
            "lesson",
            "parcel",
            "player",
            "patient",
            "server",
            "garden",
            values.syllables(w, 2, 2),
        )
    )
    pool: list[tuple[str, str, str]] = [
        ("id", "string", "code"),
        ("name", "string", "person"),
        ("city", "string", "city"),
        ("date", "date", "date"),
        ("limit", "integer", "quantity"),
        ("code", "string", "code"),
        ("company", "string", "company"),
        ("count", "integer", "quantity"),
        ("email", "string", "email"),
        ("color", "string", "syllables"),
        ("size", "integer", "quantity"),
        ("owner", "string", "person"),
    ]
    chosen = w.some(pool, 1, 3)
    slots = tuple(Slot((name,), kind, getattr(values, maker)) for name, kind, maker in chosen)
    joint = w.pick(
        (
            " with {n} {{{i}}}",
            ", {n} {{{i}}}",
            " where the {n} is {{{i}}}",
            " for {n} {{{i}}}",
            ", {n}: {{{i}}}",
        )
    )
    tail = "".join(joint.format(n=slot.names[0], i=i) for i, slot in enumerate(slots))
    article = w.pick(("the ", "the ", "a ", "this ", ""))
    request = _framed(w, f"{verb} {article}{noun}{tail}")
    return Spec(
        (f"{verb}_{noun}",),
        (f"{verb.capitalize()} a {noun}",),
        slots,
        (request,),
        (("status", lambda _: "ok"),),
        "Done.",
    )


def _framed(w: Writer, order: str) -> str:
    """An order such as "book a table" as a whole request."""
    return w.template(FRAMES).replace("{p}", order).replace("{P}", capital(order))


def _tool(w: Writer, spec: Spec) -> tuple[Tool, list[str]]:
    """One naming of the tool, and the parameter names chosen."""
    names: list[str] = []
    for slot in spec.slots:
        names.append(w.pick([n for n in slot.names if n not in names] or slot.names))
    params = tuple(
        Param(name, slot.kind, slot.options, bool(slot.phrases))
        for name, slot in zip(names, spec.slots, strict=True)
    )
    return Tool(w.pick(spec.names), w.pick(spec.descriptions), params), names


def _request(w: Writer, spec: Spec, names: list[str]) -> tuple[str, dict[str, Value]]:
    """A request for the tool and the arguments it holds."""
    made: list[Value] = []
    arguments: dict[str, Value] = {}
    extra = ""
    for slot, name in zip(spec.slots, names, strict=True):
        if slot.phrases and w.chance(0.55):
            continue
        value = slot.make(w)
        arguments[name] = value
        if slot.phrases:
            extra += " " + w.pick(slot.phrases).format(v=value)
        else:
            made.append(value)
    return _around(w, wording(w, spec, made, extra)), arguments


def wording(w: Writer, spec: Spec, made: list[Value], extra: str) -> str:
    """A request with its values; extra: what the optional ones add.

    A framed order that reads like one of the tool's own requests is not used: that may be held out.
    """
    if len(spec.requests) == 1:
        template = spec.requests[0]
    else:
        order = w.pick(ORDERS[spec.names[0]])
        template = _framed(w, order + "{extra}")
        if w.chance(0.6) and not reads_like(template.replace("{extra}", ""), spec.requests):
            return template.format(*made, extra=extra)
        template = w.template(spec.requests)
    for mark in (", please.", ".", "?", "!"):
        if template.endswith(mark):
            return template.removesuffix(mark).format(*made) + extra + mark
    return template.format(*made) + extra


def _around(w: Writer, request: str) -> str:
    """The request with, now and then, words before and after it."""
    opening = w.template(OPENINGS) if w.chance(0.4) else ""
    suffix = w.template(SUFFIXES) if request[-1] in ".?!" and w.chance(0.15) else ""
    return opening + capital(request) + suffix


def choose_tool(w: Writer) -> Sample:
    """One to three requests with two to five tools at hand."""
    pool = w.some(SPECS, 2, 5)
    if w.chance(0.45):
        pool[0] = _arbitrary(w)
    if w.chance(0.2):
        pool.append(_arbitrary(w))
    specs = w.shuffled(pool)
    named: list[tuple[Tool, list[str], Spec]] = []
    for spec in specs:
        tool, names = _tool(w, spec)
        if tool.name not in {t.name for t, _, _ in named}:
            named.append((tool, names, spec))
    system = w.say(SYSTEMS)
    head = (system + "\n" if system else "") + tool_lines([tool for tool, _, _ in named])
    messages, gold = [Message("system", head)], []
    if w.chance(0.08):
        said, reply = w.pick(SMALL_TALK)
        messages += [Message("user", said), Message("assistant", reply)]
    for _ in range(w.pick((1, 1, 2, 2, 3))):
        tool, names, spec = w.pick(named)
        request, arguments = _request(w, spec, names)
        call = tool_call(tool.name, arguments)
        twice = len(spec.requests) > 1 and w.chance(0.1)
        if twice:
            also, more = _request(w, spec, names)
            request, call = f"{request} {also}", call + tool_call(tool.name, more)
        messages += [Message("user", request), Message("assistant", call)]
        gold.append(len(messages) - 1)
        if w.chance(0.5) and not twice:
            messages += _result(w, spec)
    return Sample("tools", messages, gold)


def _result(w: Writer, spec: Spec) -> list[Message]:
    result = {key: make(w) for key, make in spec.result}
    told = (
        compact_json(result) if w.chance(0.7) else ", ".join(f"{k}: {v}" for k, v in result.items())
    )
    return [Message("tool", told), Message("assistant", spec.answer.format(*result.values()))]
