"""Collections of garbage in the engine's process: not while somebody waits for a token. Used by
process.py, and by benches that turn the core over themselves.

One looks through all that is kept, 0.4 us an object, and holds every thread up meanwhile: 0.12 s
with the grammars of a thousand schemas. What the engine lets go of is freed without them
(test_garbage.py); they are for what goes in circles that nobody foresaw.
"""

from __future__ import annotations

import gc
from typing import Final

# Objects beyond those that were freed, since the last collection.
_WORTH_IT: Final = 50_000
# The grammars that are kept, a thousand or two, are a million.
_TOO_MANY: Final = 4_000_000


def begin() -> None:
    """Leave what was loaded out of all collections, and let none come by itself."""
    gc.collect()
    gc.freeze()
    gc.disable()


def end() -> None:
    """Collections come by themselves again, and look at everything; for benches and tests, whose
    process goes on with something else."""
    gc.unfreeze()
    gc.enable()


def collect_at_rest() -> None:
    """Collect if it is worth it: nobody waits."""
    _collect_beyond(_WORTH_IT)


def collect_if_needed() -> None:
    """Between two steps of an engine that never rests: memory must not grow without bound."""
    _collect_beyond(_TOO_MANY)


def _collect_beyond(num_objects: int) -> None:
    # Counted whether or not collections come by themselves; where they do, it is never much.
    if gc.get_count()[0] > num_objects:
        gc.collect()
