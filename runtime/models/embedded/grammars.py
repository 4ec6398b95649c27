"""Decoding under the grammars that a program would ask for; called by the evaluation."""

from __future__ import annotations

import numpy as np
import torch

from ...constrained.base import Matcher
from ...protocol import Constraint, JsonSchema
from ...tool_formats import EMBEDDED, ToolSpec
from .corpus import Sample
from .corpus.chat import Tool
from .corpus.schema import compact_json, json_schema, plain_schema


def constraint(sample: Sample) -> Constraint | None:
    """What a program that puts the sample's question would hold the answer to: the schema of the
    record, or calls of its tools and free text; None where the answer is free."""
    if sample.fields:
        return JsonSchema(compact_json(json_schema(sample.fields)))
    if sample.tools:
        specs = [ToolSpec(tool.name, tool.description, _parameters(tool)) for tool in sample.tools]
        return EMBEDDED.constraint(specs, max_calls=None, text=True)
    return None


def _parameters(tool: Tool) -> dict[str, object]:
    return {
        "type": "object",
        "properties": {p.name: plain_schema(p.kind, p.options) for p in tool.params},
        "required": [p.name for p in tool.params if not p.optional],
        "additionalProperties": False,
    }


class Masked:
    """A logits processor that lets through only what a matcher allows, for `generate` with one
    sequence.

    max_tokens: the budget within which the output must be complete.
    """

    def __init__(self, matcher: Matcher, prompt_length: int, max_tokens: int) -> None:
        self._matcher = matcher
        self._taken = prompt_length
        self._end = prompt_length + max_tokens

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """input_ids: [1, length]. scores: [1, vocab]; returns them with -inf where forbidden."""
        for token in input_ids[0, self._taken :].tolist():
            self._matcher.accept(token)
        self._taken = input_ids.shape[1]
        row = np.zeros(-(-scores.shape[1] // 32), dtype=np.int32)
        self._matcher.fill_mask(row, self._end - self._taken)
        allowed = np.unpackbits(row.view(np.uint8), bitorder="little")[: scores.shape[1]]
        return scores.masked_fill(torch.from_numpy(allowed == 0), float("-inf"))
