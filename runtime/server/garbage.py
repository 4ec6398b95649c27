"""Collections of garbage in the front process: seldom. Used by front.py.

What a request leaves behind is freed without them. Each looks through all that requests hold at
the moment, on the loop that every answer goes through; and as what was loaded is left out, Python
would look at all of it again and again.
"""

from __future__ import annotations

import gc
from typing import Final

# Objects beyond those that were freed, since the last collection: some hundred requests' at a time.
_MANY: Final = 20_000


def begin() -> None:
    """Leave what was loaded out of all collections, and let them come seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_MANY, *gc.get_threshold()[1:])
