"""Settings that must stand before torch is imported anywhere in the test process."""

from __future__ import annotations

import gc
import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER))

# What tests share says and waits for what it asserts under `python -O`, too, as tests do.
pytest.register_assert_rewrite(
    *(path.stem for path in FOLDER.rglob("*.py") if not path.name.startswith(("test_", "conftest")))
)

# As the runtime sets it for its engine process: spinning threads ruin a shared machine.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")
# Triton looks at this when it is first imported, by whichever test that is. TRITON_INTERPRET=0
# runs tests/runtime/kernels/triton on a GPU.
os.environ.setdefault("TRITON_INTERPRET", "1")
# Whoever starts the tests in the background has told them, and all that they start, to take no
# notice of Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples every time, however slow the machine; `--hypothesis-profile=default` draws new
# ones.
settings.register_profile(
    "steady", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")

# What thousands of tests hold is looked through in each full collection, for seconds.
gc.set_threshold(50_000, 20, 50)


def pytest_collection_finish() -> None:
    """What was imported and collected stays, and is looked through no more."""
    gc.collect()
    gc.freeze()
