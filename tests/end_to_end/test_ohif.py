"""The viewer OHIF of npm in a browser, on the study of a demo; `make ohif` runs this and keeps its picture."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright
from rich.console import Console

from node.cli.demo import PATIENTS, run_demo
from node.page.visitors import COOKIE

from ..node.page.pictures import Served, save, served
from ..parts.node import ROOT
from ..parts.ohif import running_ohif
from ..parts.processes import free_port

pytestmark = pytest.mark.ohif

_LONGEST_MS = 120_000
expect.set_options(timeout=_LONGEST_MS)

PICTURE = ROOT / "docs" / "images" / "ohif.png"
#: WebGL without a graphics processor.
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-background-networking",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Served]]:
    """The viewer's address, and the page of the node whose study it reads."""
    folder: Path = tmp_path_factory.mktemp("ohif") / "demo"
    assert run_demo(folder, Console(quiet=True), PATIENTS[:1]) == 0
    port = free_port()
    here = f"http://127.0.0.1:{port}"
    link = here + "/viewer?StudyInstanceUIDs={study}"
    with served(folder, allowed_origins=(here,), viewer=link) as node, running_ohif(port, node.url) as address:
        yield address, node


@pytest.fixture(scope="module")
def tab(chromium: str) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(OPTIONS))
        found = browser.new_page(viewport={"width": 1400, "height": 900})
        found.set_default_timeout(_LONGEST_MS)
        yield found
        browser.close()


def coloured(tab: Page) -> int:
    """Pixels of the image that are no grey, as a segmentation over it is."""
    picture = Image.open(BytesIO(tab.locator("[data-cy=viewport-grid] canvas").first.screenshot())).convert("RGB")
    pixels = np.asarray(picture).astype(int)[100:-100, 100:-100]
    return int((np.ptp(pixels, axis=2) > 60).sum())


def test_the_viewer_lists_the_study_opens_the_t2wi_and_shows_the_segmentation(viewer, tab):
    address, node = viewer
    tab.goto(address)
    expect(tab.get_by_text("SIM, 000104").first).to_be_visible()
    tab.get_by_role("button", name="Confirm and hide").click()

    # By the link on the page of the study.
    tab.context.add_cookies([{"name": COOKIE, "value": node.cookie, "url": node.url}])
    tab.goto(f"{node.url}/studies/{node.study}")
    tab.get_by_role("link", name="OHIF").click()
    tab.get_by_text("Skip all").click()
    series = tab.locator("[data-cy=study-browser-thumbnail]", has_text="t2_tse_tra").first
    series.dblclick()
    grid = tab.locator("[data-cy=viewport-grid]")
    expect(grid).to_contain_text("(1/25)")
    assert coloured(tab) == 0

    tab.locator("[data-cy=study-browser-thumbnail-no-image]", has_text="S:9101").dblclick()
    tab.get_by_role("button", name="Yes").click()
    expect(tab.get_by_text("Do you want to open this Segmentation?")).to_be_hidden()
    tab.locator("[data-cy=panelSegmentation-btn]").click()
    expect(tab.get_by_text("Rectal tumour (AI, research)")).to_be_visible()
    first = re.search(r"\((\d+)/25\)", grid.inner_text())
    assert first, "the viewer has gone to the first slice that it lies in"
    grid.locator("canvas").first.hover()
    for number in range(1, 5):
        tab.mouse.wheel(0, 100)
        expect(grid).to_contain_text(f"({int(first[1]) + number}/25)")
    assert coloured(tab) > 500
    save(tab, PICTURE)
    assert PICTURE.stat().st_size < 300_000
