"""Scoring choices: what goes to the engine and what comes back. Used by calls.py."""

from __future__ import annotations

from ..engine_protocol import Progress
from ..protocol import (
    CacheMiss,
    ChoiceScore,
    FrontMessage,
    LogprobParams,
    SamplingParams,
    Score,
    Scores,
    Text,
    TokenLogprob,
    Usage,
)
from ..tokenizer import Tokenizer
from . import validate
from .requests import SequenceRequest, SequenceSpec, spelled, with_texts
from .sessions import HeldPrompt


class ScoreRequest(SequenceRequest):
    """The log probabilities of choices: one sequence per choice, or two with `unconditional`."""

    def __init__(self, request: Score) -> None:
        self._request = request
        self.num_sequences = len(request.choices) * (2 if request.unconditional else 1)
        self._num_prompt_tokens = 0
        self._num_kept_tokens = 0
        self._num_cached_tokens = 0
        self._cache_miss: CacheMiss | None = None
        self._queue_s: float | None = None
        self._choice_ids: list[list[int]] = []
        self._logprobs: list[list[TokenLogprob] | None] = [None] * self.num_sequences
        self._num_unfinished = self.num_sequences
        self._tokenizer: Tokenizer
        self._held: HeldPrompt

    def hold(self) -> HeldPrompt:
        return self._held

    def prepare(self, tokenizer: Tokenizer, bounds: validate.Bounds) -> list[SequenceSpec]:
        """Tokenize each choice joined to the prompt, as the model would see it.

        Where some choice merges with the end of the prompt into one token, the prompt's last
        tokens are scored again with *every* choice: all scores are then conditional on the same
        kept tokens and can be compared. Where they would all go, choices do not merge: what
        begins a sequence has no score.
        """
        request = self._request
        self._tokenizer = tokenizer
        prompt_ids, num_settled = tokenizer.encode_settled(request.prompt)
        scoring = SamplingParams(max_new_tokens=0)
        validate.check_prompt_ids(prompt_ids, scoring, bounds)
        self._held = HeldPrompt.of(request.prompt, prompt_ids[:num_settled])
        joined = [tokenizer.encode([*request.prompt, Text(choice)]) for choice in request.choices]
        kept = min([len(prompt_ids), *(_common_prefix(prompt_ids, ids) for ids in joined)])
        if not kept:
            alone = [tokenizer.encode([Text(choice)]) for choice in request.choices]
            joined, kept = [[*prompt_ids, *ids] for ids in alone], len(prompt_ids)
        for index, ids in enumerate(joined):
            if len(ids) > bounds.context_limit:
                what = f"the prompt with choice {index} has {len(ids)} tokens"
                raise bounds.too_long(what, f"/choices/{index}")
        self._num_prompt_tokens, self._num_kept_tokens = len(prompt_ids), kept
        self._choice_ids = [ids[kept:] for ids in joined]
        specs = [SequenceSpec(ids, scoring, LogprobParams(prompt_start=kept)) for ids in joined]
        if request.unconditional:
            start = LogprobParams(prompt_start=0)
            specs += [SequenceSpec(ids, scoring, start) for ids in self._choice_ids]
        return specs

    def progress(self, index: int, progress: Progress) -> list[FrontMessage]:
        if index == 0 and progress.cached_tokens is not None:
            self._num_cached_tokens = progress.cached_tokens
            self._queue_s = progress.queue_s
            self._cache_miss = spelled(self._tokenizer, progress.cache_miss)
        if progress.prompt_logprobs is not None:
            self._logprobs[index] = progress.prompt_logprobs
        if progress.finish is None:
            return []
        self._num_unfinished -= 1
        return [] if self._num_unfinished else [self._scores()]

    def _scores(self) -> Scores:
        num_choices = len(self._choice_ids)
        logprobs = [with_texts(self._tokenizer, entry or []) for entry in self._logprobs]
        return Scores(
            rid=self._request.rid,
            choices=[
                ChoiceScore(
                    token_ids=ids,
                    logprobs=logprobs[index],
                    unconditional=(
                        logprobs[num_choices + index] if self._request.unconditional else None
                    ),
                )
                for index, ids in enumerate(self._choice_ids)
            ],
            usage=Usage(
                prompt_tokens=self._num_prompt_tokens,
                completion_tokens=0,
                cached_tokens=self._num_cached_tokens,
                queue_s=self._queue_s,
                cache_miss=self._cache_miss,
            ),
            prompt_tokens_kept=self._num_kept_tokens,
        )


def _common_prefix(a: list[int], b: list[int]) -> int:
    """How many leading ids are equal."""
    for index, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return index
    return min(len(a), len(b))
