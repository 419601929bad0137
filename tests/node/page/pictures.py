"""Screenshots of the page for docs/images: `python -m tests.node.page.pictures demo`, after `make demo`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright
from sqlalchemy import Engine

from node.clock import utc_now
from node.operations.studies import find
from node.page.app import page as make_page
from node.page.visitors import COOKIE
from node.settings import load_settings
from node.web.server import WebServer
from storage.accounts import AccountRole, Accounts
from storage.database import open_engine
from storage.files import ObjectStore
from storage.index import Index
from storage.search import StudySearch

from ...parts.chromium import OPTIONS
from ...parts.node import ROOT

FOLDER = ROOT / "docs" / "images"
WIDTH, HEIGHT, TALLEST = 1280, 640, 1500
#: Beside 64 greys; and how far apart red, green and blue of a grey are at the most.
_COLOURS, _GREY = 190, 6
#: The patient of the demo whose study is shown.
_PATIENT = "SIM000104"
_ACCOUNT, _TOKEN = "operator", "token of the pictures"
#: Suffix of the file, language of the browser, scheme of colours.
_LOOKS = (("light", "en", "light"), ("dark", "en", "dark"), ("zh", "zh-CN", "light"))


@dataclass(frozen=True)
class Served:
    """The page of a demo, and who may look at it."""

    url: str
    study: str
    cookie: str


@contextmanager
def served(demo: Path, **changes: object) -> Iterator[Served]:
    """The page on the storage of a demo that has ended; `changes` are of its section `[web]`."""
    settings = load_settings(demo / "node.toml")
    web = settings.web.model_copy(update={"port": 0, **changes})
    engine, files = open_engine(settings.storage_url), ObjectStore(settings.root)
    made = make_page(settings.model_copy(update={"web": web}), engine, files)
    server = WebServer(web, settings.listener, (), files, Index(engine), page=made)
    accounts, now = Accounts(engine), utc_now()
    if accounts.find(_ACCOUNT) is None:
        accounts.add(_ACCOUNT, AccountRole.OPERATOR, now)
    account = accounts.find(_ACCOUNT)
    assert account is not None
    accounts.begin_session(account, _TOKEN, now, now + timedelta(minutes=30))
    server.start()
    try:
        yield Served(f"http://127.0.0.1:{server.port}", _study(engine, settings.root), _TOKEN)
    finally:
        server.stop()
        accounts.end_session(_TOKEN)
        engine.dispose()


def _study(engine: Engine, root: Path) -> str:
    (found,) = find(engine, root, StudySearch(patient=_PATIENT)).studies
    return found.study.study_instance_uid


def save(tab: Page, path: Path) -> None:
    """A picture of what a tab shows, of few colours, so that it is small."""
    picture = Image.open(BytesIO(tab.screenshot(full_page=True))).convert("RGB")
    few_colours(picture.crop((0, 0, picture.width, min(picture.height, TALLEST)))).save(path, optimize=True)


def few_colours(picture: Image.Image) -> Image.Image:
    """With a palette of 64 greys and of what else is there: among those of an image the line of a contour would be
    lost."""
    pixels = np.asarray(picture).reshape(-1, 3)
    others = pixels[np.ptp(pixels, axis=1) > _GREY]
    palette = [level for grey in range(64) for level in (round(grey * 255 / 63),) * 3]
    if len(others):
        of_others = Image.fromarray(others[None]).quantize(_COLOURS, kmeans=2, dither=Image.Dither.NONE)
        palette += (of_others.getpalette() or [])[: 3 * _COLOURS]
    held = Image.new("P", (1, 1))
    held.putpalette(palette)
    return picture.quantize(palette=held, dither=Image.Dither.NONE)


def take(browser: Browser, demo: Served, folder: Path) -> list[Path]:
    """Each page in each look."""
    pages = {"studies": "/", "study": f"/studies/{demo.study}", "node": "/node"}
    taken = []
    for suffix, language, scheme in _LOOKS:
        context = browser.new_context(
            locale=language, color_scheme=scheme, viewport={"width": WIDTH, "height": HEIGHT}, timezone_id="UTC"
        )
        context.add_cookies([{"name": COOKIE, "value": demo.cookie, "url": demo.url}])
        tab = context.new_page()
        for name, path in pages.items():
            answer = tab.goto(demo.url + path)
            assert answer is not None
            assert answer.ok, f"{path}: {answer.status}"
            if name == "study":
                expect(tab.locator("svg image[href]")).to_have_count(2, timeout=60_000)
            tab.wait_for_load_state("networkidle")
            taken.append(folder / f"page-{name}-{suffix}.png")
            save(tab, taken[-1])
        context.close()
    return taken


def main(demo: Path) -> None:
    """Take all."""
    chromium = shutil.which("chromium")
    assert chromium, "chromium is not installed: `make tools` does it"
    with served(demo) as page, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(OPTIONS))
        for path in take(browser, page, FOLDER):
            print(f"{path}: {path.stat().st_size // 1000} kB")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
