"""S2: frames that were messages before they were mutated, a great many of them, in the decoders."""

from __future__ import annotations

import random

import msgspec
import pytest

from branchline.runtime.engine_protocol import engine_events
from branchline.runtime.protocol import (
    PROTOCOL_VERSION,
    Choices,
    Decoder,
    EmbedParams,
    FrameError,
    Generate,
    Hello,
    Inspect,
    JsonSchema,
    LogprobParams,
    Plan,
    PlanFork,
    PlanGenerate,
    PlanInstance,
    PlanPart,
    PlanSelect,
    Regex,
    RunPlan,
    SamplingParams,
    Score,
    Text,
    Tokens,
    client_messages,
    encode,
    front_frames,
)
from branchline.runtime.views import TreeQuery

SAMPLING = SamplingParams(max_new_tokens=2, temperature=0.5, stop=["x"], logit_bias={3: 1.0})
PLAN = Plan(
    [
        [PlanPart(Text("a")), PlanGenerate(SAMPLING), PlanFork([1])],
        [PlanSelect(["b", "c"], "token_length_normalized")],
    ]
)
SEEDS = [
    encode(message)
    for message in (
        Hello(PROTOCOL_VERSION, "me"),
        Generate("r", [Text("hello", markup=True), Tokens([1, 2])], SAMPLING),
        Generate("r", [Text("é")], SAMPLING, Regex("[a-z]+"), stream=True, timeout_s=1.0),
        Generate("r", [Text("a")], SAMPLING, JsonSchema('{"type":"object"}')),
        Generate("r", [Text("a")], SAMPLING, Choices(["a", "b"]), LogprobParams(3, 0)),
        Generate("r", [Text("a")], SAMPLING, base=7, keep_as=8, embed=EmbedParams("last", 3)),
        Score("s", [Text("a")], ["b", "c"], unconditional=True),
        RunPlan(PLAN, [PlanInstance("i", ["x"]), PlanInstance("j")], "tenant"),
        Inspect("i", TreeQuery()),
    )
]


def mutated(rng: random.Random) -> bytes:
    """A frame with bytes changed, cut, doubled, filled in or nested."""
    frame = bytearray(rng.choice(SEEDS))
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(frame))
        match rng.randrange(6):
            case 0:
                frame[place] = rng.randrange(256)
            case 1:
                del frame[place : place + rng.randint(1, 8)]
            case 2:
                frame[place:place] = rng.randbytes(rng.randint(1, 8))
            case 3:
                frame[place:place] = frame[place : place + 16]
            case 4:  # a length of gigabytes
                frame[place:place] = rng.choice([b"\xdd", b"\xdf", b"\xc6", b"\xdb"]) + b"\xff" * 4
            case 5:
                frame[place:place] = b"\x91" * rng.choice([1, 40, 3_000])
        frame = frame or bytearray(b"\xc0")
    return bytes(frame)


@pytest.mark.parametrize(
    "number",
    [20_000, pytest.param(1_000_000, marks=[pytest.mark.nightly, pytest.mark.timeout(1_700)])],
)
def test_a_mutated_frame_is_a_message_or_a_frame_error(number: int) -> None:
    rng = random.Random(2)
    decoders: list[Decoder[object]] = [client_messages, front_frames, engine_events]  # type: ignore[list-item]
    refused = 0
    for _ in range(number):
        frame = mutated(rng)
        for decoder in decoders:
            try:
                message = decoder.decode(frame)
            except FrameError:
                refused += 1
            else:
                # What decodes can be sent on: it is within the types' bounds.
                assert decoder.decode(encode(message)) == message  # type: ignore[arg-type]
    assert refused > number


def test_a_decoder_that_lets_another_error_through_would_be_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Planted: only msgspec's own errors are caught, which lets a fifth of the frames through."""

    def decode(self: Decoder[object], frame: bytes) -> object:
        try:
            return self._decoder.decode(frame)
        except msgspec.MsgspecError as error:
            raise FrameError(str(error)) from None

    monkeypatch.setattr(Decoder, "decode", decode)
    with pytest.raises((UnicodeDecodeError, RecursionError)):
        test_a_mutated_frame_is_a_message_or_a_frame_error(2_000)
