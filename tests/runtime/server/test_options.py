"""Flags of the runtime and what they become."""

from __future__ import annotations

import dataclasses

from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.server.options import build_parser


def test_a_flag_that_is_not_given_is_what_the_engine_defaults_to() -> None:
    given = vars(build_parser().parse_args([]))
    config = EngineConfig()
    named = [field.name for field in dataclasses.fields(config) if field.name in given]
    assert "grammar_timeout_s" in named
    assert {name: given[name] for name in named} == {name: getattr(config, name) for name in named}
