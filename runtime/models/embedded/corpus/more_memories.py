"""More of what users tell and ask for later: family, journeys, belongings; see memories.py."""

from __future__ import annotations

from .memory import Memory

MORE_MEMORIES: tuple[Memory, ...] = ()
