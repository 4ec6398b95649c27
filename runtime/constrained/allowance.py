"""How much a grammar may work at once. Given by the engine for each of its steps, spent by
matchers; a mask that needs more goes on in the next step."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Allowance:
    """left: places in the grammar that may still be looked at, a third of a microsecond each on a
    2.5 GHz core. What was begun may overdraw it by one piece."""

    left: int

    def spend(self, count: int) -> None:
        self.left -= count

    @property
    def is_spent(self) -> bool:
        return self.left <= 0
