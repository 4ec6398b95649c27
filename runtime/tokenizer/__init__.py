"""Text to token ids and back; used by the front process, the engine and the grammars.

Imports `tokenizers` and jinja2, neither transformers nor torch.
"""

from .coders import TokenizerError
from .stream import StreamDecoder
from .tokenizer import Tokenizer

__all__ = ["StreamDecoder", "Tokenizer", "TokenizerError"]
