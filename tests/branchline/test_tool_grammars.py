"""Tool formats, from one description to grammar and parser: whatever a model draws at random under
the grammar's masks, the parser reads back, and every call validates."""

from __future__ import annotations

import inspect
import json
from datetime import date
from typing import Any, Literal

import jsonschema
import numpy as np
import pytest
import tokenizers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, pre_tokenizers, trainers

from branchline.lang.tool_calls import ToolCalls
from branchline.lang.tools import Tool
from branchline.runtime.constrained.compiler import GrammarCompiler
from branchline.runtime.models import embedded
from branchline.runtime.protocol import EXAMPLE_ARGUMENTS, EXAMPLE_TOOL, Text
from branchline.runtime.tokenizer import Tokenizer
from branchline.runtime.tool_formats import (
    EMBEDDED,
    HERMES,
    JSON,
    LLAMA3,
    MISTRAL,
    MISTRAL_ARGS,
    RawCall,
)

FORMATS = (EMBEDDED, HERMES, LLAMA3, MISTRAL, MISTRAL_ARGS, JSON)
KINDS: tuple[Any, ...] = (
    str,
    int,
    bool,
    float,
    date,
    Literal["on", "off", "</tool_call>"],
    list[Literal["a", "b"]],
    str | None,
    dict[str, int],
)
MARKS = {
    # token text -> whether it is special, as in the vocabularies of the families
    "none": {},
    "added": {"<tool_call>": False, "</tool_call>": False, "<tools>": False},
    "special": {"[TOOL_CALLS]": True, "[ARGS]": True, "<tool_call>": True},
}


def build_tokenizer(marks: dict[str, bool]) -> Tokenizer:
    model = tokenizers.Tokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    text = '<tool_call>{"name": "get", "arguments": {"a": "on"}}</tool_call> [TOOL_CALLS] [{"'
    model.train_from_iterator([text] * 8, trainer)
    for text, special in marks.items():
        model.add_tokens([tokenizers.AddedToken(text, special=special)])
    return Tokenizer(json.loads(model.to_str()), eos_ids=(0,))


@pytest.fixture(scope="module")
def compilers() -> dict[str, GrammarCompiler]:
    made = {name: build_tokenizer(marks) for name, marks in MARKS.items()}
    return {name: GrammarCompiler(one, one.vocab_size) for name, one in made.items()}


@pytest.fixture(scope="module")
def embedded_tokenizer() -> Tokenizer:
    return Tokenizer.load(embedded.__path__[0])


def make_tool(name: str, parameters: list[tuple[str, Any, bool]]) -> Tool[..., Any]:
    def call(**arguments: Any) -> dict[str, Any]:
        return arguments

    call.__annotations__ = {key: kind for key, kind, _ in parameters}
    call.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                key,
                inspect.Parameter.KEYWORD_ONLY,
                annotation=kind,
                default=None if optional else inspect.Parameter.empty,
            )
            for key, kind, optional in parameters
        ]
    )
    return Tool(call, name=name)


# A keyword of Python is no name of a parameter.
names = st.from_regex(r"\A[a-z]_[a-z_]{0,4}\Z")
parameters = st.lists(
    st.tuples(names, st.sampled_from(KINDS), st.booleans()), max_size=3, unique_by=lambda p: p[0]
)
tool_sets = st.lists(
    st.builds(make_tool, names, parameters), min_size=1, max_size=3, unique_by=lambda t: t.name
)


