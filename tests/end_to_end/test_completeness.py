"""Whole studies: the node counts at a real PACS, waits, and does its work again when something comes late."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pydicom
import pytest

from ..node.tiny import tiny_study
from ..parts.dcmtk import Tool
from ..parts.node import Node
from ..parts.orthanc import Orthanc
from ..parts.processes import wait_for
from .conftest import SentStudy, as_of_another, written

COMPLETION = """
incomplete_after_s = 25
wanted = ["T2WI"]
count_at = "pacs"
"""


class T2Study:
    """The T2WI series of a patient, in slices that are sent one part at a time."""

    def __init__(self, folder: Path, study: SentStudy, send: Tool) -> None:
        self._folder, self._send, self._parts = folder, send, 0
        self.slices = study.slices("t2_tse_tra")
        self.uid = study.uid
        self.series = str(pydicom.dcmread(self.slices[0], stop_before_pixels=True).SeriesInstanceUID)

    def send(self, slices: Sequence[Path], port: int, called: str) -> None:
        self._parts += 1
        part = self._folder / f"part{self._parts}"
        part.mkdir()
        for path in slices:
            shutil.copy(path, part)
        answer = self._send(part, port, called)
        assert answer.returncode == 0, answer.stderr


@pytest.fixture(scope="module")
def counting(make_node: Callable[..., Node]) -> Node:
    """A node that asks Orthanc how much it has, and reports of knees too."""
    return make_node(completion=COMPLETION, analysis="report_foreign = true")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> SentStudy:
    """With slices enough for an analysis when four are not there."""
    return written(tiny_study("Skyra", slices=12), tmp_path_factory.mktemp("whole") / "dicom")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, whole: SentStudy, storescu: Tool) -> T2Study:
    folder = tmp_path_factory.mktemp("study")
    images = as_of_another(whole.slices("t2_tse_tra"), folder / "images", "SIM004301")
    return T2Study(folder, images, storescu)


@pytest.fixture(scope="module")
def completed(counting: Node, orthanc: Orthanc, study: T2Study) -> dict[str, Any]:
    """All but the last slice is in the PACS; the node gets them in two parts, the second when it says that it waits."""
    present = study.slices[:-1]
    study.send(present, orthanc.dicom_port, "ORTHANC")
    study.send(present[:-3], counting.port, "RECTALNODE")
    expected = f"has {len(present) - 3} of {len(present)} instances of series {study.series}"

    def waits() -> bool:
        line = counting.study(study.uid)
        return line is not None and expected in line["study"]["reason"]

    wait_for(waits, "the node waits for the rest", 60, 0.5)  # a whole status each time
    assert f"study {study.uid}: waits for what the PACS has: {expected}" in (counting.folder / "node.log").read_text()
    study.send(present[-3:], counting.port, "RECTALNODE")
    return counting.wait_until_settled(study.uid)


def reports(orthanc: Orthanc, study_instance_uid: str) -> list[pydicom.Dataset]:
    return [ds for ds in orthanc.data_sets(study_instance_uid) if ds.Modality == "SR"]


def result_series(orthanc: Orthanc, study_instance_uid: str) -> dict[str, str]:
    """Description of each series that the node makes of every study: MR, report, page."""
    found = [it["MainDicomTags"] for it in orthanc.find("Series", StudyInstanceUID=study_instance_uid)]
    described = {tags["SeriesInstanceUID"]: tags.get("SeriesDescription", "") for tags in found}
    return {uid: text for uid, text in described.items() if text.startswith(("AI-SR", "AI measurement", "AI summary"))}


def test_a_study_that_the_pacs_has_more_of_is_analysed_once_when_the_rest_has_come(
    completed: dict[str, Any], orthanc: Orthanc, study: T2Study
) -> None:
    assert (completed["study"]["state"], completed["study"]["revision"]) == ("COMPLETED", 1), completed
    assert not [warning for warning in completed["warnings"] if warning.startswith("E-")], completed["warnings"]
    used = [series for series in completed["series"] if series["used"]]
    assert [series["instance_count"] for series in used] == [len(study.slices) - 1]
    assert len(reports(orthanc, study.uid)) == 1


def test_a_late_slice_leads_to_results_that_supersede_the_first_ones(
    completed: dict[str, Any], counting: Node, orthanc: Orthanc, study: T2Study
) -> None:
    """Our own super-resolved series, which the PACS now has as well, is not waited for."""
    (before,) = reports(orthanc, study.uid)
    known = set(result_series(orthanc, study.uid))
    study.send(study.slices[-1:], orthanc.dicom_port, "ORTHANC")
    study.send(study.slices[-1:], counting.port, "RECTALNODE")
    wait_for(lambda: (counting.study(study.uid) or {})["study"]["revision"] == 2, "the study is open again", 60, 0.5)
    line = counting.wait_until_settled(study.uid)
    assert (line["study"]["state"], line["study"]["revision"]) == ("COMPLETED", 2), line
    assert not [warning for warning in line["warnings"] if warning.startswith("E-")], line["warnings"]
    (after,) = (ds for ds in reports(orthanc, study.uid) if ds.SOPInstanceUID != before.SOPInstanceUID)
    (predecessor,) = after.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert predecessor.ReferencedSOPInstanceUID == before.SOPInstanceUID
    new = {text for uid, text in result_series(orthanc, study.uid).items() if uid not in known}
    assert len(new) >= 3
    assert not [text for text in new if "supersedes revision 1" not in text]


def test_what_never_came_is_a_warning_in_status_and_report(
    counting: Node, orthanc: Orthanc, whole: SentStudy, storescu: Tool, tmp_path: Path
) -> None:
    """A study of a knee: its answer is a short report, without the time of an analysis."""
    images = as_of_another(whole.slices("t2_tse_tra"), tmp_path / "knee", "SIM004302", BodyPartExamined="KNEE")
    knee = T2Study(tmp_path, images, storescu)
    knee.send(knee.slices, orthanc.dicom_port, "ORTHANC")
    knee.send(knee.slices[:-2], counting.port, "RECTALNODE")
    line = counting.wait_until_settled(knee.uid, 90)
    count = len(knee.slices)
    warning = (
        f"E-INCOMPLETE: {count - 2} of {count} instances of series {knee.series} had arrived; the PACS has the rest"
    )
    assert line["study"]["state"] == "REFUSED", line
    assert warning in line["warnings"]
    (report,) = reports(orthanc, knee.uid)
    texts = [item.get("TextValue") for item in report.ContentSequence[-1].ContentSequence]
    assert warning in texts
