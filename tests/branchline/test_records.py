"""Loading programs and records from files: `branchline run`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from branchline.records import Summary, UsageError, load_program, read_records

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


def test_a_file_without_records_is_refused(program_file: Path) -> None:
    path = records_file(program_file.parent, "")
    with pytest.raises(UsageError, match="holds no records"):
        read_records(path, load_program(program_file))


def test_a_summary_of_nothing_divides_by_nothing() -> None:
    summary = Summary()
    assert (summary.cached_prompt_pct, summary.tokens_per_s) == (0.0, 0.0)