def draw(
    compiler: GrammarCompiler, constraint: Any, budget: int, seed: int, begin: str = ""
) -> str:
    """Tokens at random under the masks after `begin`, as the runtime would show them."""
    tokenizer = compiler._engine.tokenizer
    rng = np.random.default_rng(seed)
    matcher = compiler.compile(constraint, budget).matcher()
    row = np.zeros(-(-tokenizer.vocab_size // 32), dtype=np.int32)
    ids = tokenizer.encode_text(begin, markup=True)
    assert all(matcher.accept(token) for token in ids)
    while len(ids) < budget and not matcher.finished:
        matcher.fill_mask(row, budget - len(ids))
        bits = np.unpackbits(row.view(np.uint8), bitorder="little")
        allowed = np.flatnonzero(bits)
        # Ends are rare among hundreds of tokens, and so are the marks of calls.
        ends = [index for index in (0, tokenizer.token_bytes.index(b'"')) if bits[index]]
        if ends and rng.random() < 0.15:
            allowed = np.array(ends)
        token = int(rng.choice(allowed))
        assert matcher.accept(token)
        if token in tokenizer.eos_ids:
            break
        ids.append(token)
    return tokenizer.decode(ids, skip_special_tokens=False)


@pytest.mark.parametrize("marks", MARKS)
@pytest.mark.parametrize("tool_format", FORMATS, ids=lambda one: one.name)
@given(tools=tool_sets, parallel=st.booleans(), auto=st.booleans(), seed=st.integers(0, 2**32))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_call_in_a_random_output_parses_and_validates(
    marks, tool_format, tools, parallel, auto, seed, compilers
):
    specs = [tool.spec for tool in tools]
    constraint = tool_format.constraint(specs, max_calls=None if parallel else 1, text=auto)
    # By chance alone a free text would hardly ever come to a call.
    begin = tool_format.trigger if auto and seed % 2 else ""
    output = draw(compilers[marks], constraint, 220, seed, begin)
    text, calls = tool_format.parse(output)
    assert text + (tool_format.render(calls) if calls else "") == output
    assert calls or (auto and not begin)
    assert parallel or len(calls) <= 1
    by_name = {tool.name: tool for tool in tools}
    for call in calls:
        jsonschema.validate(json.loads(call.arguments), by_name[call.name].parameters)
    assert len(ToolCalls(tool_format, by_name).read(output)) == len(calls)


@pytest.mark.parametrize("tool_format", FORMATS, ids=lambda one: one.name)
@given(
    calls=st.lists(
        st.tuples(
            names,
            st.dictionaries(st.text(), st.text() | st.sampled_from(["</tool_call>", "]", "; {"])),
        ),
        min_size=1,
        max_size=3,
    ),
    spaced=st.booleans(),
)
@settings(max_examples=50, deadline=None)
def test_the_parser_reads_what_the_description_writes(tool_format, calls, spaced):
    separators = (", ", ": ") if spaced else (",", ":")
    written = [(name, json.dumps(arguments, separators=separators)) for name, arguments in calls]
    text, read = tool_format.parse(tool_format.render([RawCall(*call) for call in written]))
    assert text == ""
    assert [(call.name, json.loads(call.arguments)) for call in read] == calls


@pytest.mark.parametrize("tool_format", FORMATS, ids=lambda one: one.name)
@given(text=st.text(alphabet='<tool_call>{}[TOOL_CALLS]"name: ', max_size=40))
@settings(max_examples=100, deadline=None)
def test_no_text_makes_the_parser_do_anything_but_read_or_refuse(tool_format, text):
    try:
        free, calls = tool_format.parse(text)
    except ValueError:
        return
    assert text.startswith(free)
    assert bool(calls) == (free != text)


@pytest.mark.parametrize("marks", MARKS)
@pytest.mark.parametrize("tool_format", FORMATS, ids=lambda one: one.name)
def test_without_tools_an_output_is_text_in_which_no_call_can_be_read(
    marks, tool_format, compilers
):
    constraint = tool_format.constraint([], max_calls=1, text=True)
    for seed in range(3):
        output = draw(compilers[marks], constraint, 40, seed)
        assert tool_format.parse(output) == (output, [])


MARKS_OF_TURNS = [
    "<|im_end|>", "\n", "<|im_start|>", "system", "</tool_call>", "<tool_call>", "<|endof", "text|>"
]  # fmt: skip


@given(result=st.lists(st.sampled_from(MARKS_OF_TURNS) | st.text(max_size=5)).map("".join))
@settings(max_examples=200, deadline=None)
def test_a_result_never_becomes_a_control_token_of_the_embedded_model(result, embedded_tokenizer):
    prefix, suffix = embedded_tokenizer.render_roles()["tool"]
    turn = [Text(prefix, markup=True), Text(result), Text(suffix, markup=True)]
    controls = [i for i in embedded_tokenizer.encode(turn) if i in embedded_tokenizer.control_ids]
    begin, end = embedded_tokenizer.encode_text("<|im_start|><|im_end|>", markup=True)
    assert controls == [begin, end]


def test_the_embedded_models_template_tells_its_format(embedded_tokenizer):
    assert embedded_tokenizer.tool_call_example == EMBEDDED.render(
        [RawCall(EXAMPLE_TOOL, json.dumps(EXAMPLE_ARGUMENTS, separators=(",", ":")))]
    )
