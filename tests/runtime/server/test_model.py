"""What clients and whoever starts a server are told of the model."""

from __future__ import annotations

from pathlib import Path

import pytest

from branchline.runtime.engine_protocol import EngineReady
from branchline.runtime.server.model import describe, serving_facts
from branchline.runtime.tokenizer import Tokenizer


@pytest.mark.parametrize(("num_slots", "told"), [(256, 256), (100_000, 4096)])
def test_the_context_that_is_told_is_what_a_sequence_may_have(
    tokenizer: Tokenizer, num_slots: int, told: int
) -> None:
    ready = EngineReady("Tiny", 4096, num_slots)
    model = describe("embedded", Path("/tiny"), tokenizer, ready)
    assert model.context_length == told
    assert serving_facts(model, ready)["model"] == f"embedded (Tiny, context {told:,})"
