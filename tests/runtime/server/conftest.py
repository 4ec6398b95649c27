"""A small byte-level tokenizer, and a service whose engine is played by the test.

`service_desk` lies beside the tests; make it importable under any pytest import mode.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import tokenizers

from branchline.runtime.tokenizer import Tokenizer

sys.path.insert(0, str(Path(__file__).parent))

from service_desk import END, Desk


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """All bytes, some merges, three control tokens; id 2 ends a generation."""
    trained = tokenizers.Tokenizer(tokenizers.models.BPE())
    trained.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    trained.train_from_iterator(["hello world, the island is green and good"] * 3, trainer)
    return Tokenizer(json.loads(trained.to_str()), eos_ids=(END,))


@pytest.fixture
def desk(tokenizer: Tokenizer) -> Iterator[Desk]:
    """A service that knows client b"c"."""
    desk = Desk(tokenizer)
    desk.greet()
    yield desk
    desk.service.close()
