"""Checks of sampling parameters beyond what the wire's types say; called at the edge, once.

A program that runs the engine in its own process never passes the wire's decoder, so the ranges
are checked here too, from the same annotations. NaN lies in no range and is refused with them.
"""

from __future__ import annotations

import msgspec

from ..errors import RequestError
from ..protocol import LogprobParams, SamplingParams


def check(params: SamplingParams, vocab_size: int | None = None) -> None:
    """Raise RequestError("invalid_request") with a pointer unless `params` can be served.

    With `vocab_size` the token ids in `logit_bias` and `stop_token_ids` are checked too.
    """
    _check_types(params, "/sampling")
    if params.min_new_tokens > params.max_new_tokens:
        raise RequestError(
            "invalid_request",
            f"min_new_tokens {params.min_new_tokens} is above max_new_tokens "
            f"{params.max_new_tokens}; lower it or raise max_new_tokens",
            pointer="/sampling/min_new_tokens",
        )
    if vocab_size is None:
        return
    for position, token_id in enumerate(params.stop_token_ids):
        _check_token(token_id, vocab_size, f"/sampling/stop_token_ids/{position}")
    for token_id in params.logit_bias:
        _check_token(token_id, vocab_size, f"/sampling/logit_bias/{token_id}")


def check_logprobs(params: LogprobParams, num_prompt_tokens: int) -> None:
    """Raise RequestError unless `prompt_start` lies inside a prompt of `num_prompt_tokens`."""
    _check_types(params, "/logprobs")
    start = params.prompt_start
    if start is not None and start > num_prompt_tokens:
        raise RequestError(
            "invalid_request",
            f"prompt_start {start} is beyond the prompt's {num_prompt_tokens} tokens",
            pointer="/logprobs/prompt_start",
        )


def _check_types(params: SamplingParams | LogprobParams, pointer: str) -> None:
    try:
        msgspec.convert(msgspec.to_builtins(params), type(params))
    except TypeError as error:
        raise RequestError("invalid_request", str(error), pointer=pointer) from None
    except msgspec.ValidationError as error:
        # msgspec ends its texts with " - at `$.field[...]`".
        text, _, path = str(error).partition(" - at `$")
        parts = path.rstrip("`").replace("[", ".").replace("]", "").split(".")
        raise RequestError(
            "invalid_request", text, pointer="/".join([pointer, *filter(None, parts)])
        ) from None


def _check_token(token_id: int, vocab_size: int, pointer: str) -> None:
    if not 0 <= token_id < vocab_size:
        raise RequestError(
            "invalid_request",
            f"token id {token_id} is outside the vocabulary of {vocab_size} tokens",
            pointer=pointer,
        )
