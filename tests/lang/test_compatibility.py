"""What SGLang programs import and set: names, module paths, settings."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from scripted import Scripted

import branchline as sgl
from branchline.lang import ir
from branchline.utils import dump_state_text, read_jsonl


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("lang.api", "gen gen_int gen_string select user assistant system"),
        ("lang.backend.base_backend", "BaseBackend"),
        ("lang.backend.openai", "OpenAI"),
        ("lang.backend.anthropic", "Anthropic"),
        ("lang.backend.runtime_endpoint", "RuntimeEndpoint"),
        ("lang.chat_template", "get_chat_template ChatTemplate ChatTemplateStyle"),
        ("lang.choices", "greedy_token_selection token_length_normalized ChoicesSamplingMethod"),
        ("lang.global_config", "global_config"),
        ("lang.interpreter", "StreamExecutor ProgramState ProgramStateGroup"),
        ("lang.ir", "REGEX_INT REGEX_FLOAT REGEX_BOOL REGEX_STR SglGen SglSelect SglExprList"),
        ("utils", "read_jsonl dump_state_text"),
    ],
)
def test_names_are_where_sglang_programs_import_them(module: str, names: str) -> None:
    found = importlib.import_module(f"branchline.{module}")
    assert [name for name in names.split() if not hasattr(found, name)] == []


@pytest.mark.parametrize(
    ("expr", "shown"),
    [
        (sgl.gen("a"), "Gen('a')"),
        (ir.SglConstantText("x"), "Constant('x')"),
        (sgl.user_begin(), "RoleBegin(user)"),
    ],
)
def test_nodes_are_shown_as_in_sglang(expr: ir.Expr, shown: str) -> None:
    assert repr(expr) == shown


@pytest.mark.parametrize("expr", [sgl.image("cat.png"), sgl.image(b"..."), sgl.video("a.mp4", 8)])
def test_a_picture_for_a_text_model_is_refused_by_name(model: Scripted, expr: ir.Expr) -> None:
    @sgl.function
    def look(s: sgl.ProgramState) -> None:
        s += sgl.user(expr + "What is this?") + sgl.assistant(sgl.gen("answer"))

    with pytest.raises(sgl.InvalidRequest, match="'scripted' is served for text only"):
        look(backend=model)["answer"]
    assert model.calls == []


def test_settings_of_sglang_can_be_set() -> None:
    sgl.global_config.enable_parallel_encoding = False
    sgl.global_config.enable_parallel_encoding = True


@pytest.mark.parametrize("is_async", [False, True])
def test_a_verbose_run_prints_its_text(
    model: Scripted,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    is_async: bool,
) -> None:
    def plain(s: sgl.ProgramState) -> None:
        s += "said " + sgl.gen("a")

    async def awaited(s: sgl.ProgramState) -> None:
        plain(s)

    program = sgl.function(awaited if is_async else plain)
    program.run(backend=model).sync()
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(sgl.global_config, "verbosity", 2)
    program.run(backend=model)
    assert capsys.readouterr().out == f"said {model.reply('said ')}\n"


@pytest.mark.parametrize(
    ("setting", "given", "sent"), [(True, None, True), (False, None, False), (False, True, True)]
)
def test_special_tokens_stay_where_the_call_or_the_setting_says(
    model: Scripted, monkeypatch: pytest.MonkeyPatch, setting: bool, given: bool | None, sent: bool
) -> None:
    @sgl.function
    def program(s: sgl.ProgramState) -> None:
        s += "x" + sgl.gen("a", skip_special_tokens=given)

    monkeypatch.setattr(sgl.global_config, "skip_special_tokens_in_output", setting)
    program(backend=model).sync()
    assert model.calls[0].sampling.skip_special_tokens is sent


def test_json_lines_are_read_without_comments(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('# made by hand\n{"a": 1}\n\n{"a": "é"}\n', encoding="utf-8")
    assert read_jsonl(path) == [{"a": 1}, {"a": "é"}]


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"a": 1}\n', encoding="utf-8-sig")
    assert read_jsonl(path) == [{"a": 1}]


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"a": 1}\n{"a": \n')
    with pytest.raises(ValueError, match=r"data\.jsonl:2: no JSON"):
        read_jsonl(path)


def test_states_are_written_down(tmp_path: Path, model: Scripted) -> None:
    @sgl.function
    def ask(s: sgl.ProgramState, question: str) -> None:
        s += question + sgl.gen("answer", max_tokens=4)

    states = ask.run_batch([{"question": "Q1"}, {"question": "Q2"}], backend=model)
    dump_state_text(tmp_path / "out.txt", states)
    written = (tmp_path / "out.txt").read_text(encoding="utf-8")
    assert [state.text() in written for state in states] == [True, True]


def test_what_is_no_state_is_written_as_it_prints(tmp_path: Path) -> None:
    dump_state_text(tmp_path / "out.txt", [["4", "5"], "text"])
    written = (tmp_path / "out.txt").read_text(encoding="utf-8")
    assert [text in written for text in ("['4', '5']", "text")] == [True, True]
