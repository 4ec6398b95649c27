"""Pictures in programs: what is read, where they stand in text and messages, who refuses them."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from scripted import Scripted

import branchline as bl
from branchline.lang.backend.base import Capabilities
from branchline.lang.picture import Picture, content_of, read_picture

# The smallest files by their beginnings; what follows is the models' matter.
PNG = b"\x89PNG\r\n\x1a\n..."
FILES = {
    "image/png": PNG,
    "image/jpeg": b"\xff\xd8\xff\xe0...",
    "image/gif": b"GIF89a...",
    "image/webp": b"RIFF\x04\x00\x00\x00WEBP",
}


@pytest.fixture
def seeing(model: Scripted) -> Scripted:
    model.capabilities = Capabilities(images=True)
    return model


def pixels(png: bytes) -> list[bytes]:
    """The rows of an unfiltered PNG, its checksums checked."""
    rows, place, width = b"", 8, 0
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        kind, body = png[place + 4 : place + 8], png[place + 8 : place + 8 + length]
        assert struct.unpack(">I", png[place + 8 + length :][:4])[0] == zlib.crc32(kind + body)
        if kind == b"IHDR":
            width, _, _, colours = struct.unpack(">IIBB", body[:10])
            width *= {0: 1, 4: 2, 2: 3, 6: 4}[colours]
        rows += zlib.decompress(body) if kind == b"IDAT" else b""
        place += 12 + length
    assert {rows[i] for i in range(0, len(rows), width + 1)} == {0}
    return [rows[i + 1 : i + 1 + width] for i in range(0, len(rows), width + 1)]


@pytest.mark.parametrize("media_type", FILES)
def test_a_file_is_known_by_its_beginning(tmp_path: Path, media_type: str) -> None:
    path = tmp_path / "picture.bin"
    path.write_bytes(FILES[media_type])
    by_path, by_bytes = read_picture(str(path), "<i>"), read_picture(FILES[media_type], "<i>")
    assert by_path == by_bytes
    assert (by_path.media_type, by_path.data) == (media_type, FILES[media_type])


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("first", [True, False])
def test_an_array_becomes_a_png_of_its_pixels(channels: int, first: bool) -> None:
    array = np.random.default_rng(1).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    picture = read_picture(array.transpose(2, 0, 1) if first else array, "<i>")
    assert picture.media_type == "image/png"
    assert pixels(picture.data) == [row.tobytes() for row in array]


def test_an_image_object_is_saved_as_png() -> None:
    class Image:
        def save(self, file: object, format: str) -> None:
            assert format == "PNG"
            file.write(PNG)  # type: ignore[attr-defined]

    assert read_picture(Image(), "<i>").data == PNG


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (b"no picture", "begins as no picture file; PNG, JPEG"),
        (np.zeros((3, 4, 4)), "an array of float64 with shape"),
        (np.zeros((5, 6, 7), np.uint8), "expected 1 to 4 channels"),
        ({"a": 1}, "got dict; expected a path"),
        ("nowhere.png", "No such file"),
    ],
)
def test_what_is_no_picture_is_told_where_it_is_appended(
    seeing: Scripted, source: object, words: str
) -> None:
    @bl.function
    def look(s: bl.ProgramState) -> None:
        s += bl.user(bl.image(source) + "?") + bl.assistant(bl.gen("answer"))

    with pytest.raises(bl.InvalidRequest, match=words):
        look(backend=seeing)
    assert seeing.calls == []


@bl.function
def compare(s: bl.ProgramState, one: bytes, other: bytes) -> None:
    s += bl.user("First " + bl.image(one) + " then " + bl.image(other) + ": larger?")
    s += bl.assistant(bl.gen("answer"))
    s += bl.user("Sure?")


def test_pictures_stand_in_their_places(seeing: Scripted) -> None:
    state = compare(PNG, FILES["image/gif"], backend=seeing)
    assert state.text().startswith("<|user|>First <image> then <image>: larger?<|end|>\n")
    [call] = seeing.calls
    pictures = [part for part in call.prompt if isinstance(part, Picture)]
    assert [picture.media_type for picture in pictures] == ["image/png", "image/gif"]
    assert state.stream_executor.images_ == pictures
    first, answer, second = state.messages()
    assert [part["type"] for part in first["content"]] == [
        "text", "image_url", "text", "image_url", "text",
    ]  # fmt: skip
    assert first["content"][1]["image_url"]["url"] == f"data:image/png;base64,{pictures[0].base64}"
    assert (answer["content"], second["content"]) == (state["answer"], "Sure?")


def test_a_template_names_its_token_of_a_picture(seeing: Scripted) -> None:
    seeing.chat_template = bl.get_chat_template("qwen2-vl")
    state = compare(PNG, PNG, backend=seeing)
    assert state.text().count("<|vision_start|><|image_pad|><|vision_end|>") == 2


def test_the_token_of_a_picture_that_is_spelled_out_is_text(seeing: Scripted) -> None:
    @bl.function
    def say(s: bl.ProgramState) -> None:
        s += bl.user("<image>" + bl.image(PNG))

    content = say(backend=seeing).messages()[0]["content"]
    assert content[0] == {"type": "text", "text": "<image>"}
    assert [part["type"] for part in content] == ["text", "image_url"]


@pytest.mark.parametrize("mode", ["gather_variable", "concate_and_append"])
def test_branches_see_the_pictures_of_the_trunk_and_keep_their_own(
    seeing: Scripted, mode: str
) -> None:
    @bl.function
    def look(s: bl.ProgramState) -> None:
        s += bl.user_begin() + bl.image(PNG)
        branches = s.fork(2)
        branches += lambda number: f"{number}" + bl.image(FILES["image/gif"])
        branches.join(mode)
        s += bl.user_end()

    state = look(backend=seeing)
    content = state.messages()[0]["content"]
    types = [picture.media_type for picture in state.stream_executor.images_]
    appended = 2 if mode == "concate_and_append" else 0
    assert types == ["image/png", *["image/gif"] * appended]
    texts = [part["text"] for part in content if part["type"] == "text"]
    assert texts == ["0", "1"][:appended]
    assert len(content) == 1 + 2 * appended


def test_a_batch_with_pictures_is_interpreted(seeing: Scripted) -> None:
    items = [{"one": PNG, "other": data} for data in FILES.values()]
    states = compare.run_batch(items, backend=seeing)
    assert [state.stream_executor.images_[1].data for state in states] == list(FILES.values())


def test_content_without_pictures_is_text_without_leading_space() -> None:
    assert content_of(["  a", "b "]) == "ab "
    assert content_of([""]) == ""


def test_videos_are_refused_with_what_to_do(seeing: Scripted) -> None:
    @bl.function
    def look(s: bl.ProgramState) -> None:
        s += bl.user(bl.video("a.mp4", 8))

    with pytest.raises(bl.InvalidRequest, match=r"give frames of it, as image\(\.\.\.\) each"):
        look(backend=seeing)
