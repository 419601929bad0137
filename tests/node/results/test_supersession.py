"""Results of later revisions name the earlier ones that they supersede."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from node.results.caption import Caption
from node.results.encode import encode
from node.results.encoded import EncodedObject
from node.results.findings import StudyResults
from node.results.identity import Site
from node.results.kinds import selection_role
from node.results.page import Page
from node.settings import ResultKind
from storage.records import ResultRecord, StoredFile

UID_ROOT = "1.2.826.0.1.3680043.10.1599."
Objects = tuple[EncodedObject, ...]


def records(objects: Objects, study: str, revision: int) -> list[ResultRecord]:
    """Encoded objects as the ledger holds them."""
    return [
        ResultRecord(
            study,
            revision,
            entry.role,
            entry.sop_class_uid,
            entry.sop_instance_uid,
            entry.series_instance_uid,
            StoredFile(Path(entry.path.name), "a" * 64, 1),
        )
        for entry in objects
    ]


class Encoder:
    """Encodes revisions: of the same results after the same history once."""

    def __init__(self, folders: Callable[[], Path]) -> None:
        self._folders = folders
        self._known: dict[object, Objects] = {}

    def __call__(
        self, results: StudyResults, earlier: Sequence[ResultRecord], selections: Sequence[frozenset[ResultKind]]
    ) -> Objects:
        """The objects of a revision."""
        asked = (results.revision, results.input_digest, results.plan, tuple(earlier), tuple(selections))
        if asked not in self._known:
            self._known[asked] = encode(results, self._folders(), Site(UID_ROOT), None, earlier, (), selections)
        return self._known[asked]


class History:
    """Revisions of a study, analysed one after the other."""

    def __init__(self, first: StudyResults, encoder: Encoder) -> None:
        self._first = first
        self._encoder = encoder
        self._earlier: list[ResultRecord] = []
        self.revision = 0

    def analyse(self, selections: Sequence[frozenset[ResultKind]] = (), **change: object) -> Objects:
        self.revision += 1
        results = replace(self._first, revision=self.revision, **change)
        objects = self._encoder(results, self._earlier, selections)
        self._earlier += records(objects, results.study_instance_uid, self.revision)
        return objects


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return Encoder(lambda: tmp_path_factory.mktemp("results"))


@pytest.fixture
def history(only_t2, encoder: Encoder) -> History:
    """A study with T2WI only: an object of every kind, quickly."""
    return History(only_t2.results, encoder)


def read(objects: Sequence[EncodedObject], role: str) -> Dataset:
    return pydicom.dcmread(next(entry.path for entry in objects if entry.role == role))


def descriptions(objects: Objects) -> dict[str, str]:
    return {entry.role: str(pydicom.dcmread(entry.path).SeriesDescription) for entry in objects}


def uids(objects: Objects) -> list[str]:
    return [entry.sop_instance_uid for entry in objects]


def content(objects: Objects) -> list[bytes]:
    return [entry.path.read_bytes() for entry in objects]


def predecessors(report: Dataset) -> list[tuple[str, str, str]]:
    """Series, SOP class and SOP instance of every predecessor document."""
    return [
        (series.SeriesInstanceUID, item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID)
        for study in report.get("PredecessorDocumentsSequence", [])
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    ]


LATE_IMAGE = {"input_digest": "f6" * 32}


def test_the_first_results_supersede_nothing(history: History) -> None:
    objects = history.analyse()
    assert predecessors(read(objects, "report")) == []
    assert not [text for text in descriptions(objects).values() if "supersedes" in text]


def test_after_a_late_image_the_report_names_its_predecessor(history: History) -> None:
    before = read(history.analyse(), "report")
    after = read(history.analyse(**LATE_IMAGE), "report")
    assert predecessors(after) == [(before.SeriesInstanceUID, before.SOPClassUID, before.SOPInstanceUID)]
    texts = [item.get("TextValue") for item in after.ContentSequence[-1].ContentSequence]
    assert "These results supersede those of revision 1." in texts
    assert after.SOPInstanceUID != before.SOPInstanceUID


def test_after_a_late_image_every_object_says_which_revision_it_supersedes(history: History) -> None:
    before = history.analyse()
    after = history.analyse(**LATE_IMAGE)
    assert set(uids(before)).isdisjoint(uids(after))
    found = descriptions(after)
    assert set(found) == {
        "super-resolved-t2wi",
        "segmentation-t2wi",
        "segmentation-super-resolved-t2wi",
        "report",
        "summary",
        "summary-pdf",
    }
    assert all("supersedes revision 1" in text for text in found.values()), found


def test_after_a_late_image_the_key_objects_name_the_new_results_alone(history: History) -> None:
    everything, role = frozenset(ResultKind), selection_role(ResultKind)
    before = history.analyse((everything,))
    after = history.analyse((everything,), **LATE_IMAGE)
    assert "supersedes revision 1" in descriptions(after)[role]
    named = {
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in read(after, role).ContentSequence
        if "ReferencedSOPSequence" in item
    }
    assert named == set(uids(after[:-1]))
    assert named.isdisjoint(uids(before))


def test_the_page_shows_it(only_t2) -> None:
    (earlier,) = (record for record in records(only_t2.objects, "1.2", 1) if record.role == "report")
    now = Caption(only_t2.results.created_at)
    superseding = replace(only_t2.results, supersedes=earlier)
    assert (Page(superseding).pixels(now) != Page(only_t2.results).pixels(now)).any()


def test_running_the_same_again_makes_the_same_objects(history: History) -> None:
    first, again = history.analyse(), history.analyse()
    assert content(first) == content(again)
    second, once_more = history.analyse(**LATE_IMAGE), history.analyse(**LATE_IMAGE)
    assert content(second) == content(once_more)
    assert "supersedes revision 2" in descriptions(once_more)["report"]


def test_when_only_the_text_changes_only_report_and_page_are_new(history: History) -> None:
    first = history.analyse()
    plan = replace(history._first.plan, warnings=("E-INCOMPLETE: the PACS has the rest",))
    second = history.analyse(plan=plan)
    new = {entry.role for entry in second} - {
        entry.role for entry in second if entry.sop_instance_uid in set(uids(first))
    }
    assert new == {"report", "summary", "summary-pdf"}
    assert {role for role, text in descriptions(second).items() if "supersedes revision 1" in text} == new


def test_going_back_to_what_was_before_is_a_new_report(history: History) -> None:
    first, second, third = history.analyse(), history.analyse(**LATE_IMAGE), history.analyse()
    report = read(third, "report")
    assert [uid for _, _, uid in predecessors(report)] == [str(read(second, "report").SOPInstanceUID)]
    assert report.SOPInstanceUID != read(first, "report").SOPInstanceUID
    assert read(third, "segmentation-t2wi").SOPInstanceUID == read(first, "segmentation-t2wi").SOPInstanceUID


def test_the_report_on_a_study_that_was_refused_first_names_the_refusal(history: History, only_t2, tmp_path) -> None:
    source = only_t2.results.sequences[0].stack.frames[0].path
    plan = replace(only_t2.results.plan, stacks=())
    nothing = replace(only_t2.results, sequences=(), prediction=None, plan=plan, input_digest="0" * 64)
    refused = encode(nothing, tmp_path, Site(UID_ROOT), reference=source)
    history._earlier += records(refused, nothing.study_instance_uid, 1)
    history.revision = 1
    second = history.analyse()
    assert [uid for _, _, uid in predecessors(read(second, "report"))] == [str(read(refused, "report").SOPInstanceUID)]
    assert "supersedes" not in descriptions(second)["super-resolved-t2wi"]


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools are not installed")
def test_dciodvfy_finds_no_error_in_what_supersedes(history: History) -> None:
    history.analyse()
    by_role = {entry.role: entry.path for entry in history.analyse(**LATE_IMAGE)}
    for path in by_role.values():
        done = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False)
        assert done.stdout + done.stderr
        assert "Error" not in done.stdout + done.stderr, path.name
