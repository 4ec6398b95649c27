"""Choosing a tool and its arguments, and answering from what the tool returned."""

from __future__ import annotations

from . import values
from .chat import Message, Param, Sample, Tool, tool_call, tool_lines
from .schema import Value, compact_json
from .tool_phrases import FRAMES, OPENINGS, ORDERS, SUFFIXES
from .tool_specs import SPECS, Slot, Spec, one_of
from .tool_words import (
    CHOICES,
    JOINTS,
    MADE_UP_DESCRIPTIONS,
    NOUNS,
    PARAMETERS,
    SMALL_TALK,
    SYSTEMS,
    VERBS,
)
from .writer import Writer, capital, reads_like


def _arbitrary(w: Writer) -> Spec:
    """A tool that no list holds: any verb and noun, parameters named in the request."""
    verb = w.pick(tuple(VERBS))
    noun = w.pick(NOUNS) if w.chance(0.8) else values.syllables(w, 2, 2)
    slots = tuple(
        Slot((name,), kind, getattr(values, maker))
        for name, kind, maker in w.some(PARAMETERS, 1, 3)
    )
    if w.chance(0.2):
        name, options = w.pick(CHOICES)
        slots = tuple(w.shuffled((*slots[:2], Slot((name,), "string", one_of(*options), options))))
    tail = ""
    for i, slot in enumerate(slots):
        joint = w.template(JOINTS).replace("{n}", slot.names[0].replace("_", " "))
        tail += joint.replace("{v}", f"{{{i}}}")
    article = w.pick(("the ", "the ", "a ", "this ", "that ", "my ", "our ", ""))
    asked = w.pick(VERBS[verb]) if w.chance(0.5) else verb
    request = _framed(w, f"{asked} {article}{noun}{tail}")
    description = w.say(MADE_UP_DESCRIPTIONS, v=verb, V=capital(verb), n=noun)
    name = f"{noun}_{verb}" if w.chance(0.1) else f"{verb}_{noun}"
    return Spec((name,), (description,), slots, (request,), (("status", lambda _: "ok"),), "Done.")


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
            phrase = w.say(slot.phrases, v=value)
            extra += phrase if phrase.startswith(",") else f" {phrase}"
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
        messages += [Message("user", w.say(said)), Message("assistant", reply)]
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
    return Sample("tools", messages, gold, tools=tuple(tool for tool, _, _ in named))


def _result(w: Writer, spec: Spec) -> list[Message]:
    result = {key: make(w) for key, make in spec.result}
    told = (
        compact_json(result) if w.chance(0.7) else ", ".join(f"{k}: {v}" for k, v in result.items())
    )
    return [Message("tool", told), Message("assistant", spec.answer.format(*result.values()))]
