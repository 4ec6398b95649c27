"""What `get_meta_info` shows: the wire's results under the names that users know. Called by
calls.py."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from branchline.runtime import protocol

from .choices import Logprob

Meta = dict[str, Any]


def generation_meta(done: protocol.Done) -> Meta:
    """Of a whole call: token counts, how the (first) output ended, log probabilities if asked.

    With several outputs "finish_reason" and log probabilities are the first one's, and
    "sequences" lists those of all.
    """
    alone = len(done.outputs) == 1
    meta: Meta = {
        **usage_meta(done.rid, done.usage),
        **_output_meta(done.outputs[0], done.usage.completion_tokens if alone else 0),
    }
    if done.prompt_logprobs is not None:
        meta["input_token_logprobs"] = logprob_tuples(done.prompt_logprobs)
        meta["input_top_logprobs"] = [list(token.top) for token in done.prompt_logprobs]
    if not alone:
        meta["sequences"] = [_output_meta(output, 0) for output in done.outputs]
    return meta


def chunk_meta(chunk: protocol.Chunk, completion_tokens: int) -> Meta:
    """Of a piece of a stream: log probabilities of its own tokens only."""
    meta: Meta = {"id": chunk.rid, "completion_tokens": completion_tokens}
    if chunk.logprobs is not None:
        meta |= _logprob_meta(chunk.logprobs)
    return meta


def usage_meta(rid: str, usage: protocol.Usage) -> Meta:
    """Token counts, as far as the backend tells: what a grammar forced, what was drafted ahead and
    how much of that was accepted; "cache_miss" says why no more of the prompt was cached."""
    meta: Meta = {
        "id": rid,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cached_tokens": usage.cached_tokens,
    }
    for name in ("forced_tokens", "drafted_tokens", "accepted_tokens"):
        if (count := getattr(usage, name)) is not None:
            meta[name] = count
    miss = usage.cache_miss
    if miss is not None:
        meta["cache_miss"] = {
            "position": miss.position,
            "token_id": miss.token_id,
            "text": miss.text,
            "reason": miss.reason,
            "evicted_ago_s": miss.evicted_ago_s,
            "cached_instead": list(miss.cached_instead),
        }
    return meta


def logprob_tuples(tokens: Iterable[protocol.TokenLogprob]) -> list[Logprob]:
    """The convention's (log probability, token id, text) triples."""
    return [(token.logprob, token.token_id, token.text) for token in tokens]


def _output_meta(output: protocol.Output, num_tokens: int) -> Meta:
    reason: Meta = {"type": output.finish_reason}
    if output.finish_reason == "length":
        # An API of texts tells no tokens, but their number: that of all outputs together.
        if length := len(output.token_ids) or num_tokens:
            reason["length"] = length
    elif output.matched_stop is not None:
        reason["matched"] = output.matched_stop
    meta: Meta = {"finish_reason": reason}
    if output.closed_by_budget:
        meta["closed_by_budget"] = True
    if output.logprobs is not None:
        meta |= _logprob_meta(output.logprobs)
    return meta


def _logprob_meta(tokens: list[protocol.TokenLogprob]) -> Meta:
    meta: Meta = {"output_token_logprobs": logprob_tuples(tokens)}
    if any(token.top for token in tokens):
        meta["output_top_logprobs"] = [list(token.top) for token in tokens]
    return meta
