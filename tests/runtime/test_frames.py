"""What a frame holds."""

from __future__ import annotations

from branchline.runtime.engine_protocol import Progress, StepEvents
from branchline.runtime.protocol import Generate, SamplingParams, Text, client_messages, encode


def test_what_is_as_its_default_says_does_not_travel() -> None:
    message = Generate("a", [Text("hi")], SamplingParams(temperature=0.5))
    frame = encode(message)
    assert b"temperature" in frame
    assert b"frequency_penalty" not in frame
    assert client_messages.decode(frame) == message


def test_a_step_s_news_of_a_sequence_take_less_than_twenty_bytes() -> None:
    news = StepEvents([Progress(sid, [5]) for sid in range(64)])
    assert len(encode(news)) < 64 * 20
