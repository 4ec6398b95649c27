"""/v1/embeddings and /api/embed of a real runtime whose tiny model is random, through the official
packages."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from branchline.lang.launch import RuntimeProcess

FOXES = "the quick brown fox jumps over lazy dogs"


@pytest.fixture(scope="module")
def client(model_dir: Path) -> Iterator[openai.OpenAI]:
    with (
        RuntimeProcess(str(model_dir), kv_slots=8192, num_threads=1, http="127.0.0.1:0") as served,
        openai.OpenAI(base_url=f"{served.http_url}/v1", api_key="none", max_retries=0) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def model(model_dir: Path) -> str:
    return model_dir.name


def test_a_batch_gives_what_each_text_gives_alone(client: openai.OpenAI, model: str) -> None:
    texts = [FOXES[:end] for end in range(3, len(FOXES), 4)]
    batch = client.embeddings.create(model=model, input=texts)
    assert [entry.index for entry in batch.data] == list(range(len(texts)))
    for text, together in zip(texts[::4], batch.data[::4], strict=True):
        [alone] = client.embeddings.create(model=model, input=text, encoding_format="float").data
        assert together.embedding == pytest.approx(alone.embedding, abs=1e-5)
        assert math.hypot(*alone.embedding) == pytest.approx(1.0, abs=1e-5)
    assert batch.usage.prompt_tokens == batch.usage.total_tokens > len(texts)


def test_fewer_dimensions_are_the_first_ones_made_long_again(
    client: openai.OpenAI, model: str
) -> None:
    [whole] = client.embeddings.create(model=model, input=FOXES).data
    [short] = client.embeddings.create(model=model, input=FOXES, dimensions=8).data
    length = math.hypot(*whole.embedding[:8])
    assert short.embedding == pytest.approx([x / length for x in whole.embedding[:8]], abs=1e-5)


def test_the_last_state_takes_its_prefix_from_the_cache(client: openai.OpenAI, model: str) -> None:
    asked = {"pooling": "last"}
    first = client.embeddings.create(model=model, input=FOXES + " and", extra_body=asked)
    again = client.embeddings.create(model=model, input=FOXES + " and", extra_body=asked)
    assert again.data[0].embedding == pytest.approx(first.data[0].embedding, abs=1e-5)
    details = again.usage.model_extra["prompt_tokens_details"]  # type: ignore[index]
    assert details["cached_tokens"] == again.usage.prompt_tokens - 1


def test_every_failure_has_its_exception(client: openai.OpenAI, model: str) -> None:
    with pytest.raises(openai.BadRequestError) as wide:
        client.embeddings.create(model=model, input=FOXES, dimensions=33)
    assert wide.value.param == "dimensions"
    with pytest.raises(openai.BadRequestError) as long:
        client.embeddings.create(model=model, input="fox " * 20_000)
    assert long.value.code == "context_length_exceeded"
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="text-embedding-3-small", input=FOXES)
