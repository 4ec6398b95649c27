"""JSON in three ways: by a regular expression, by a JSON schema, and by a Python type.

The output parses in all three cases, whatever the model: what the form forbids is never sampled.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

import branchline as bl

REGEX = (
    r'\{"name": "[A-Za-z ]{1,24}", "house": "(Gryffindor|Slytherin|Ravenclaw|Hufflepuff)", '
    r'"alive": (true|false), "age": [0-9]{1,3}\}'
)
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 24},
        "house": {"enum": ["Gryffindor", "Slytherin", "Ravenclaw", "Hufflepuff"]},
        "alive": {"type": "boolean"},
        "age": {"type": "integer", "minimum": 0, "maximum": 200},
    },
    "required": ["name", "house", "alive", "age"],
    "additionalProperties": False,
}


class House(enum.Enum):
    GRYFFINDOR = "Gryffindor"
    SLYTHERIN = "Slytherin"
    RAVENCLAW = "Ravenclaw"
    HUFFLEPUFF = "Hufflepuff"


@dataclass
class Character:
    name: str
    house: House
    alive: bool
    age: int


@bl.function
def describe(s: bl.ProgramState, name: str, **form: Any) -> None:
    s += bl.user(f"Describe {name} from Harry Potter as JSON: name, house, alive, age.")
    s += bl.assistant(bl.gen("character", max_tokens=96, temperature=0.0, **form))


def three_ways(name: str, backend: object) -> tuple[str, dict[str, Any], Character]:
    """The text that matches REGEX, the data that validates against SCHEMA, and the object."""
    by_regex = describe(name, regex=REGEX, backend=backend)
    by_schema = describe(name, json_schema=SCHEMA, backend=backend)
    by_type = describe(name, schema=Character, backend=backend)
    return (
        by_regex["character"],
        by_schema.value("character"),
        by_type.value("character", Character),
    )


if __name__ == "__main__":
    with bl.Runtime() as runtime:
        for result in three_ways("Hermione Granger", runtime):
            print(repr(result))
