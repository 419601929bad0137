"""The page on a free port of this machine, with a study and its results, and browsers that are signed in."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from urllib.parse import quote

import highdicom as hd
import numpy as np
import pytest
import requests
import SimpleITK as sitk
from argon2 import PasswordHasher
from playwright.sync_api import Page, sync_playwright
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from node.clock import utc_now
from node.operations import accounts
from node.page.app import page as make_page
from node.recognition.record import to_json
from node.settings import Settings, WebSettings
from node.web.server import WebServer
from storage.accounts import AccountRole, Accounts
from storage.catalogue.filling import catch_up
from storage.database import close, open_engine
from storage.records import StudyState

from ...parts.chromium import OPTIONS
from ...storage.house import House
from ..results.conftest import STUDY_UID, make_encoded, mask_on, phantom, siemens  # noqa: F401 (fixtures)

PASSWORD = "a password of these tests"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NEOPLASM = codes.SCT.Neoplasm
LEAST_COST = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@dataclass
class Browser:
    """Somebody with a cookie; sends what a browser sends."""

    url: str
    session: requests.Session

    def get(self, path: str, **options) -> requests.Response:
        return self.session.get(self.url + path, timeout=60, allow_redirects=False, **options)

    def post(self, path: str, form=None, **headers: str) -> requests.Response:
        """A form of the page, with its proof unless it is given."""
        said = {"csrf_token": self.proof(), **(form or {})}
        sent = {"Origin": self.url, **headers}
        return self.session.post(self.url + path, said, headers=sent, timeout=60, allow_redirects=False)

    def send(self, path: str, data: bytes, name: str = "", **headers: str) -> requests.Response:
        """A file as the body of a request, as the scripts of the page send it."""
        said = {"Origin": self.url, "Content-Type": "application/octet-stream", "X-CSRF-Token": self.proof()}
        sent = {**said, "HX-Request": "true", "X-File-Name": quote(name), **headers}
        return self.session.post(self.url + path, data, headers=sent, timeout=60, allow_redirects=False)

    def proof(self) -> str:
        found = re.search('name="csrf_token" value="([0-9a-f]{64})"', self.get("/quarantine").text)
        return found.group(1) if found else ""


@dataclass
class RunningPage:
    """A page, and what lies behind it."""

    url: str
    house: House
    settings: Settings

    def nobody(self) -> Browser:
        return Browser(self.url, requests.Session())

    def signed_in(self, name: str) -> Browser:
        browser = self.nobody()
        answer = browser.post("/sign-in", {"name": name, "password": PASSWORD})
        assert answer.status_code == 303, answer.text
        return browser

    def catch_up(self) -> None:
        catch_up(self.house.engine, self.house.files)


@cache
def kept_password() -> str:
    """What is kept of `PASSWORD` by the least cost that argon2id has; who signs in pays what stands in the hash."""
    return LEAST_COST.hash(PASSWORD)


def house_in(root: Path) -> House:
    """The storage of a folder, whose clock stands still."""
    return House(open_engine(f"sqlite:///{root / 'index.sqlite'}"), root, lambda _seconds: NOW)


@contextmanager
def running_page(root: Path, more: Mapping[str, object] | None = None, **web: object) -> Iterator[RunningPage]:
    """The storage of a folder with an operator `olga` and a viewer `viktor`; `more`: settings beside those of the web.

    A folder without one gets one that is empty.
    """
    house = house_in(root)
    engine = house.engine
    values = WebSettings(enabled=True, page=True).model_copy(update={"port": 0, **web})
    settings = Settings(root=root, time_zone="UTC", **(more or {})).model_copy(update={"web": values})
    server = WebServer(
        values, settings.listener, (), house.files, house.index, "UTC", page=make_page(settings, engine, house.files)
    )
    for name, role in (("olga", AccountRole.OPERATOR), ("viktor", AccountRole.VIEWER)):
        link = accounts.add(engine, name, role)
        Accounts(engine).use_link(link.path.rpartition("/")[2], kept_password(), utc_now())
    server.start()
    try:
        yield RunningPage(f"http://127.0.0.1:{server.port}", house, settings)
    finally:
        server.stop()
        engine.dispose()


def receive_study(house: House, encoded, roles: tuple[str, ...] = ()) -> None:
    """The images of a study, and what was made of them, all or these roles, for two destinations."""
    for stack in encoded.results.plan.stacks:
        for frame in stack.frames:
            house.receive(frame.path.read_bytes())
    house.index.move(STUDY_UID, 1, StudyState.QUEUED)
    house.index.keep_verdict(STUDY_UID, 1, to_json(encoded.results.plan))
    for made in (it for it in encoded.objects if not roles or it.role in roles):
        house.make(made.path.read_bytes(), made.role, ["PACS", "archive"])
    house.ledger.conclude(STUDY_UID, 1, StudyState.COMPLETED, "", [], [], NOW)
    catch_up(house.engine, house.files)


def own_mask() -> np.ndarray:
    """What the node outlined on T2WI, slices × rows × columns."""
    return sitk.GetArrayFromImage(mask_on(phantom("T2WI"))).astype(bool)


def an_outline(sources, mask, property_type=NEOPLASM, label="edited", **changes) -> bytes:
    """A segmentation that highdicom makes, without the slices in which nothing is marked."""
    segment = hd.seg.SegmentDescription(
        1, label, codes.SCT.AnatomicalStructure, property_type, hd.seg.SegmentAlgorithmTypeValues.MANUAL
    )
    made = hd.seg.Segmentation(
        sources,
        mask.astype(np.uint8),
        hd.seg.SegmentationTypeValues.BINARY,
        [segment],
        series_instance_uid=changes.pop("series", generate_uid()),
        series_number=50,
        sop_instance_uid=changes.pop("uid", generate_uid()),
        instance_number=1,
        manufacturer="Someone",
        manufacturer_model_name="Editor",
        software_versions="1",
        device_serial_number="1",
    )
    for keyword, value in changes.items():
        del made[keyword]  # which is the element of the source itself
        setattr(made, keyword, value)
    buffer = io.BytesIO()
    made.save_as(buffer)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def t2wi(make_encoded):  # noqa: F811
    """A study of one sequence, with what was made of it."""
    return make_encoded("siemens", ("T2WI",))


@pytest.fixture(scope="session")
def page_with(tmp_path_factory) -> Callable[..., AbstractContextManager[RunningPage]]:
    """Runs a page in an empty folder with a study and what was made of it, all or some roles.

    A study is received once and copied for each page.
    """
    received: dict[tuple[Path, tuple[str, ...]], Path] = {}

    @contextmanager
    def page(folder: Path, encoded, *roles: str) -> Iterator[RunningPage]:
        known = (encoded.folder, roles)
        if known not in received:
            root = tmp_path_factory.mktemp("received")
            house = house_in(root)
            receive_study(house, encoded, roles)
            close(house.engine)
            received[known] = root
        shutil.copytree(received[known], folder, dirs_exist_ok=True)
        with running_page(folder) as found:
            yield found

    return page


@pytest.fixture(scope="module")
def page(page_with, t2wi, tmp_path_factory) -> Iterator[RunningPage]:
    """With a study of one sequence."""
    with page_with(tmp_path_factory.mktemp("page"), t2wi) as found:
        yield found


@pytest.fixture
def tab(chromium) -> Iterator[Page]:
    """A tab of a browser, in which nothing may go wrong unseen."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(OPTIONS))
        found = browser.new_page()
        faults: list[str] = []
        found.on("pageerror", lambda error: faults.append(str(error)))
        found.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        found.set_default_timeout(20_000)
        yield found
        browser.close()
        assert faults == []


@pytest.fixture(scope="module")
def olga(page) -> Browser:
    """An operator."""
    return page.signed_in("olga")


@pytest.fixture(scope="module")
def viktor(page) -> Browser:
    """A viewer."""
    return page.signed_in("viktor")
