"""Text to token ids and back; used by the front process, the engine and the grammars.

Imports `tokenizers` and jinja2, neither transformers nor torch.
"""

from .stream import StreamDecoder
from .tokenizer import Tokenizer, TokenizerError

__all__ = ["StreamDecoder", "Tokenizer", "TokenizerError"]
