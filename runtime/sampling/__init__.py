"""From logits to tokens: penalties, truncation, seeds, log probabilities."""

from .logprobs import prompt_logprobs, token_logprobs
from .params import check, check_logprobs
from .sample import Sampled, sample
from .state import SamplingState

__all__ = [
    "Sampled",
    "SamplingState",
    "check",
    "check_logprobs",
    "prompt_logprobs",
    "sample",
    "token_logprobs",
]
