"""Events of which only a text is encoded, against those encoded whole."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchline.runtime.protocol import Chunk
from branchline.runtime.server.http.answer import event
from branchline.runtime.server.http.chat_answer import ChatChunk, ChatWriter, ChunkChoice, Delta
from branchline.runtime.server.http.completions import (
    Completion,
    CompletionChoice,
    CompletionRequest,
    CompletionWriter,
)
from branchline.runtime.server.http.openai_fields import StreamOptions
from branchline.runtime.server.http.outputs import Reading
from branchline.runtime.tokenizer import Tokenizer

TEXTS = st.lists(st.text(), min_size=1, max_size=4)
# Names that could be taken for a place where the text belongs.
MODELS = st.sampled_from(["tiny", '"\0"', '{"text":""}', "\\u0000", "naïve 🙂"])


def told(events: bytes) -> list[dict[str, object]]:
    return [msgspec.json.decode(line[6:]) for line in events.split(b"\n\n") if line]


@given(texts=TEXTS, model=MODELS, with_usage=st.booleans(), index=st.integers(0, 3))
def test_pieces_of_a_completion(
    tokenizer: Tokenizer, texts: list[str], model: str, with_usage: bool, index: int
) -> None:
    options = StreamOptions(include_usage=with_usage)
    body = CompletionRequest(prompt="x", n=4, stream=True, stream_options=options)
    writer = CompletionWriter(body, model, tokenizer, [""])
    shown = None if with_usage else msgspec.UNSET
    chunks = [(0, Chunk("r", n, index, text, [1])) for n, text in enumerate(texts)]
    found = writer.events(list(chunks))
    id, created = (told(found)[0][name] for name in ("id", "created"))
    whole = [
        event(Completion(str(id), created, model, [CompletionChoice(index, text)], shown))  # type: ignore[arg-type]
        for text in texts
    ]
    assert found == b"".join(whole)


@given(texts=TEXTS, model=MODELS, with_usage=st.booleans(), index=st.integers(0, 1))
def test_pieces_of_a_conversation(
    tokenizer: Tokenizer, texts: list[str], model: str, with_usage: bool, index: int
) -> None:
    writer = ChatWriter(Reading(), model, tokenizer, n=2, with_usage=with_usage)
    opening = writer.events([])
    shown = None if with_usage else msgspec.UNSET
    chunks = [(0, Chunk("r", n, index, text, [1])) for n, text in enumerate(texts)]
    id, created = (told(opening)[0][name] for name in ("id", "created"))
    whole = [
        event(ChatChunk(str(id), created, model, [ChunkChoice(index, Delta(content=text))], shown))  # type: ignore[arg-type]
        for text in texts
        if text
    ]
    assert writer.events(list(chunks)) == b"".join(whole)


@pytest.mark.parametrize("text", ["", "\0", '"', "\\", "\N{LINE SEPARATOR}", "\ufffd"])
def test_texts_that_json_writes_otherwise(tokenizer: Tokenizer, text: str) -> None:
    body = CompletionRequest(prompt="x", stream=True)
    writer = CompletionWriter(body, "tiny", tokenizer, [""])
    (found,) = told(writer.events([(0, Chunk("r", 0, 0, text, [1]))]))
    (choice,) = found["choices"]  # type: ignore[misc]
    assert choice["text"] == text
