"""The node's DICOMweb on a free port of this machine, with studies of two patients."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from dicomweb_client import DICOMwebClient
from pydicom import Dataset, dcmread
from sqlalchemy import Engine

from node.settings import ListenerSettings, RemoteSettings, WebSettings
from node.web.server import WebServer
from storage.catalogue.filling import catch_up
from storage.database import open_engine
from storage.files import ObjectStore
from storage.index import Index

from ...storage.house import House, a_file

ALL_RIGHTS = ("may_query", "may_retrieve", "may_store")
ROWS, COLUMNS = 4, 6


@dataclass(frozen=True)
class Web:
    """A running service, and what lies behind it."""

    server: WebServer
    engine: Engine
    files: ObjectStore
    index: Index
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server.port}/dicom-web"

    @property
    def client(self) -> DICOMwebClient:
        return DICOMwebClient(self.url)

    def get(self, path: str, accept: str = "", **options: Any) -> requests.Response:
        headers = options.pop("headers", {}) | ({"Accept": accept} if accept else {})
        return requests.get(self.url + path, headers=headers, timeout=60, **options)

    def catch_up(self) -> None:
        """Catalogue what has come, which the analysis does where a whole node runs."""
        catch_up(self.engine, self.files)

    def receive(self, *files: bytes) -> None:
        """Objects that came by C-STORE, in the catalogue."""
        house = House(self.engine, self.files.root, lambda _seconds: datetime(2026, 1, 2, tzinfo=UTC))
        for data in files:
            house.receive(data)
        self.catch_up()

    def stored(self) -> list[Dataset]:
        """Data sets of the received objects."""
        return [dcmread(path) for path in sorted((self.files.root / "objects").rglob("*.dcm"))]


@contextmanager
def running_web(root: Path, remotes: tuple[RemoteSettings, ...] = (), **settings: Any) -> Iterator[Web]:
    """A service with an empty storage; callers of this machine have all rights unless the settings say otherwise."""
    engine = open_engine(f"sqlite:///{root / 'index.sqlite'}")
    files, index = ObjectStore(root), Index(engine)
    listener_keys = settings.keys() & ListenerSettings.model_fields.keys() - WebSettings.model_fields.keys()
    of_listener = {"minimum_free_gb": 0.0} | {key: settings.pop(key) for key in listener_keys}
    request_s = settings.pop("request_s", 10.0)
    values = WebSettings().model_copy(update={"port": 0, "local_rights": ALL_RIGHTS, **settings})
    listener = ListenerSettings().model_copy(update=of_listener)
    server = WebServer(values, listener, remotes, files, index, time_zone="UTC", request_s=request_s)
    server.start()
    try:
        yield Web(server, engine, files, index, "https" if values.tls else "http")
    finally:
        server.stop()
        engine.dispose()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Web]]:
    """Start services with the settings that a test wants."""
    with ExitStack() as running:
        count = iter(range(100))
        yield lambda *given, **more: running.enter_context(running_web(tmp_path / f"web{next(count)}", *given, **more))


def an_image(number: int = 1, series: int = 1, study: str = "1.2.3", **values: object) -> bytes:
    """A file of an image of 4 rows and 6 columns, whose pixels are numbers from `number` on."""
    pixels = b"".join(value.to_bytes(2, "little") for value in range(number, number + ROWS * COLUMNS))
    image = {
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
        "PixelData": pixels,
    }
    data = dcmread(io.BytesIO(a_file(number, series, study)))
    for keyword, value in (image | values).items():
        setattr(data, keyword, value)
    data["PixelData"].VR = "OW"
    out = io.BytesIO()
    data.save_as(out, enforce_file_format=True)
    return out.getvalue()


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A service with four studies, whose patients have names in four scripts."""
    with running_web(tmp_path_factory.mktemp("web")) as found:
        found.receive(
            an_image(1, 1),
            an_image(2, 1),
            an_image(1, 2, Modality="DX", SeriesDescription="plain film"),
            an_image(1, 1, "1.2.4", PatientID="P2", PatientName="Müller^Änne", StudyDescription="100%_sure"),
            an_image(1, 1, "1.2.5", PatientID="P3", PatientName="Wang^XiaoDong=王^小东", StudyDate="20260203"),
            an_image(1, 1, "1.2.6", PatientID="P4", PatientName="Иванов^Пётр", StudyTime="1700"),
        )
        yield found
