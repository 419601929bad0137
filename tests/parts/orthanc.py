"""Orthanc: archive, Query/Retrieve, storage commitment and DICOMweb, and its REST interface."""

from __future__ import annotations

import io
import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
import pytest

from .processes import free_port, running

DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
AE_TITLE = "ORTHANC"


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc."""

    http_port: int
    dicom_port: int

    def get(self, path: str) -> Any:
        """What its REST interface answers."""
        return self._json("GET", path)

    def post(self, path: str, body: object) -> Any:
        """What its REST interface answers to a command, whose body is JSON."""
        return self._json("POST", path, body)

    def dicomweb(self, path: str) -> Any:
        """What its DICOMweb interface answers in DICOM JSON; skips the test where the plugin is not installed."""
        if not DICOMWEB.exists():
            pytest.skip("orthanc-dicomweb is not installed: `make tools` does it")
        return json.loads(self._ask("GET", f"/dicom-web{path}", None, {"Accept": "application/dicom+json"}))

    def file(self, instance: str) -> bytes:
        """An instance, by Orthanc's own identifier, as a DICOM file."""
        return self._ask("GET", f"/instances/{instance}/file")

    def store(self, path: Path) -> None:
        """Put a DICOM file into it, without DICOM on the network."""
        self._ask("POST", "/instances", path.read_bytes())

    def find(self, level: str, **query: str) -> list[Any]:
        """Patients, studies, series or instances that match."""
        return list(self.post("/tools/find", {"Level": level, "Query": query, "Expand": True}))

    def series(self, study_instance_uid: str) -> dict[str, list[Any]]:
        """Series of a study by modality."""
        found: dict[str, list[Any]] = {}
        for series in self.find("Series", StudyInstanceUID=study_instance_uid):
            found.setdefault(series["MainDicomTags"]["Modality"], []).append(series)
        return found

    def data_sets(self, study_instance_uid: str) -> list[pydicom.Dataset]:
        """The objects of a study."""
        found = self.find("Instance", StudyInstanceUID=study_instance_uid)
        return [pydicom.dcmread(io.BytesIO(self.file(instance["ID"]))) for instance in found]

    def know(self, name: str, ae_title: str, port: int, **more: object) -> None:
        """Make a system known: a destination of C-MOVE, who is told of commitments, whom `/modalities` calls."""
        system = {"AET": ae_title, "Host": "127.0.0.1", "Port": port, **more}
        self._ask("PUT", f"/modalities/{name}", json.dumps(system).encode())

    def know_dicomweb(self, name: str, url: str, **headers: str) -> None:
        """Make a DICOMweb service known, which `/dicom-web/servers` calls, with these headers."""
        server = {"Url": f"{url}/", "HttpHeaders": headers}
        self._ask("PUT", f"/dicom-web/servers/{name}", json.dumps(server).encode())

    def clear(self) -> None:
        """Let it hold no patient and know no system, as when it was new."""
        for kind in ("patients", "modalities"):
            for name in self.get(f"/{kind}"):
                self._ask("DELETE", f"/{kind}/{name}")

    def _json(self, method: str, path: str, body: object = None) -> Any:
        return json.loads(self._ask(method, path, None if body is None else json.dumps(body).encode()))

    def _ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> bytes:
        url = f"http://127.0.0.1:{self.http_port}{path}"
        request = urllib.request.Request(url, body, headers or {}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return bytes(answer.read())


@contextmanager
def running_orthanc(folder: Path, **settings: object) -> Iterator[Orthanc]:
    """An Orthanc that keeps its files in a new folder; any AE may store, query and retrieve. `settings` are added."""
    folder.mkdir(parents=True, exist_ok=True)
    found = Orthanc(free_port(), free_port())
    configuration = {
        "Name": "test PACS",
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "HttpPort": found.http_port,
        "DicomPort": found.dicom_port,
        "DicomAet": AE_TITLE,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "UnknownSopClassAccepted": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        "StableAge": 1,
        "Plugins": [str(DICOMWEB)] if DICOMWEB.exists() else [],
    }
    (folder / "orthanc.json").write_text(json.dumps(configuration | settings))

    def answers() -> bool:
        try:
            return bool(found.get("/system"))
        except OSError:
            return False

    with running("Orthanc", ["Orthanc", folder / "orthanc.json"], folder / "orthanc.log", answers):
        yield found


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """One for all tests of a worker; each uses studies and AE titles of its own."""
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as found:
        yield found


@pytest.fixture(scope="session")
def reused_orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """Another one, for tests that want it empty: `clear` makes it so."""
    with running_orthanc(tmp_path_factory.mktemp("reused-orthanc")) as found:
        yield found
