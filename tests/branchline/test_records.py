"""Loading programs and records from files: `branchline run`."""

from __future__ import annotations

import json
import sys
from errno import ENOSPC
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "lang"))

from scripted import Scripted

import branchline as bl
from branchline.lang.backend.base import Capabilities
from branchline.records import (
    Summary,
    UsageError,
    check_output,
    checkpoint_of,
    interruption,
    load_program,
    no_records,
    read_records,
    run_records,
)

PROGRAM = """
import branchline as bl

@bl.function
def greet(s, name, mood="calm"):
    s += f"Hello {name}, "
    s += bl.gen("rest")
"""


@pytest.fixture
def program_file(tmp_path: Path) -> Path:
    path = tmp_path / "greeting.py"
    path.write_text(PROGRAM)
    return path


def records_file(folder: Path, *lines: str) -> Path:
    path = folder / "records.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_only_program_of_a_file_is_found(program_file: Path) -> None:
    assert load_program(program_file).arg_names == ["name", "mood"]


def test_of_several_programs_one_must_be_named(program_file: Path) -> None:
    program_file.write_text(PROGRAM + PROGRAM.replace("greet", "part"))
    with pytest.raises(UsageError, match=r"--function: greet, part"):
        load_program(program_file)
    assert load_program(program_file, "part").name == "part"


def test_an_unknown_program_name_lists_the_known_ones(program_file: Path) -> None:
    with pytest.raises(UsageError, match=r"no program 'great'; it has: greet"):
        load_program(program_file, "great")


def test_a_file_without_a_program_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "plain.py"
    path.write_text("def greet(s): pass\n")
    with pytest.raises(UsageError, match=r"decorate a function with @bl\.function"):
        load_program(path)


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("x = 1\ndef greet(:\n", r"SyntaxError: .*\(.*plain\.py:2\)"),
        ("\nimport no_such_module\n", r"ModuleNotFoundError: .*\(.*plain\.py:2\)"),
        ("import json\njson.loads('{')\n", r"JSONDecodeError: .*\(.*plain\.py:2\)"),
    ],
)
def test_a_file_that_cannot_be_imported_is_told_by_its_own_line(
    tmp_path: Path, code: str, complaint: str
) -> None:
    path = tmp_path / "plain.py"
    path.write_text(code)
    with pytest.raises(UsageError, match=complaint) as caught:
        load_program(path)
    assert "\n" not in str(caught.value)


def test_what_a_body_raises_is_told_with_its_type_and_line(
    program_file: Path, tmp_path: Path
) -> None:
    program_file.write_text(PROGRAM + '    {"Ada": 1}[name]\n')
    program, output = load_program(program_file), tmp_path / "out.jsonl"
    records = [{"name": "Ada"}, {"name": "Bob"}]
    _, summary = run_records(program, records, backend=Scripted(), output=output)
    place = f"{program_file}:8"
    assert summary.errors == [f"record 2: KeyError: 'Bob' ({place})"]
    told = json.loads(output.read_text().splitlines()[1])
    assert told == {"error": {"type": "KeyError", "message": "'Bob'", "source": place}}


def test_a_failed_call_names_its_line_once(program_file: Path) -> None:
    model = Scripted(fail=lambda prompt: bl.GrammarError("bad"))
    _, summary = run_records(
        load_program(program_file), [{"name": "Ada"}], backend=model, output=None
    )
    [error] = summary.errors
    assert error.startswith("record 1: GrammarError: bad [program 'greet'")
    assert error.count(f"{program_file}:7") == 1


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no such file: .*gone\.py"):
        load_program(tmp_path / "gone.py")


def test_records_become_arguments_and_other_keys_are_left_out(program_file: Path) -> None:
    program = load_program(program_file)
    path = records_file(program_file.parent, json.dumps({"name": "Ada", "id": 7}), "")
    assert read_records(path, program) == [{"name": "Ada"}]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "line 2: not JSON"),
        ("[1]", "line 2: expected an object"),
        ('{"mood": "glad"}', "line 2: no name; the program greet takes name, mood"),
    ],
)
def test_a_bad_line_is_told_by_its_number(program_file: Path, line: str, complaint: str) -> None:
    path = records_file(program_file.parent, '{"name": "Ada"}', line)
    with pytest.raises(UsageError, match=complaint):
        read_records(path, load_program(program_file))


@pytest.mark.parametrize("begin", ["", "\ufeff"])
def test_only_line_feeds_part_records(program_file: Path, begin: str) -> None:
    name = "a\u2028b\x85c"
    path = records_file(program_file.parent, begin + json.dumps({"name": name}, ensure_ascii=False))
    assert read_records(path, load_program(program_file)) == [{"name": name}]


def test_records_that_are_not_utf_8_are_refused(program_file: Path) -> None:
    path = program_file.parent / "records.jsonl"
    path.write_bytes(b'{"name": "\xe9"}')
    with pytest.raises(UsageError, match=r"records\.jsonl is not UTF-8"):
        read_records(path, load_program(program_file))


def test_a_program_with_arguments_does_not_run_without_records(program_file: Path) -> None:
    with pytest.raises(UsageError, match="the program greet takes name; give --input FILE"):
        no_records(load_program(program_file))


def test_a_program_without_arguments_runs_once(program_file: Path) -> None:
    program_file.write_text(PROGRAM.replace("name, mood", 'name="Ada", mood'))
    assert no_records(load_program(program_file)) == [{}]


def test_a_file_without_records_is_refused(program_file: Path) -> None:
    path = records_file(program_file.parent, "")
    with pytest.raises(UsageError, match="holds no records"):
        read_records(path, load_program(program_file))


