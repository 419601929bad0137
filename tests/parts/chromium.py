"""Debian's Chromium, for tests of pages."""

from __future__ import annotations

import shutil

import pytest

#: As root, without a GPU, and without calls to its maker.
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser; skips the test where there is none."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("chromium is not installed: `make tools` does it")
    return found
