"""The real parts: Orthanc as PACS, DCMTK as sender, the node as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import generate_uid

from models.research.phantom import find_scanner, simulate_study
from models.research.phantom.scanners import Protocol, Scanner
from node.operations.answers import as_json
from node.operations.status import collect
from node.settings import load_settings
from node.simulator import write_study, write_truth
from storage.overview import StudyQuery
from storage.records import OPEN_DELIVERIES

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"TCP_NODELAY": "1"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 540) -> Any:
    """Wait until the condition holds and return what it gave."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.3)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


@dataclass
class Orthanc:
    """A running Orthanc and its REST interface."""

    http_port: int
    dicom_port: int

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=30) as answer:
            return json.load(answer)

    def file(self, instance: str) -> bytes:
        url = f"http://127.0.0.1:{self.http_port}/instances/{instance}/file"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return bytes(answer.read())

    def find(self, level: str, **query: str) -> list[Any]:
        body = json.dumps({"Level": level, "Query": query, "Expand": True}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}/tools/find", body)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return list(json.load(answer))

    def series(self, study_instance_uid: str) -> dict[str, list[Any]]:
        """Series of a study by modality."""
        found: dict[str, list[Any]] = {}
        for series in self.find("Series", StudyInstanceUID=study_instance_uid):
            found.setdefault(series["MainDicomTags"]["Modality"], []).append(series)
        return found


@dataclass
class Node:
    """A rectal-node process and its configuration."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def config(self) -> Path:
        return self.folder / "config.toml"

    def start(self) -> None:
        log = (self.folder / "node.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "node", "serve", "--config", str(self.config)],
            cwd=ROOT,
            env=ENVIRONMENT,
            stderr=log,
            stdout=log,
        )
        wait_for(self.answers, "the node listens", 90)

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "node.log").read_text()[-3000:]
        call = ["echoscu", "-aec", "RECTALNODE", "127.0.0.1", str(self.port)]
        return subprocess.run(call, env=ENVIRONMENT, capture_output=True, check=False).returncode == 0

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()

    def status(self, study: str = "") -> dict[str, Any]:
        """What `rectal-node status --json` prints, without a new process for each look."""
        return dict(json.loads(as_json(collect(load_settings(self.config), StudyQuery(study)))))

    def study(self, study_instance_uid: str) -> dict[str, Any] | None:
        lines = self.status(study_instance_uid)["studies"]
        return lines[0] if lines else None

    def settled(self, study_instance_uid: str) -> dict[str, Any] | None:
        """The study's status once it is done and nothing is left to deliver."""
        line = self.study(study_instance_uid)
        if line is None or line["study"]["state"] in ("RECEIVING", "QUEUED"):
            return None
        waiting = sum(counts.get(state, 0) for counts in line["deliveries"].values() for state in OPEN_DELIVERIES)
        return None if waiting else line

    def wait_until_settled(self, study_instance_uid: str, seconds: float = 540) -> dict[str, Any]:
        return dict(wait_for(lambda: self.settled(study_instance_uid), f"{study_instance_uid} is done", seconds))


