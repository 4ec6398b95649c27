"""Outputs of the embedded model are read as the type that they were asked for, whatever it is:
types that no grammar can hold an output to are refused by name before."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import fractions
import ipaddress
import pathlib
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict

import pydantic
import pytest
from pydantic import BaseModel, Field

import branchline as bl

SEEDS = range(4)
REFUSAL = re.compile(r"schema=.*: no (output can be held to .*; use |JSON is made of it)")
Decimal = decimal.Decimal


class Kind(enum.Enum):
    CAT = "cat"
    DOG = "dog"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Name(enum.StrEnum):
    ANN = "Ann"


class Mixed(enum.Enum):
    ONE = 1
    X = "x"
    HALF = 0.5
    NOTHING = None


class Pair(enum.Enum):
    ONE = (1, 2)


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: Annotated[int, Field(ge=0, le=9)]
    price: Annotated[Decimal, Field(gt=0, max_digits=5, decimal_places=2)] = Decimal(1)


class Dog(BaseModel):
    kind: Literal[Name.ANN]
    born: datetime.date | None


class Tagged(BaseModel):
    kind: Literal[Kind.CAT]


@dataclass
class Point:
    x: int
    y: float


class Row(TypedDict):
    a: bool
    b: NotRequired[str]


class Place(NamedTuple):
    street: str
    number: int


TYPES: list[Any] = [
    *(int, float, bool, str, bytes, object, list, dict, tuple, Any),
    *(Kind, Level, Name, Mixed, Pair, Cat, Dog, Tagged, Point, Row, Place),
    *(Literal["a", 1, None], Literal[True], Literal[Level.LOW], Literal[Kind.CAT], Literal[b"x"]),
    *(Cat | Dog, int | None, Annotated[Cat | Dog, Field(discriminator="kind")]),
    *(list[int], set[int], frozenset[str], tuple[int, ...], tuple[int, str], list[Kind | None]),
    *(collections.deque[int], collections.OrderedDict[int, int], collections.Counter[str]),
    *(dict[key, int] for key in (int, float, bool, str, bytes, Kind, Level, Decimal, Any)),
    *(dict[key, int] for key in (int | str, int | None, Literal["a", "b"], Literal[1], None)),
    *(dict[key, int] for key in (datetime.date, datetime.datetime, uuid.UUID, tuple[int, int])),
    dict[Annotated[int, Field(ge=5, le=5_000)], str],
    dict[Annotated[str, Field(pattern="^[a-c]+$")], int],
    Annotated[dict[int, int], Field(min_length=2, max_length=3)],
    Annotated[dict[Kind, int], Field(min_length=2)],
    Annotated[list[int], Field(min_length=2, max_length=3)],
    Annotated[set[int], Field(min_length=2, max_length=3)],
    *(Annotated[int, Field(**bounds)] for bounds in ({"ge": 7, "le": 25}, {"multiple_of": 3})),
    *(Annotated[float, Field(**bounds)] for bounds in ({"gt": 0, "lt": 1}, {"multiple_of": 0.5})),
    *(Decimal, fractions.Fraction, complex),
    *(
        Annotated[Decimal, Field(**bounds)]
        for bounds in (
            *(
                {"ge": 0},
                {"gt": 0},
                {"lt": 0},
                {"ge": 0, "le": 10},
                {"gt": -1, "lt": Decimal("0.5")},
            ),
            *({"max_digits": 4}, {"max_digits": 4, "decimal_places": 2}, {"decimal_places": 0}),
            *({"max_digits": 3, "ge": 10, "decimal_places": 1}, {"multiple_of": 2}),
            *({"max_digits": 2, "decimal_places": 4}, {"ge": 5, "le": 3}, {"max_digits": 38}),
        )
    ),
    *(Annotated[str, Field(**form)] for form in ({"min_length": 2}, {"pattern": r"^\d+$"})),
    Annotated[str, pydantic.StringConstraints(strip_whitespace=True, min_length=2)],
    *(datetime.date, datetime.datetime, datetime.time, datetime.timedelta),
    *(pydantic.NaiveDatetime, pydantic.AwareDatetime, pydantic.PastDate, pydantic.FutureDatetime),
    Annotated[datetime.date, Field(gt=datetime.date(2019, 12, 30), le=datetime.date(2020, 3, 1))],
    Annotated[datetime.timedelta, Field(ge=datetime.timedelta(0))],
    *(pydantic.Json[list[int]], pydantic.ImportString, pydantic.ByteSize, type[int]),
    *(pydantic.FilePath, pydantic.DirectoryPath, pydantic.NewPath, pathlib.Path),
    *(pydantic.Base64Bytes, pydantic.Base64Str, pydantic.SecretStr, pydantic.Secret[int]),
    *(uuid.UUID, pydantic.UUID1, pydantic.UUID4, pydantic.UUID5),
    *(ipaddress.IPv4Address, ipaddress.IPv6Address, ipaddress.IPv4Network),
    *(re.Pattern[str], re.Pattern[bytes]),
    *(pydantic.HttpUrl, pydantic.AnyUrl, pydantic.FileUrl, pydantic.PostgresDsn),
]


@pytest.fixture(scope="module")
def engine() -> Iterator[bl.Engine]:
    with bl.Engine("embedded") as engine:
        yield engine


def sample(s: bl.ProgramState, kind: Any, seed: int) -> Any:
    s += bl.user("Write one: 5, 2024-01-02, a, cat, -0.5.")
    s += bl.assistant(bl.gen("x", schema=kind, max_tokens=40, temperature=1.0, seed=seed))
    return s.value("x", kind)


def test_a_type_is_refused_or_its_outputs_are_valid(engine: bl.Engine) -> None:
    enforced, refused = [], []
    for kind in TYPES:
        try:
            bl.gen("x", schema=kind)
            enforced.append(kind)
        except TypeError as error:
            refused.append(str(error))
    assert len(enforced) >= 80
    assert [told for told in refused if not REFUSAL.search(told)] == []

    runs = [{"kind": kind, "seed": seed} for kind in enforced for seed in SEEDS]
    states = bl.function(sample).run_batch(runs, backend=engine, on_error="return")
    errors = [error for state in states if (error := state.error()) is not None]
    # What the runtime refuses it refuses by name: multiples of 0.5.
    assert [str(error) for error in errors if not isinstance(error, bl.GrammarError)] == []
    assert len(errors) == len(SEEDS)
