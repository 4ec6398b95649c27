"""Guesses are computed where they are worth it to a whole step, and else only watched."""

from __future__ import annotations

import numpy as np
import pytest

from branchline.runtime.engine.speculating import Speculator
from branchline.runtime.engine.turn import Turn
from branchline.runtime.protocol import SamplingParams
from branchline.runtime.sampling import SamplingState
from branchline.runtime.scheduler.sequence import Sequence
from branchline.runtime.scheduler.stop import StopChecker

GUESS = [7, 8, 9, 7, 8, 9]


class Repeating:
    """Guesses the same for everybody."""

    def __init__(self) -> None:
        self.num_asked = 0

    def guess(self, seq: Sequence, most: int) -> list[int]:
        self.num_asked += 1
        return GUESS[:most]


def make_sequences(count: int) -> list[Sequence]:
    params = SamplingParams(max_new_tokens=100)
    return [
        Sequence(
            sid=sid,
            arrival=sid,
            namespace="",
            prompt_len=3,
            num_tokens=3,
            max_new_tokens=100,
            sampling=params,
            sampling_state=SamplingState(params, [1, 2, 3], 100),
            stop=StopChecker(params, 100, (), []),
            ids=np.array([1, 2, 3], np.int32),
        )
        for sid in range(count)
    ]


def step(speculator: Speculator, seqs: list[Sequence], token: int) -> list[Sequence]:
    """Each takes a token, and may be given guesses; those that were."""
    for seq in seqs:
        turn = Turn(seq, 0, [])
        turn.token_ids.append(token)
        seq.give([], None)
        speculator.learn(turn)
        speculator.propose(seq, len(seqs))
    speculator.weigh(seqs)
    return [seq for seq in seqs if seq.num_drafted]


def test_one_sequence_is_guessed_for_when_one_guess_was_right() -> None:
    speculator, seqs = Speculator(Repeating(), "auto", 6), make_sequences(1)
    guessed = [bool(step(speculator, seqs, GUESS[0])) for _ in range(2)]
    assert guessed == [False, True]


def test_doubtful_guesses_for_a_few_of_a_batch_are_not_computed() -> None:
    speculator, seqs = Speculator(Repeating(), "auto", 6), make_sequences(8)
    for seq in seqs:
        seq.pace.rate = 0.6
    assert not step(speculator, seqs, 5)
    assert all(seq.given == [] for seq in seqs)


@pytest.mark.parametrize(("token", "comes_true"), [(GUESS[0], True), (5, False)])
def test_guesses_that_were_not_computed_show_whether_they_come_true(
    token: int, comes_true: bool
) -> None:
    """With that batches begin to guess when their text begins to repeat itself."""
    speculator, seqs = Speculator(Repeating(), "auto", 6), make_sequences(8)
    for seq in seqs:
        seq.pace.rate = 0.6
    guessed = [bool(step(speculator, seqs, token)) for _ in range(200)]
    assert guessed[-100:].count(True) == (100 if comes_true else 0)
    assert all(seq.pace.num_guessed == 0 for seq in seqs)


def test_a_batch_for_which_guesses_do_not_pay_is_rarely_asked_for() -> None:
    drafter, seqs = Repeating(), make_sequences(8)
    speculator = Speculator(drafter, "auto", 6)
    for seq in seqs:
        seq.pace.rate = 0.6
    for _ in range(160):
        step(speculator, seqs, 5)
    assert drafter.num_asked <= 8 * (160 / 8 + 4)


def test_always_computes_them_all() -> None:
    seqs = make_sequences(8)
    assert step(Speculator(Repeating(), "always", 6), seqs, 5) == seqs
