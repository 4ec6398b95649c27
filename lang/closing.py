"""What everything that holds a connection or a process shares: runtimes and their endpoints."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Closing(ABC):
    """Something to be closed, by hand or by the end of a `with` block."""

    @abstractmethod
    def close(self) -> None:
        """Release what is held. Calling it again does nothing."""

    def shutdown(self) -> None:
        """`close` under SGLang's name."""
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
