"""A picture as a part of a prompt: what users give becomes a file's bytes, and messages hold it as
OpenAI's content parts. Made by media.py, kept by transcript.py, sent by the backends that take it.
"""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from branchline.runtime import protocol

# How the files begin that every API of models that see takes.
_SIGNATURES: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
_TAKEN: Final = "PNG, JPEG, GIF and WebP files are taken"
# PNG's colour types, by the number of channels.
_COLOUR_TYPES: Final = {1: 0, 2: 4, 3: 2, 4: 6}


class Picture(protocol.Text, frozen=True, tag="picture"):
    """A picture where a prompt has the text `text`, the template's token for one. Never on the
    wire: a runtime takes none."""

    data: bytes = b""
    media_type: str = "image/png"

    @property
    def base64(self) -> str:
        return base64.b64encode(self.data).decode("ascii")

    @property
    def url(self) -> str:
        return f"data:{self.media_type};base64,{self.base64}"


def read_picture(source: object, token: str) -> Picture:
    """The picture that a user gives: a path, a file's bytes, an object with `save` (PIL's), or an
    array of bytes, channels first or last. Raises OSError, TypeError or ValueError."""
    if isinstance(source, str | Path):
        data = Path(source).read_bytes()
    elif isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
    elif callable(save := getattr(source, "save", None)):
        buffer = io.BytesIO()
        save(buffer, format="PNG")
        data = buffer.getvalue()
    elif hasattr(source, "__array__"):
        data = _png_of_array(source)
    else:
        raise TypeError(
            f"image(): got {type(source).__name__}; expected a path, bytes, a PIL image, or an "
            "array of bytes [channels, height, width]"
        )
    return Picture(token, markup=True, data=data, media_type=_media_type(data, source))


def content_of(pieces: Iterable[str | Picture]) -> str | list[dict[str, Any]]:
    """A message's content: its text, or OpenAI's content parts where it has pictures."""
    parts: list[dict[str, Any]] = []
    text = ""
    for piece in pieces:
        if isinstance(piece, str):
            text += piece
            continue
        parts += _text_part(text if parts else text.lstrip())
        parts.append({"type": "image_url", "image_url": {"url": piece.url}})
        text = ""
    return [*parts, *_text_part(text)] if parts else text.lstrip()


def _text_part(text: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": text}] if text else []


def _media_type(data: bytes, source: object) -> str:
    for signature, media_type in _SIGNATURES:
        if data.startswith(signature):
            return media_type
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    what = repr(source) if isinstance(source, str | Path) else "the bytes"
    raise ValueError(f"image(): {what} begins as no picture file; {_TAKEN}")


def _png_of_array(source: object) -> bytes:
    import numpy as np

    array = np.asarray(source)
    if array.dtype != np.uint8 or array.ndim != 3:
        raise ValueError(
            f"image(): an array of {array.dtype} with shape {array.shape}; expected bytes (uint8) "
            "[channels, height, width]"
        )
    if array.shape[0] in _COLOUR_TYPES:
        array = array.transpose(1, 2, 0)
    height, width, channels = array.shape
    if channels not in _COLOUR_TYPES or not height or not width:
        raise ValueError(f"image(): an array of shape {array.shape}: expected 1 to 4 channels")
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    # Each row says how it was filtered: not at all.
    rows = b"".join(b"\0" + row.tobytes() for row in np.ascontiguousarray(array))
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return _SIGNATURES[0][0] + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
