"""What a state remembers of each call, for `state.timeline()` and `state.usages()`. Written by
executor.py, shown by timeline.py."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from branchline.runtime.protocol import Usage

from .failures import Origin


@dataclass(slots=True, eq=False)
class CallRecord:
    """One call to the runtime. Times are of `time.monotonic()`.

    `path` tells the branch: ("fork 1.2",) is the third child of the first fork; an inner program
    adds its name. `first_token_s` is None when nobody could tell, `error` is set when the
    call failed.
    """

    origin: Origin
    path: tuple[str, ...]
    queued_s: float
    started_s: float = field(default_factory=time.monotonic)
    first_token_s: float | None = None
    finished_s: float | None = None
    usage: Usage | None = None
    error: str | None = None

    def note_first_token(self) -> None:
        if self.first_token_s is None:
            self.first_token_s = time.monotonic()

    def finish(self, usage: Usage) -> None:
        """The call's results are there."""
        self.finished_s = time.monotonic()
        self.usage = usage
        if self.first_token_s is None and usage.first_token_s is not None:
            self.first_token_s = min(self.started_s + usage.first_token_s, self.finished_s)

    def fail(self, error: BaseException) -> None:
        self.finished_s = time.monotonic()
        self.error = type(error).__name__
