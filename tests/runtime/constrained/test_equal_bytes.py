"""Tokens that are spelled alike: a grammar allows all of them or none, and greedy decoding takes
the first of those that score alike, alone and in a batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from branchline.runtime.constrained.compiler import build_language
from branchline.runtime.constrained.handle import Handle
from branchline.runtime.constrained.limits import GrammarLimits
from branchline.runtime.constrained.machine_library import machine_library
from branchline.runtime.constrained.machine_masks import MachineMasks, MachineVocabulary
from branchline.runtime.constrained.machine_tables import machine_tables
from branchline.runtime.constrained.nodes import NodeGraph
from branchline.runtime.constrained.rows import Rows
from branchline.runtime.constrained.vocabulary import Vocabulary
from branchline.runtime.constrained.walker import Walker
from branchline.runtime.constrained.walker_masks import WalkerMasks
from branchline.runtime.protocol import Choices, SamplingParams
from branchline.runtime.sampling import SamplingState, sample

END = 0
# "y" three times, "es" and "yes" twice; "n" and "o" once.
VOCABULARY = Vocabulary([b"", b"n", b"y", b"yes", b"es", b"o", b"y", b"es", b"yes", b"y"])
SIZE = len(VOCABULARY.token_bytes)
ALIKE = [[1], [2, 6, 9], [3, 8], [4, 7], [5]]


def handle_of(engine: str) -> Handle:
    language = build_language(Choices(["yes", "no", "yesno"]), GrammarLimits())
    graph = NodeGraph(language, VOCABULARY)
    if engine == "walker":
        return WalkerMasks(Walker.over(graph), VOCABULARY, (END,)).handle()
    machine = MachineVocabulary(machine_library(), VOCABULARY)
    return MachineMasks(machine, machine_tables(graph.root), (END,), Rows(1_000)).handle()


def greedy(handle: Handle, num_rows: int, scores: torch.Tensor) -> tuple[list[int], list[int]]:
    """The tokens of the last of so many equal rows until the end, and all that were allowed."""
    taken: list[int] = []
    seen: list[int] = []
    states = [
        SamplingState(SamplingParams(temperature=0.0), [], SIZE, (END,), None)
        for _ in range(num_rows)
    ]
    while END not in taken:
        mask = np.zeros((1, 1), np.int32)
        handle.fill_next_token_bitmask(mask)
        allowed = np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little")).tolist()
        for alike in ALIKE:
            assert len(set(alike) & set(allowed)) in (0, len(alike))
        found = sample(scores.repeat(num_rows, 1), states, [mask[0]] * num_rows).token_ids
        assert len(set(found)) == 1
        assert handle.accept_token(found[-1])
        taken += found[-1:]
        seen += allowed
    return taken, seen


@pytest.mark.parametrize("engine", ["machine", "walker"])
@pytest.mark.parametrize("num_rows", [1, 8])
def test_of_tokens_spelled_and_scored_alike_the_first_is_taken_under_a_grammar(engine, num_rows):
    if engine == "machine" and machine_library() is None:
        pytest.skip("needs a C++ compiler")
    taken, seen = greedy(handle_of(engine), num_rows, torch.zeros(1, SIZE))
    assert taken == [1, 5, END]  # "n", "o"
    scores = torch.zeros(1, SIZE)
    scores[0, [2, 6, 9, 4, 7]] = 1.0  # all of "y" and "es" before the rest
    taken, seen = greedy(handle_of(engine), num_rows, scores)
    assert taken == [2, 4, END]
    assert {6, 9, 7} <= set(seen)


@pytest.mark.parametrize("other", [6, 9])
def test_whichever_is_taken_the_text_goes_on_alike(other):
    if machine_library() is None:
        pytest.skip("needs a C++ compiler")
    first, second = handle_of("machine"), handle_of("machine")
    masks = np.zeros((2, 1), np.int32)
    assert first.accept_token(2)
    assert second.accept_token(other)
    first.fill_next_token_bitmask(masks, 0)
    second.fill_next_token_bitmask(masks, 1)
    assert masks[0] == masks[1] != 0
