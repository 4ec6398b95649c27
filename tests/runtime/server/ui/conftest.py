"""A headless Chromium for the tests of the web page; without one they are skipped.

`chromium` lies beside the tests, `played_front` with the tests of HTTP; make both importable under
any pytest import mode. Screenshots go to $BRANCHLINE_SCREENSHOTS where it is set.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from branchline.runtime.tokenizer import Tokenizer

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "http"))

from chromium import Chromium, Page, find_chromium
from played_front import PlayedFront

Shoot = Callable[[str], bytes]


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    if find_chromium() is None:
        pytest.skip("no Chromium is installed (Debian's package: chromium)")
    browser = Chromium(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture
def page(chromium: Chromium) -> Iterator[Page]:
    """An empty tab; at its end nothing may have failed in it."""
    page = chromium.page()
    yield page
    page.close()


@pytest.fixture
def front(tokenizer: Tokenizer) -> Iterator[PlayedFront]:
    """A server whose engine the test plays."""
    front = PlayedFront(tokenizer)
    yield front
    front.close()


@pytest.fixture
def shoot(page: Page, tmp_path: Path) -> Shoot:
    """Keep a screenshot under a name."""
    folder = Path(os.environ.get("BRANCHLINE_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return lambda name: page.screenshot(folder / f"{name}.png")
