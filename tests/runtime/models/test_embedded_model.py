"""The embedded model as it ships: its folder, its tokenizer, and that it really extracts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from branchline.runtime.models import embedded
from branchline.runtime.models.embedded.batches import encode
from branchline.runtime.models.embedded.corpus import chatml, generate
from branchline.runtime.models.embedded.corpus.chat import (
    Param,
    Tool,
    tool_call,
    tool_lines,
)
from branchline.runtime.models.embedded.evaluate import Model, Tally, measure
from branchline.runtime.models.embedded.network import Network, Shape, export, import_weights

FOLDER = Path(embedded.__path__[0])
MAX_BYTES = 16 * 2**20


@pytest.fixture(scope="module")
def tokenizer() -> AutoTokenizer:
    return AutoTokenizer.from_pretrained(FOLDER)


@pytest.mark.parametrize(
    "text",
    [
        '{"name":"Zoë","tags":["a","b"],"n":-3.50}',
        "  leading,\n\n\ttabs  and   spaces ",
        "emoji 🙂👩‍👩‍👧 and 日本語, Ελληνικά, \u200b\x00",
        '<tool_call>{"name":"f","arguments":{}}</tool_call>',
        "anna.kovalenko@zorvex.com PO 77-3A INV-20931 149.90€",
    ],
)
def test_the_tokenizer_gives_every_text_back(tokenizer: AutoTokenizer, text: str) -> None:
    ids = tokenizer(text, add_special_tokens=False).input_ids
    assert tokenizer.decode(ids) == text


@pytest.mark.parametrize(
    "value", ["Kovalenko", "INV-20931", "149.90", "2026-03-12", "Walnut desk lamp"]
)
def test_a_value_has_the_same_tokens_in_prose_and_in_json(
    tokenizer: AutoTokenizer, value: str
) -> None:
    def tokens(text: str) -> str:
        return " ".join(map(str, tokenizer(text, add_special_tokens=False).input_ids))

    assert tokens(value) in tokens(f"We note {value}, as agreed.")
    assert tokens(value) in tokens(f'{{"key":"{value}","other":null}}')


def test_the_chat_template_renders_what_the_model_was_trained_on(tokenizer: AutoTokenizer) -> None:
    tool = Tool(
        "get_weather",
        "Weather forecast for a city",
        (
            Param("city", "string"),
            Param("unit", "string", ("c", "f")),
            Param("day", "date", (), True),
        ),
    )
    schema = {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "unit": {"type": "string", "enum": ["c", "f"]},
            "day": {"type": "string", "format": "date"},
        },
        "required": ["city", "unit"],
    }
    function = {"name": tool.name, "description": tool.description, "parameters": schema}
    arguments = {"city": "Łódź", "unit": "c"}
    call = {"type": "function", "function": {"name": tool.name, "arguments": arguments}}
    messages = [
        {"role": "system", "content": "Help the user."},
        {"role": "user", "content": "Weather in Łódź?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": '{"temperature":3}'},
    ]
    rendered = tokenizer.apply_chat_template(
        messages, tools=[{"type": "function", "function": function}], tokenize=False,
        add_generation_prompt=True,
    )  # fmt: skip
    assert rendered == (
        f"<|im_start|>system\nHelp the user.\n{tool_lines([tool])}<|im_end|>\n"
        "<|im_start|>user\nWeather in Łódź?<|im_end|>\n"
        f"<|im_start|>assistant\n{tool_call(tool.name, arguments)}<|im_end|>\n"
        '<|im_start|>tool\n{"temperature":3}<|im_end|>\n<|im_start|>assistant\n'
    )


def test_training_sees_the_tokens_that_the_whole_text_has(tokenizer: AutoTokenizer) -> None:
    for sample in generate(2, 30):
        ids, answers = encode(tokenizer.backend_tokenizer, sample)
        assert ids == tokenizer(chatml(sample.messages), add_special_tokens=False).input_ids
        assert any(answers)


def test_the_folder_is_small_and_its_weights_are_bf16() -> None:
    shipped = [path for path in FOLDER.iterdir() if path.suffix in (".json", ".safetensors", ".md")]
    assert sum(path.stat().st_size for path in shipped) <= MAX_BYTES
    with safe_open(FOLDER / "model.safetensors", "pt") as weights:
        assert {weights.get_tensor(name).dtype for name in weights.offset_keys()} == {
            torch.bfloat16
        }


def test_transformers_loads_the_folder_without_missing_weights() -> None:
    network, report = AutoModelForCausalLM.from_pretrained(FOLDER, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert network.config.tie_word_embeddings
    assert 5e6 <= sum(weight.numel() for weight in network.parameters()) <= 12e6


# A floor that untrained or broken weights cannot reach; the model's README has goals and figures.
FLOOR = 0.75


def test_records_in_held_out_wordings_are_right_above_the_floor() -> None:
    model, tally = Model(FOLDER), Tally()
    for sample in generate(424242, 8, "extraction", heldout=True):
        measure(model, sample, tally)
    assert tally.right / tally.total >= FLOOR


def test_training_can_go_on_from_the_shipped_weights(tmp_path: Path) -> None:
    network = Network(Shape())
    import_weights(network, FOLDER)
    export(network, tmp_path)
    shipped = load_file(FOLDER / "model.safetensors")
    again = load_file(tmp_path / "model.safetensors")
    assert shipped.keys() == again.keys()
    assert all(torch.equal(shipped[name], again[name]) for name in shipped)
