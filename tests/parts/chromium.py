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
    from playwright.sync_api import expect

    # A process of its own, as rules are tried in, takes longer to start on a loaded machine than the usual 5 s.
    expect.set_options(timeout=60_000)  # ms
    return found
