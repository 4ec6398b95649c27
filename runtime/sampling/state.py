"""What sampling remembers of one sequence: token counts, its random stream, its parameters.

Made by the scheduler for each sequence; `append` is called for every token that joins it.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from ..protocol import LogprobParams, SamplingParams

# Below this the distribution is a point for float32 logits, and dividing by it would overflow.
_MIN_TEMPERATURE = 1e-5


class SamplingState:
    """Per-sequence state of sampling.

    eos_ids: tokens that may not come before `min_new_tokens`, together with `stop_token_ids`.
    logprobs: which log probabilities `sample` returns for this sequence; None for none.
    """

    def __init__(
        self,
        params: SamplingParams,
        prompt_ids: Iterable[int],
        vocab_size: int,
        eos_ids: Iterable[int] = (),
        logprobs: LogprobParams | None = None,
    ) -> None:
        self.params = params
        self.vocab_size = vocab_size
        self.logprobs = logprobs
        self.num_new_tokens = 0
        self.greedy = params.temperature < _MIN_TEMPERATURE
        self.penalized = (
            params.repetition_penalty != 1.0
            or params.frequency_penalty != 0.0
            or params.presence_penalty != 0.0
        )
        self.top_k = params.top_k if 0 < params.top_k < vocab_size else 0
        self.truncated = self.top_k > 0 or params.top_p < 1.0 or params.min_p > 0.0
        ends = {*eos_ids, *params.stop_token_ids} if params.min_new_tokens else set()
        # Columns of a device's sampler (`runtime/kernels/triton/scores.py`).
        self.numbers = (
            0.0 if self.greedy else params.temperature,
            params.top_p,
            params.min_p,
            params.repetition_penalty,
            params.frequency_penalty,
            params.presence_penalty,
        )
        self.end_ids = np.array(sorted(i for i in ends if i < vocab_size), dtype=np.int64)
        self.bias_ids = np.array(list(params.logit_bias), dtype=np.int64)
        self.bias = np.array(list(params.logit_bias.values()), dtype=np.float32)
        self.seen = TokenCounts(prompt_ids if self.penalized else ())
        # A stream of its own makes a seeded sequence independent of what runs beside it. Starting
        # one takes longer than all else here, and who takes the likeliest token never needs it.
        self._random: random.Random | None = None
        # Of the next tokens, as far as they were asked for; of `_num_drawn` in all.
        self._numbers: deque[float] = deque()
        self._num_drawn = 0
        # Names the stream where tokens are drawn on a device, which computes its own numbers.
        self.noise_seed = random.getrandbits(63) if params.seed is None else params.seed

    def append(self, token_id: int) -> None:
        """Count one more generated token."""
        self.num_new_tokens += 1
        if self.penalized:
            self.seen.add(token_id)

    def number(self, ahead: int = 0) -> float:
        """The random number, in [0, 1), of the token that comes behind `ahead` more. Each token has
        one, sampled or not, so that those behind it get the same ones however it came."""
        if self._random is None:
            self._random = random.Random(self.params.seed)
        while self._num_drawn <= self.num_new_tokens + ahead:
            self._numbers.append(self._random.random())
            self._num_drawn += 1
        while self._num_drawn - len(self._numbers) < self.num_new_tokens:
            self._numbers.popleft()
        return self._numbers[ahead]

    @property
    def ends_forbidden(self) -> bool:
        """True while the sequence must not end."""
        return self.num_new_tokens < self.params.min_new_tokens and len(self.end_ids) > 0

    @property
    def plain(self) -> bool:
        """True when the logits are used as they are, but for temperature and truncation; then it
        stays so, whatever is generated."""
        return not (self.penalized or len(self.bias_ids) or self.ends_forbidden)


class TokenCounts:
    """The distinct tokens of a sequence and how often each was generated, as growing arrays.
    added: what was generated, in order."""

    def __init__(self, prompt_ids: Iterable[int]) -> None:
        self.added: list[int] = []
        self._index = {token: i for i, token in enumerate(dict.fromkeys(prompt_ids))}
        self._size = len(self._index)
        self._ids = np.fromiter(self._index, dtype=np.int64, count=self._size)
        self._generated = np.zeros(self._size, dtype=np.float32)

    def add(self, token_id: int) -> None:
        self.added.append(token_id)
        index = self._index.get(token_id)
        if index is None:
            index = self._index[token_id] = self._size
            if index == len(self._ids):
                self._ids = np.resize(self._ids, 2 * index + 16)
                self._generated = np.resize(self._generated, 2 * index + 16)
            self._ids[index] = token_id
            self._generated[index] = 0
            self._size += 1
        self._generated[index] += 1

    @property
    def ids(self) -> npt.NDArray[np.int64]:
        """Distinct tokens of prompt and output."""
        return self._ids[: self._size]

    @property
    def generated(self) -> npt.NDArray[np.float32]:
        """How often each of `ids` was generated."""
        return self._generated[: self._size]
