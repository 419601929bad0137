"""The real parts: Orthanc as PACS, DCMTK as sender, the node as a process of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import generate_uid

from models.research.phantom.study import SimulatedStudy
from node.settings import ADDITIONAL, AnalysisSettings, ResultKind, load_settings
from node.simulator import write_study

from ..node.tiny import tiny_bundles, tiny_study
from ..parts import engines, processor
from ..parts.dcmtk import Tool, run_dcmtk
from ..parts.node import Node
from ..parts.orthanc import DICOMWEB, Orthanc, running_orthanc
from ..parts.processes import free_port, wait_for

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
[recognition]
protocol_factor = {protocol_factor}
[analysis]
threads = 1
{analysis}
super_resolution = "{bundles.super_resolution}"
segmentation = "{bundles.segmentation}"
prediction = "{bundles.prediction}"
{more}
"""
#: Gets what is made for those who name it alone, and by STOW-RS; beside it the report and the usual segmentations.
READER = """
[[remotes]]
name = "reader"
url = "http://127.0.0.1:{port}/dicom-web"
receives_results = true
results = {kinds}
associations = 2
first_retry_s = 1
"""
#: What there is of a study in which nothing was outlined.
WITHOUT_TUMOUR = frozenset(
    (
        *(ResultKind.SUPER_RESOLVED, ResultKind.REPORT, ResultKind.PICTURE, ResultKind.PDF),
        *(ResultKind.ENHANCED, ResultKind.KEY_OBJECTS),
    )
)
_shared: list[Node] = []
KINDS_OF_READER = (ResultKind.REPORT, ResultKind.SEGMENTATION, *ADDITIONAL)


@contextmanager
def running_node(
    folder: Path,
    pacs: int,
    more: str = "",
    completion: str = "incomplete_after_s = 8",
    analysis: str = "",
    bundles: AnalysisSettings | None = None,
    under: Sequence[object] = (),
) -> Iterator[Node]:
    """A node that delivers to an Orthanc at a port; `completion`, `analysis` go into these sections, `more` to all.

    `under`: stands before its command line.

    Its bundles are tiny, for studies of `tiny_study`, whose voxels are as large as no scanner's, or `bundles`.
    """
    node = Node(folder, free_port())
    text = CONFIG.format(
        port=node.port,
        pacs=pacs,
        bundles=bundles or tiny_bundles(),
        more=more,
        completion=completion,
        protocol_factor=2 if bundles else 20,
        analysis=f"{processor.in_configuration() if bundles else ''}\n{analysis}",
    )
    node.config.write_text(text)
    engines.convert(load_settings(node.config).analysis)
    try:
        node.start(under=under)
        wait_for(lambda: "node.service: analysing with " in node.log.read_text(), "the node analyses", 90)
        yield node
    finally:
        node.stop()


@pytest.fixture(scope="module")
def make_node(tmp_path_factory: pytest.TempPathFactory, orthanc: Orthanc) -> Iterator[Callable[..., Node]]:
    """Starts nodes as `running_node` does; they end with the file, since one that waits still takes of a core."""
    with ExitStack() as running:

        def make(**sections: Any) -> Node:
            folder = tmp_path_factory.mktemp("node")
            return running.enter_context(running_node(folder, orthanc.dicom_port, **sections))

        yield make


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """Another Orthanc, for the kinds of results that a destination must name; without orthanc-dicomweb it gets none."""
    with running_orthanc(tmp_path_factory.mktemp("reader")) as found:
        yield found


def files_of(study_instance_uid: str, folder: Path, *archives: Orthanc) -> list[Path]:
    """Every object of a study that these archives have, once, as files in a folder."""
    for archive in archives:
        for instance in archive.find("Instance", StudyInstanceUID=study_instance_uid):
            path = folder / f"{instance['MainDicomTags']['SOPInstanceUID']}.dcm"
            path.write_bytes(archive.file(instance["ID"]))
    return sorted(folder.iterdir())


def reader_of(reader: Orthanc) -> str:
    """The Orthanc as a remote of a node; nothing where it has no DICOMweb."""
    kinds = [str(kind) for kind in KINDS_OF_READER]
    return READER.format(port=reader.http_port, kinds=kinds) if DICOMWEB.exists() else ""


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory, orthanc: Orthanc, reader: Orthanc) -> Iterator[Node]:
    """The node that most tests share: `orthanc` gets the usual results, `reader` others."""
    with running_node(tmp_path_factory.mktemp("node"), orthanc.dicom_port, reader_of(reader)) as shared:
        _shared.append(shared)
        yield shared


def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """The shared node ends with the last test of the room at this worker: until the end it would take of a core."""
    if nextitem is None or Path(__file__).parent not in nextitem.path.parents:
        while _shared:
            _shared.pop().stop()


@pytest.fixture(scope="session")
def storescu() -> Tool:
    """DCMTK's sender: the folder's files to an AE title at a port."""

    def send(folder: Path, port: int, called: str = "RECTALNODE") -> subprocess.CompletedProcess[str]:
        return run_dcmtk("storescu", "-R", "-v", "+sd", "+r", "-aec", called, "127.0.0.1", port, folder, timeout_s=300)

    return send


@dataclass
class SentStudy:
    uid: str
    folder: Path

    def slices(self, description: str) -> list[Path]:
        """The files of the series whose Series Description holds `description`, by Instance Number."""
        headers = {path: pydicom.dcmread(path, stop_before_pixels=True) for path in self.folder.rglob("*.dcm")}
        found = [path for path, ds in headers.items() if description in str(ds.get("SeriesDescription", "")).lower()]
        return sorted(found, key=lambda path: int(headers[path].InstanceNumber))


def written(study: SimulatedStudy, folder: Path) -> SentStudy:
    """The files that a scanner makes of its study."""
    paths = write_study(study, folder)
    return SentStudy(str(pydicom.dcmread(paths[0], stop_before_pixels=True).StudyInstanceUID), folder)


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
    return SentStudy(str(ds.StudyInstanceUID), folder)


@pytest.fixture(scope="session")
def skyra(tmp_path_factory: pytest.TempPathFactory) -> SentStudy:
    return written(tiny_study("Skyra"), tmp_path_factory.mktemp("skyra") / "dicom")


@pytest.fixture(scope="session")
def returned(skyra: SentStudy, node: Node, storescu: Tool) -> dict[str, Any]:
    """The Skyra study sent by storescu, and its status when everything has been delivered."""
    assert storescu(skyra.folder, node.port).returncode == 0
    return node.wait_until_settled(skyra.uid)
