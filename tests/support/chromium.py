"""Headless Chromium as the system's package manager installs it, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


@contextmanager
def launched() -> Iterator[Browser]:
    """A browser; the test is skipped where this system has none."""
    playwright = pytest.importorskip("playwright.sync_api")
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        pytest.skip("no Chromium here; on Debian: apt install chromium-headless-shell")
    with playwright.sync_playwright() as driver:
        # A container's root may not make the sandbox's namespaces; only our own page is opened.
        browser = driver.chromium.launch(executable_path=program, chromium_sandbox=False)
        yield browser
        browser.close()
