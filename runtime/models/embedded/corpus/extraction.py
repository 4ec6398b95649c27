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
    "Produce a JSON object of the form {outline} from the [text|message|document].",
    "Your task: read what the user sends and reply with JSON: {outline}",
    "The user sends a document. Reply with its data in this form: {outline}",
    "Structure the [text|input] as follows:\n{outline}",
    "Write one JSON object with these keys and types: {outline}",
    "Capture the [facts|details|values] of the [text|document] in this shape:\n{outline}",
    "JSON only. Form: {outline}",
    "Output format:\n{outline}\nNo other text.",
    "Respond with nothing but JSON of this type: {outline}",
    "Target record:\n{outline}",
    "Data to collect: {outline}",
    "Collect the following from the [document|mail|text]: {outline}",
    "Which values does the text give? Answer as {outline}",
    "What does the document state? Use this JSON form: {outline}",
    "Please extract {outline} from the [text|document] below.",
    "Please return a record like this one:\n{outline}",
    "Kindly fill this form with the values of the text:\n{outline}",
    "I need the following as JSON: {outline}",
    "We store documents as {outline}. Convert this one.",
    "Our database expects {outline}. Give the entry for this [text|document].",
    "Map the [text|document|message] to {outline}",
    "Transform the document below into structured data:\n{outline}",
    "You turn documents into JSON records. The record looks like this: {outline}",
    "You are a data extractor. Schema:\n{outline}",
    "You are an assistant that reads documents and returns {outline}",
    "You are a parser. Input: a text. Output: {outline}",
    "Act as a form filler. The form is {outline}",
    "Copy the values from the document into {outline}",
    "Take the values word for word from the text. Format: {outline}",
    "Look for these fields in the [text|document] and list them as JSON: {outline}",
    "Identify the fields below and answer in JSON.\n{outline}",
    "Fields to extract: {outline}",
    "Expected output: {outline}",
    "Answer in the format {outline}",
    "Reply with a single JSON object: {outline}",
    "Only answer with valid JSON that fits {outline}",
    "Generate a JSON object that follows this schema:\n{outline}",
    "The answer must be JSON and match the following type:\n{outline}",
    "Make a record of the document. Its type is {outline}",
    "From the user's [message|document|text], get {outline}",
    "Gather this information from the text and put it in JSON:\n{outline}",
    "Summarise the data of the [text|message] as JSON of the form {outline}",
    "Represent the content as {outline}",
    "Read the [text|mail|note] carefully, then write {outline}",
    "Here is a schema:\n{outline}\nExtract the matching values.",
    "Use this schema to extract data from the text: {outline}",
    "Given a document, give back {outline}",
    "Given the text, write the record {outline} in JSON.",
    "Keys and types: {outline}. Take the values from the document.",
    "Information extraction. Schema: {outline}",
    "Task: extraction. Result: {outline}",
    "Fill the slots of {outline} with what the document says.",
    "Complete the JSON below with the data of the text.\n{outline}",
    "For each document, return JSON such as {outline}",
    "Each field of this record stands in the text. Find it: {outline}",
    "Use null for what the text leaves out. Record: {outline}",
    "Put the details of the [text|document] into this structure:\n{outline}",
    "Record the contents of the user's document as JSON, type {outline}",
    "Deliver the extracted values as one compact JSON object: {outline}",
    "Type of the answer: {outline}\nRead the document and answer.",
    "Scan the document for the data named here and return JSON. {outline}",
    "Translate the [text|document] to this JSON type: {outline}",
    "Digitise this document. Fields and types are {outline}",
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
