"""Extraction: a scene, a schema for it with freely chosen keys, and the record."""

from __future__ import annotations

from .scene import Fact, Scene
from .schema import Field, Value, compact_json, outline
from .writer import Writer

INSTRUCTIONS = (
    "Extract a record from the document as JSON with these fields:\n{outline}",
    "Extract a record from the document as JSON with these fields:\n{outline}",
    "Extract the fields as JSON:\n{outline}",
    "Read the document and answer with one JSON object of this form:\n{outline}",
    "Return JSON that matches this schema: {outline}",
    "Fill in this record from the text: {outline}",
    "You extract data. Output only JSON of the shape\n{outline}",
    "Turn the [text|message|document] into JSON. Fields: {outline}",
    "Schema: {outline}\nAnswer with the matching JSON.",
    "Find these values in the user's text and give them as JSON: {outline}",
    "Convert the [input|document] to a JSON record:\n{outline}",
    "Give the data of the document as JSON.\n{outline}",
    "Parse the document. The answer is JSON like {outline}",
    "Pull these details out of the text as JSON: {outline}",
)
STANDARD = INSTRUCTIONS[0]


def _camel(key: str) -> str:
    head, *tail = key.split("_")
    return head + "".join(part.capitalize() for part in tail)


def make_record(w: Writer, scene: Scene) -> tuple[tuple[Field, ...], dict[str, Value]]:
    """Choose fields of the scene and name them; return the schema and the record."""
    stated = [f for f in scene.facts if f.value is not None or f.parts]
    absent = [f for f in scene.facts if f.value is None and not f.parts]
    if w.chance(0.55):
        stated = w.some(stated, 1, len(stated))
        stated.sort(key=scene.facts.index)
    chosen = stated + w.some(absent, 0, 2)
    if w.chance(0.5):
        chosen.sort(key=scene.facts.index)
    elif w.chance(0.6):
        chosen = w.shuffled(chosen)
    camel = w.chance(0.08)
    first_key = w.chance(0.35)
    fields: list[Field] = []
    record: dict[str, Value] = {}
    for fact in chosen:
        key = fact.keys[0] if first_key else w.pick(fact.keys)
        key = _camel(key) if camel else key
        if key in record:
            continue
        made, value = _field(w, fact, key, first_key, camel)
        fields.append(made)
        record[key] = value
    return tuple(fields), record


def _field(w: Writer, fact: Fact, key: str, first_key: bool, camel: bool) -> tuple[Field, Value]:
    nullable = fact.value is None and not fact.parts
    nullable = nullable or (fact.kind != "items" and w.chance(0.15))
    options = w.pick(fact.options) if fact.options else ()
    if fact.kind != "items":
        return Field(key, fact.kind, options, (), nullable), fact.value
    shape = list(range(len(fact.parts[0])))
    if w.chance(0.3):
        shape = sorted(w.some(shape, 1, len(shape)))
    if w.chance(0.2):
        shape = w.shuffled(shape)
    keys: dict[int, str] = {}
    for index in shape:
        names = [k for k in fact.parts[0][index].keys if k not in keys.values()]
        name = names[0] if first_key else w.pick(names)
        keys[index] = _camel(name) if camel else name
    fields = tuple(Field(keys[i], fact.parts[0][i].kind) for i in shape)
    rows: list[Value] = [{keys[i]: part[i].value for i in shape} for part in fact.parts]
    return Field(key, "items", (), fields), rows


def instruction(w: Writer, fields: tuple[Field, ...]) -> str:
    """The system text that asks for the record."""
    template = STANDARD if w.chance(0.4) else w.template(INSTRUCTIONS)
    return template.replace("{outline}", outline(fields))


def record_text(record: dict[str, Value]) -> str:
    """The answer."""
    return compact_json(record)
