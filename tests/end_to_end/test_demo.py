"""The demo as a newcomer runs it, on the first of its studies; results of all four in the readers of others."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest
import requests
from rich.console import Console

import node.cli.demo
from models.research.phantom import find_scanner, simulate_study
from node.cli.demo import PATIENTS, Serving, run_demo
from node.results.kinds import kind_of
from node.settings import AnalysisSettings, ResultKind
from node.simulator import write_study

from ..node.site import shipped
from ..parts import engines
from ..parts.dcmtk import Tool
from ..parts.node import Node
from ..parts.orthanc import Orthanc
from ..parts.pixelmed import JAR, sr_errors
from ..parts.readers import READERS, faults_of_all, one_of_each_series
from .conftest import WITHOUT_TUMOUR, files_of, reader_of

PASSWORD = "a password of these tests"


@dataclass(frozen=True)
class Ended:
    """A demo of the first of its studies that has ended."""

    folder: Path
    status: int
    text: str
    link: str
    first_page: str


def emptied(folder: Path, empty: Callable[[Path], None] = node.cli.demo._empty) -> None:
    """A new folder, whose node has the networks that others of the session have converted."""
    empty(folder)
    engines.convert(shipped())
    engines.share(folder / "node")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    folder, shown, seen = tmp_path_factory.mktemp("demo") / "demo", io.StringIO(), {}

    def look(serving: Serving) -> None:
        assert serving.is_up()
        session = requests.Session()
        form = {"password": PASSWORD, "again": PASSWORD}
        seen["link"] = serving.link
        seen["first_page"] = session.post(serving.link, form, timeout=60).text  # which leads to the list of studies

    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(node.cli.demo, "_empty", emptied)
        status = run_demo(folder, Console(file=shown, width=160), PATIENTS[:1], afterwards=look)
    return Ended(folder, status, shown.getvalue(), **seen)


def test_the_demo_ends_with_every_object_delivered_and_a_tumour_where_it_truly_is(demo: Ended) -> None:
    assert demo.status == 0
    _, seed = PATIENTS[0]
    row = next(line for line in demo.text.splitlines() if f"SIM{seed:06d}" in line and "/" in line)
    delivered, of = re.search(r"(\d+)/(\d+)", row).groups()
    assert int(delivered) == int(of) > 200
    dice = float([cell.strip() for cell in row.split("│")][5])
    assert dice > 0.7, row
    pictures = list((demo.folder / "pictures").glob("*.png"))
    assert [picture.name.split("-")[0] for picture in pictures] == [str(seed)]
    assert "not for diagnosis" in demo.text
    log = (demo.folder / "node.log").read_text()
    assert "Warning" not in log, log
    assert faults_of_what_was_received(demo.folder) == {}


def test_the_demo_serves_its_page_to_whom_it_has_given_the_link(demo: Ended) -> None:
    assert demo.link in demo.text
    assert f"SIM{PATIENTS[0][1]:06d}" in demo.first_page
    assert "/welcome/" not in (demo.folder / "node.log").read_text()
    with pytest.raises(requests.ConnectionError):  # it has stopped
        requests.get(demo.link, timeout=10)


def faults_of_what_was_received(demo: Path) -> dict[str, list[str]]:
    """What readers of others find wrong with the objects at the destination, one of each series."""
    objects = list((demo / "archive" / "objects").rglob("*.dcm"))
    assert len(one_of_each_series(objects)) >= 6 * len(list((demo / "studies").iterdir()))
    return faults_of_all(objects) if READERS else {}


@pytest.fixture(scope="module")
def another_node(make_node: Callable[..., Node], reader: Orthanc) -> Node:
    """One whose results of every kind go to one destination or the other."""
    return make_node(more=reader_of(reader), bundles=AnalysisSettings())


@pytest.mark.interop
@pytest.mark.parametrize(("model", "seed"), PATIENTS)
def test_readers_and_validators_find_no_fault_in_any_kind_of_result_of_the_four_studies(
    another_node: Node, storescu: Tool, orthanc: Orthanc, reader: Orthanc, tmp_path: Path, model: str, seed: int
) -> None:
    images = write_study(simulate_study(seed, find_scanner(model)), tmp_path / "images")
    assert storescu(tmp_path / "images", another_node.port).returncode == 0
    uid = str(pydicom.dcmread(images[0], stop_before_pixels=True).StudyInstanceUID)
    line = another_node.wait_until_settled(uid)
    assert line["study"]["state"] == "COMPLETED", line
    (tmp_path / "results").mkdir()
    files = files_of(uid, tmp_path / "results", orthanc, reader)
    headers = {path: pydicom.dcmread(path, stop_before_pixels=True) for path in files}
    kinds = {kind_of(header.SOPClassUID) for header in headers.values()}
    # By SOP class: a fractional segmentation and a capture with a contour are those of usual kinds.
    of_classes = {*ResultKind} - {ResultKind.FRACTIONAL, ResultKind.CONTOUR_IMAGES}
    assert kinds == (of_classes if line["locations"] else WITHOUT_TUMOUR)
    assert faults_of_all(files) == {}
    documents = [path for path, header in headers.items() if header.Modality in ("SR", "KO")]
    assert len(documents) == 2
    if JAR.exists():
        assert sr_errors(documents) == {path: [] for path in documents}
