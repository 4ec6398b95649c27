"""An HTTP server whose engine is played by the test.

`played_front` lies beside the tests; make it importable under any pytest import mode.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from branchline.runtime.tokenizer import Tokenizer

sys.path.insert(0, str(Path(__file__).parent))

from played_front import Asker, PlayedFront


@pytest.fixture(scope="module")
def listening(tokenizer: Tokenizer) -> Iterator[PlayedFront]:
    front = PlayedFront(tokenizer)
    front.listen()
    yield front
    front.close()


@pytest.fixture
def front(listening: PlayedFront) -> PlayedFront:
    """A front that listens on loopback without a key; nothing is in flight."""
    listening.reset()
    return listening


@pytest.fixture
def asker(front: PlayedFront) -> Asker:
    """A client of that front."""
    assert front.server is not None
    return Asker(front.server)


@pytest.fixture(scope="module")
def listening_roomy(tokenizer: Tokenizer) -> Iterator[PlayedFront]:
    front = PlayedFront(tokenizer, context=8192)
    front.listen()
    yield front
    front.close()


@pytest.fixture
def roomy(listening_roomy: PlayedFront) -> PlayedFront:
    """Like `front`, with a context that holds tools."""
    listening_roomy.reset()
    return listening_roomy


@pytest.fixture
def own_front(tokenizer: Tokenizer) -> Iterator[PlayedFront]:
    """A front of the test's own that does not listen yet."""
    front = PlayedFront(tokenizer)
    yield front
    front.close()
