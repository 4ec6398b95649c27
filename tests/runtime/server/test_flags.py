"""What `branchline serve` says of flags that there are not, and in its help."""

from __future__ import annotations

import argparse
import json
import os
import re

import pytest

from branchline.runtime.server.__main__ import main
from branchline.runtime.server.flags import UnknownFlags
from branchline.runtime.server.options import UsageError, build_parser, parse


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--kvslots", "5"], "--kvslots is not known; did you mean --kv-slots"),
        (["--port", "8000"], "--port is not known; use --http HOST:PORT"),
        (["--host=0.0.0.0"], "--host is not known; use --http HOST:PORT"),
        (["--qqqqqq"], "`branchline serve --help` lists all"),
    ],
)
def test_an_unknown_flag_is_answered_with_what_it_may_have_meant(
    argv: list[str], words: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        parse(argv)


def test_a_beginning_of_a_flag_is_no_flag() -> None:
    with pytest.raises(UnknownFlags, match="did you mean --kv-slots"):
        parse(["--kv-slot=8"])


def test_a_launcher_is_told_the_names() -> None:
    reading, writing = os.pipe()
    assert main(["--model-pth=x", f"--ready-fd={writing}"]) == 2
    with open(reading) as pipe:
        news = json.loads(pipe.readline())
    assert news["unknown"] == ["model-pth"]
    assert {"model", "kv-slots"} <= set(news["known"])
    assert not {"ready-fd", "help"} & set(news["known"])


def test_help_tells_each_default() -> None:
    parser = build_parser()
    text = " ".join(parser.format_help().split())
    for action in parser._actions:
        if argparse.SUPPRESS in (action.help, action.default):
            continue
        if not isinstance(action.default, bool | list | None):
            told = "default" in (action.help or "") or f"(default: {action.default})" in text
            assert told, action.option_strings