def test_a_summary_of_nothing_divides_by_nothing() -> None:
    summary = Summary()
    assert (summary.cached_prompt_pct, summary.tokens_per_s) == (0.0, 0.0)


def test_a_resumed_run_does_only_what_failed_and_writes_everything(
    program_file: Path, tmp_path: Path
) -> None:
    program, output = load_program(program_file), tmp_path / "out.jsonl"
    records = [{"name": name} for name in ("Ada", "Bob", "Cleo")]
    model = Scripted(fail=lambda prompt: bl.GrammarError("bad") if "Bob" in prompt else None)
    _, summary = run_records(program, records, backend=model, output=output, resume=True)
    assert summary.failed == 1
    assert checkpoint_of(output).exists()

    model = Scripted()
    states, summary = run_records(
        program, records, backend=model, output=output, resume=True, keep_states=False
    )
    assert (states, summary.failed, summary.documents) == ([], 0, 3)
    assert [call.text for call in model.calls] == ["Hello Bob, "]
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert lines == [{"rest": model.reply(f"Hello {record['name']}, ")} for record in records]
    assert not checkpoint_of(output).exists()


def test_a_run_without_resume_leaves_no_checkpoint(program_file: Path, tmp_path: Path) -> None:
    program, output = load_program(program_file), tmp_path / "out.jsonl"
    run_records(program, [{"name": "Ada"}], backend=Scripted(), output=output)
    assert list(tmp_path.glob("*checkpoint*")) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk that is always full")
def test_a_batch_is_over_when_its_output_cannot_be_written(
    program_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program, output = load_program(program_file), Path("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        run_records(program, [{"name": "Ada"}], backend=Scripted(), output=output)
    # The progress bar's last word.
    assert "1/1" in capsys.readouterr().err
    assert caught.value.errno == ENOSPC


def test_resuming_needs_an_output(program_file: Path) -> None:
    with pytest.raises(UsageError, match="--resume needs --output"):
        run_records(load_program(program_file), [{}], backend=Scripted(), output=None, resume=True)


def test_a_checkpoint_of_other_inputs_is_refused_before_the_output_is_touched(
    program_file: Path, tmp_path: Path
) -> None:
    program, output = load_program(program_file), tmp_path / "out.jsonl"
    failing = Scripted(fail=lambda prompt: bl.GrammarError("bad") if "Bob" in prompt else None)
    records = [{"name": "Ada"}, {"name": "Bob"}]
    run_records(program, records, backend=failing, output=output, resume=True)
    before = output.read_text()
    with pytest.raises(bl.CheckpointError, match="instance 0 had other arguments"):
        run_records(program, records[::-1], backend=Scripted(), output=output, resume=True)
    assert output.read_text() == before


TYPED = """
import branchline as bl
from pydantic import BaseModel

class Person(BaseModel):
    name: str

@bl.function
def extract(s, name):
    s += name + bl.gen("person", schema=Person) + bl.gen("age", dtype=int) + bl.gen("text")
    if name == "Bob":
        raise ValueError("no Bob")
"""


def typed_reply(prompt: str) -> str:
    return "7" if prompt.endswith("}") else '"12"' if prompt.endswith("7") else '{"name": "A"}'


@pytest.mark.parametrize("resume", [False, True])
def test_typed_variables_are_nested_and_texts_stay_texts(
    program_file: Path, tmp_path: Path, resume: bool
) -> None:
    program_file.write_text(TYPED)
    program, output = load_program(program_file), tmp_path / "out.jsonl"
    model = Scripted(reply=typed_reply, capabilities=Capabilities(grammar=True))
    for _ in range(2):  # the second time, with `resume`, from the checkpoint
        run_records(
            program,
            [{"name": "Ada"}, {"name": "Bob"}],
            backend=model,
            output=output,
            resume=resume,
        )
        first = json.loads(output.read_text().splitlines()[0])
        assert first == {"person": {"name": "A"}, "age": 7, "text": '"12"'}
    assert checkpoint_of(output).exists() == resume


def test_an_output_that_was_cut_short_stays_a_text(program_file: Path, tmp_path: Path) -> None:
    program_file.write_text(TYPED)
    output = tmp_path / "out.jsonl"
    model = Scripted(reply=lambda prompt: '{"na', capabilities=Capabilities(grammar=True))
    run_records(load_program(program_file), [{"name": "Ada"}], backend=model, output=output)
    assert json.loads(output.read_text())["person"] == '{"na'


def test_half_a_surrogate_pair_is_written_as_json_spells_it(tmp_path: Path) -> None:
    @bl.function
    def echo(s: bl.ProgramState, text: str) -> str:
        return text

    output = tmp_path / "out.jsonl"
    run_records(echo, [{"text": "\ud83d"}], backend=Scripted(), output=output)
    assert json.loads(output.read_text()) == "\ud83d"


def test_an_output_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    check_output(tmp_path / "new.jsonl")
    with pytest.raises(UsageError, match=r"there is no folder .*/gone$"):
        check_output(tmp_path / "gone" / "x.jsonl")
    with pytest.raises(UsageError, match="is a folder"):
        check_output(tmp_path)


def test_an_interrupted_run_says_what_is_done(program_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    assert "0 of 3 records done" in interruption(output, 3, resume=True)
    failing = Scripted(fail=lambda prompt: bl.GrammarError("bad") if "Bob" in prompt else None)
    records = [{"name": name} for name in ("Ada", "Bob", "Cleo")]
    run_records(load_program(program_file), records, backend=failing, output=output, resume=True)
    said = interruption(output, 3, resume=True)
    assert said.startswith("interrupted: 2 of 3 records done; run the same command with --resume")
    assert "With --resume a run can go on" in interruption(output, 3, resume=False)