@pytest.fixture(scope="session")
def node_port() -> int:
    return free_port()


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory: pytest.TempPathFactory, node_port: int) -> Iterator[Orthanc]:
    folder = tmp_path_factory.mktemp("orthanc")
    pacs = Orthanc(free_port(), free_port())
    settings = {
        "Name": "test PACS",
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "HttpPort": pacs.http_port,
        "DicomPort": pacs.dicom_port,
        "DicomAet": "ORTHANC",
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "UnknownSopClassAccepted": True,
        "StableAge": 1,
        "DicomModalities": {
            "node": ["RECTALNODE", "127.0.0.1", node_port],
            "mover": ["MOVESCU", "127.0.0.1", 104],
        },
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    log = (folder / "orthanc.log").open("wb")
    process = subprocess.Popen(["Orthanc", str(folder / "orthanc.json")], env=ENVIRONMENT, stdout=log, stderr=log)

    def up() -> bool:
        assert process.poll() is None, (folder / "orthanc.log").read_text()[-3000:]
        try:
            return bool(pacs.get("/system"))
        except OSError:
            return False

    wait_for(up, "Orthanc answers", 60)
    yield pacs
    process.terminate()
    process.wait(30)


CONFIG = """
root = "var"
[listener]
port = {port}
[[remotes]]
name = "pacs"
ae_title = "ORTHANC"
host = "127.0.0.1"
port = {pacs}
receives_results = true
first_retry_s = 1
[completion]
quiet_s = 2
sweep_every_s = 1
{completion}
[analysis]
threads = 1
{analysis}
super_resolution = "{weights}/super-resolution"
segmentation = "{weights}/segmentation"
prediction = "{weights}/prediction"
{more}
"""


@pytest.fixture(scope="session")
def make_node(tmp_path_factory: pytest.TempPathFactory, orthanc: Orthanc) -> Iterator[Callable[..., Node]]:
    """Start a node that delivers to Orthanc; `completion` and `analysis` are added to these sections, `more` to all."""
    nodes: list[Node] = []

    def make(
        more: str = "",
        port: int = 0,
        pacs: int = 0,
        completion: str = "incomplete_after_s = 8",
        analysis: str = "",
    ) -> Node:
        node = Node(tmp_path_factory.mktemp("node"), port or free_port())
        weights = ROOT / "models" / "weights"
        text = CONFIG.format(
            port=node.port,
            pacs=pacs or orthanc.dicom_port,
            weights=weights,
            more=more,
            completion=completion,
            analysis=analysis,
        )
        node.config.write_text(text)
        nodes.append(node)
        node.start()
        return node

    yield make
    for node in nodes:
        node.stop()


@pytest.fixture(scope="session")
def node(make_node: Callable[..., Node], node_port: int) -> Node:
    """The node that most tests share; Orthanc knows it by name."""
    return make_node(port=node_port)


@pytest.fixture(scope="session")
def storescu() -> Callable[..., subprocess.CompletedProcess[str]]:
    """DCMTK's sender: the folder's files to an AE title at a port."""

    def send(folder: Path, port: int, called: str = "RECTALNODE") -> subprocess.CompletedProcess[str]:
        call = ["storescu", "-R", "-v", "+sd", "+r", "-aec", called, "127.0.0.1", str(port), str(folder)]
        return subprocess.run(call, env=ENVIRONMENT, capture_output=True, text=True, check=False)

    return send


@dataclass
class SentStudy:
    uid: str
    folder: Path
    truth: Path

    def slices(self, description: str) -> list[Path]:
        """The files of the series whose Series Description holds `description`, by Instance Number."""
        headers = {path: pydicom.dcmread(path, stop_before_pixels=True) for path in self.folder.rglob("*.dcm")}
        found = [path for path, ds in headers.items() if description in str(ds.get("SeriesDescription", "")).lower()]
        return sorted(found, key=lambda path: int(headers[path].InstanceNumber))


def _coarse(protocol: Protocol) -> Protocol:
    """The whole pelvis, 240 mm in 160 x 160 pixels, in few slices."""
    return replace(protocol, matrix=(160, 96), pixel_spacing_mm=1.5, slice_thickness_mm=7.0)


def small(scanner: Scanner) -> Scanner:
    """The scanner with coarse series; the demo analyses a study of full size."""
    dwi = replace(scanner.dwi, slice_thickness_mm=7.0)
    return replace(scanner, t2wi=_coarse(scanner.t2wi), dwi=dwi, dce=_coarse(scanner.dce))


def simulated(folder: Path, model: str, seed: int) -> SentStudy:
    study = simulate_study(seed, small(find_scanner(model)))
    paths = write_study(study, folder / "dicom")
    write_truth(study, folder / "truth")
    uid = str(pydicom.dcmread(paths[0], stop_before_pixels=True).StudyInstanceUID)
    return SentStudy(uid, folder / "dicom", folder / "truth")


def as_of_another(paths: Iterable[Path], folder: Path, patient_id: str, **change: str) -> SentStudy:
    """Copies of the images as if of another patient: patient and UIDs are others, and so are elements of `change`."""
    folder.mkdir()
    for number, path in enumerate(paths):
        ds = pydicom.dcmread(path)
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
            setattr(ds, keyword, generate_uid(entropy_srcs=[patient_id, getattr(ds, keyword)]))
        for keyword, value in {"PatientID": patient_id, **change}.items():
            setattr(ds, keyword, value)
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.save_as(folder / f"{number:03d}.dcm")
    return SentStudy(str(ds.StudyInstanceUID), folder, folder)


@pytest.fixture(scope="session")
def skyra(tmp_path_factory: pytest.TempPathFactory) -> SentStudy:
    return simulated(tmp_path_factory.mktemp("skyra"), "Skyra", 114)


@pytest.fixture(scope="session")
def returned(skyra: SentStudy, node: Node, orthanc: Orthanc) -> dict[str, Any]:
    """The Skyra study sent by storescu, and its status when everything has been delivered."""
    call = ["storescu", "-R", "+sd", "+r", "-aec", "RECTALNODE", "127.0.0.1", str(node.port), str(skyra.folder)]
    assert subprocess.run(call, env=ENVIRONMENT, check=False).returncode == 0
    return node.wait_until_settled(skyra.uid)
