"""From logits to tokens: penalties, truncation, seeds, log probabilities."""

from .logprobs import Scored, prompt_logprobs, scored, token_logprobs, told
from .params import check, check_logprobs
from .sample import RowSampler, Sampled, of_drawn, sample, sample_by
from .state import SamplingState

__all__ = [
    "RowSampler",
    "Sampled",
    "SamplingState",
    "Scored",
    "check",
    "check_logprobs",
    "of_drawn",
    "prompt_logprobs",
    "sample",
    "sample_by",
    "scored",
    "token_logprobs",
    "told",
]
