"""Forced tokens are the tokenizer's own, in texts drawn at random: where a model spells as the
tokenizer does, the output's tokens are those of its text; elsewhere the model's choice differs
first, never a forced token."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from branchline.runtime.protocol import JsonSchema

sys.path.insert(0, str(Path(__file__).parent))

import json

from schemas import SCHEMAS

# Everything that lets something be forced, and strings that do not.
NAMES = [name for name in SCHEMAS if "format" not in SCHEMAS[name]]


class Output:
    """The tokens of an output with their marks, forced as the engine does it."""

    def __init__(self, matcher, budget: int) -> None:
        self.matcher, self.budget = matcher, budget
        self.ids: list[int] = []
        self.forced: list[bool] = []
        self._take_forced(respell=0)

    def take(self, token: int) -> None:
        """A token that was sampled, and what is forced behind it."""
        assert self.matcher.accept(token)
        self.ids.append(token)
        self.forced.append(False)
        if not self.matcher.finished:
            self._take_forced(respell=1)

    @property
    def remaining(self) -> int:
        return self.budget - len(self.ids)

    def _take_forced(self, respell: int) -> None:
        found = self.matcher.forced(self.remaining, respell)
        if found.num_respelled:
            self.matcher.rollback(found.num_respelled)
            del self.ids[-found.num_respelled :], self.forced[-found.num_respelled :]
        for token in found.token_ids:
            assert self.matcher.accept(token)
        self.ids += found.token_ids
        self.forced += [True] * len(found.token_ids)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_model_spells_as_the_tokenizer_does_stays_so(name, compiler, tokenizer, generate):
    grammar = compiler.compile(JsonSchema(json.dumps(SCHEMAS[name])))
    for seed in range(4):
        text = generate(grammar, grammar.min_tokens + 12 * seed, seed)
        whole = tokenizer.encode_text(text)
        output = Output(grammar.matcher(), 10_000)
        while not output.matcher.finished and len(output.ids) < len(whole):
            assert output.ids == whole[: len(output.ids)]
            output.take(whole[len(output.ids)])
        assert output.ids == whole


def test_where_an_output_is_spelled_otherwise_the_model_chose_so(compiler, tokenizer, allowed):
    rng = np.random.default_rng(6)
    num_forced = num_different = 0
    for name in NAMES:
        grammar = compiler.compile(JsonSchema(json.dumps(SCHEMAS[name])))
        for extra in (5, 25):
            output = Output(grammar.matcher(), grammar.min_tokens + extra)
            while not output.matcher.finished and output.remaining:
                choices = sorted(allowed(output.matcher, output.remaining))
                token = int(rng.choice(choices))
                if token in tokenizer.eos_ids:
                    break
                output.take(token)
            whole = tokenizer.encode_text(tokenizer.bytes_of(output.ids).decode())
            pairs = enumerate(zip(output.ids, whole, strict=False))
            first = next((place for place, (one, other) in pairs if one != other), None)
            num_forced += sum(output.forced)
            if first is not None:
                num_different += 1
                assert not output.forced[first], (name, output.ids, whole)
    assert num_forced > 100
    assert num_different > 10
