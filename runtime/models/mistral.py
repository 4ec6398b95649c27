"""Mistral 7B (arXiv:2310.06825): Llama's attention over a sliding window of tokens.

Made by the registry. The window is `ModelConfig.layer_windows`; None where a later release of the
family dropped it.
"""

from __future__ import annotations

from .decoder import CausalLM
from .llama import LlamaAttention


class MistralForCausalLM(CausalLM):
    attention_block = LlamaAttention
