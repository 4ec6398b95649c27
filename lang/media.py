"""Images and videos in prompts: `image(...)` and `video(...)`. A backend whose model sees nothing
says so before the first call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from .errors import InvalidRequest
from .ir import AppendChildren, Expr
from .picture import read_picture
from .transcript import Addition

if TYPE_CHECKING:
    from .backend.base import Backend


@dataclass(frozen=True, eq=False, repr=False)
class Image(Expr):
    """A picture: a path, the bytes of a file, or an image object."""

    source: object

    def for_backend(self, backend: Backend) -> Expr:
        _require_sight(self, backend)
        try:
            picture = read_picture(self.source, backend.chat_template.image_token)
        except (OSError, TypeError, ValueError) as error:
            raise InvalidRequest(f"{self!r}: {error}", pointer="image") from error
        return AppendChildren((Addition(picture.text, (picture,), pictures=((0, picture),)),))

    def __repr__(self) -> str:
        return f"Image({_shown(self.source)})"


@dataclass(frozen=True, eq=False, repr=False)
class Video(Expr):
    """`num_frames` pictures of a video file."""

    path: str
    num_frames: int

    def for_backend(self, backend: Backend) -> NoReturn:
        _require_sight(self, backend)
        raise InvalidRequest(
            f"{self!r}: videos are not read here; give frames of it, as image(...) each",
            pointer="video",
        )

    def __repr__(self) -> str:
        return f"Video({self.path!r}, {self.num_frames})"


def image(expr: object) -> Image:
    """A picture in a prompt; `expr` is a path, the bytes of a PNG, JPEG, GIF or WebP file, a PIL
    image, or an array or tensor of bytes, [channels, height, width]. For models behind an API that
    see; others refuse it by name."""
    if expr is None or (isinstance(expr, str | bytes) and not expr):
        raise ValueError("image(): give a path, bytes or an image")
    return Image(expr)


def video(path: str, num_frames: int) -> Video:
    """A video in a prompt, seen as `num_frames` pictures. No backend takes one; each says so."""
    if num_frames < 1:
        raise ValueError(f"video(): num_frames={num_frames}: expected at least 1")
    return Video(path, num_frames)


def _require_sight(node: Expr, backend: Backend) -> None:
    if not backend.capabilities.images:
        raise InvalidRequest(
            f"{node!r}: the model {backend.model_info.name!r} is served for text only; describe "
            "the picture in words",
            pointer="image",
        )


def _shown(source: object) -> str:
    return repr(source) if isinstance(source, str) else f"<{type(source).__name__}>"
