"""Reading tool calls from pieces: however an output is cut, it says what `ToolFormat.parse` says of
the whole."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchline.runtime.tool_formats import (
    EMBEDDED,
    HERMES,
    JSON,
    LLAMA3,
    MISTRAL,
    MISTRAL_ARGS,
    RawCall,
    ToolFormat,
)
from branchline.runtime.tool_stream import ToolCallReader, ToolEvent

FORMATS = [EMBEDDED, HERMES, LLAMA3, MISTRAL, MISTRAL_ARGS, JSON]

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,8}", fullmatch=True)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just('{"}]\\'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
calls = st.builds(
    lambda name, arguments, spaced: RawCall(
        name, json.dumps(arguments, separators=None if spaced else (",", ":"))
    ),
    names,
    st.dictionaries(st.text(max_size=3), values, max_size=3),
    st.booleans(),
)


def read(tool_format: ToolFormat, pieces: list[str]) -> tuple[str, list[RawCall]]:
    reader = ToolCallReader(tool_format)
    events = [event for piece in pieces for event in reader.feed(piece)]
    return gather([*events, *reader.finish()])


def gather(events: list[ToolEvent]) -> tuple[str, list[RawCall]]:
    text, found = "", list[RawCall]()
    for kind, piece, call in events:
        if kind == "text":
            text += piece
        elif kind == "name":
            assert call == len(found)
            found.append(RawCall(piece, ""))
        else:
            assert call == len(found) - 1
            found[call] = RawCall(found[call].name, found[call].arguments + piece)
    return text, found


def cut(output: str, places: list[int]) -> list[str]:
    ends = sorted({place % (len(output) + 1) for place in places} | {0, len(output)})
    return [output[start:end] for start, end in itertools.pairwise(ends)]


@pytest.mark.parametrize("tool_format", FORMATS, ids=lambda one: one.name)
@given(
    text=st.text(st.sampled_from("ab <[{\n"), max_size=12),
    made=st.lists(calls, max_size=3),
    places=st.lists(st.integers(0, 10_000), max_size=12),
)
def test_pieces_say_what_the_whole_says(
    tool_format: ToolFormat, text: str, made: list[RawCall], places: list[int]
) -> None:
    output = tool_format.render(made) if made else ""
    if tool_format.text == "before" or not made:
        if tool_format.trigger in text or text.startswith(tool_format.trigger[0]):
            return
        output = text + output
    before, found = tool_format.parse(output)
    assert read(tool_format, cut(output, places)) == (
        before if before.strip() or not found else "",
        found,
    )


@pytest.mark.parametrize("tool_format", FORMATS, ids=lambda one: one.name)
def test_every_character_alone_says_the_same(tool_format: ToolFormat) -> None:
    made = [RawCall("get.it", '{"a":"\\"}{"}'), RawCall("go", "{}")]
    assert read(tool_format, list(tool_format.render(made))) == ("", made)


def test_arguments_are_told_as_they_come() -> None:
    reader = ToolCallReader(EMBEDDED)
    assert reader.feed('Let me look.<tool_call>{"name":"get","argu') == [
        ToolEvent("text", "Let me look."),
        ToolEvent("name", "get", 0),
    ]
    assert reader.feed('ments":{"city":"Lis') == [ToolEvent("arguments", '{"city":"Lis', 0)]
    assert reader.feed('bon"}}</tool') == [ToolEvent("arguments", 'bon"}', 0)]
    assert reader.feed("_call>") == reader.finish() == []


@pytest.mark.parametrize(
    "output",
    [
        "<tool_call>no",
        '<tool_call>{"name":"get","arguments":[]}</tool_call>',
        '<tool_call>{"name":"get","arguments":{}}</tool_call>more',
        '<tool_call>{"name":"get","arguments":{"a":',
    ],
)
def test_a_broken_call_is_told(output: str) -> None:
    with pytest.raises(ValueError, match=r"expected|ends within"):
        read(EMBEDDED, [output])
