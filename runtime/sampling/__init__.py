"""From logits to tokens: penalties, truncation, seeds, log probabilities."""

from .logprobs import prompt_logprobs, token_logprobs
from .params import check, check_logprobs
from .sample import RowSampler, Sampled, of_drawn, sample, sample_by
from .state import SamplingState

__all__ = [
    "RowSampler",
    "Sampled",
    "SamplingState",
    "check",
    "check_logprobs",
    "of_drawn",
    "prompt_logprobs",
    "sample",
    "sample_by",
    "token_logprobs",
]
