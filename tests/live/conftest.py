"""A headless Chromium, and a daemon with a live page, for all tests of a file. Where there is no Chromium, or
playwright is not installed, they are left out, and the reason says what is missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.live.rig import LiveDaemon

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_CHROMIUM: Final = ("chromium", "chromium-browser", "google-chrome")
# Root has no sandbox. The others keep it from asking its maker's hosts: the tests speak to loopback only.
_FLAGS: Final = (
    *(("--no-sandbox",) if os.geteuid() == 0 else ()),
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    found = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if found is None:
        pytest.skip("there is no Chromium: apt-get install --no-install-recommends chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        pytest.skip("playwright is not installed: it is in the extra `judges`")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=found, args=list(_FLAGS))
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def live(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveDaemon]:
    """A daemon that serves the page, with secrets and some load; started only if there is a browser to look at it."""
    with LiveDaemon(tmp_path_factory.mktemp("live")) as running:
        yield running


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that pictures for the eye are written to: `$TESTS_SCREENSHOTS`, or one of pytest's."""
    asked = os.environ.get("TESTS_SCREENSHOTS")
    folder = Path(asked) if asked else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
