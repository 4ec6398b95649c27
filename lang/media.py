"""Images and videos in prompts: `image(...)` and `video(...)`. No backend takes them yet, and each
says so before the first call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from .errors import InvalidRequest
from .ir import Expr

if TYPE_CHECKING:
    from .backend.base import Backend


@dataclass(frozen=True, eq=False, repr=False)
class Image(Expr):
    """A picture: a path, the bytes of a file, or an image object."""

    source: object

    def for_backend(self, backend: Backend) -> NoReturn:
        raise _text_only(self, backend)

    def __repr__(self) -> str:
        return f"Image({_shown(self.source)})"


@dataclass(frozen=True, eq=False, repr=False)
class Video(Expr):
    """`num_frames` pictures of a video file."""

    path: str
    num_frames: int

    def for_backend(self, backend: Backend) -> NoReturn:
        raise _text_only(self, backend)

    def __repr__(self) -> str:
        return f"Video({self.path!r}, {self.num_frames})"


def image(expr: object) -> Image:
    """A picture in a prompt; `expr` is a path, the bytes of a file, or an image object."""
    if expr is None or expr == "":
        raise ValueError("image(): give a path, bytes or an image")
    return Image(expr)


def video(path: str, num_frames: int) -> Video:
    """A video in a prompt, seen as `num_frames` pictures."""
    if num_frames < 1:
        raise ValueError(f"video(): num_frames={num_frames}: expected at least 1")
    return Video(path, num_frames)


def _shown(source: object) -> str:
    return repr(source) if isinstance(source, str) else f"<{type(source).__name__}>"


def _text_only(node: Expr, backend: Backend) -> InvalidRequest:
    return InvalidRequest(
        f"{node!r}: the model {backend.model_info.name!r} is served for text only; describe the "
        "picture in words"
    )
