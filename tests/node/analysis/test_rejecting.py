"""A destination that wants it is told by a note, once, that results which it has were taken back."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from highdicom.ko import KeyObjectSelectionDocument
from pydicom import dcmread
from pydicom.uid import KeyObjectSelectionDocumentStorage

from node.analysis.rejecting import Rejecting
from node.delivery.worker import DeliveryWorker
from node.operations import status
from node.operations.resend import resend
from node.recognition.header.rejections import rejection_note
from node.settings import RemoteSettings, Settings
from storage import database, delivery_rows, rejections
from storage.identity import InstanceKey
from storage.records import DeliveryState, RejectionNote, Revocation, StudyState
from storage.retention import Circumstances, Kept, of_studies

from ...parts.kills import killed_at
from ...parts.orthanc import Orthanc
from ...parts.storage_scp import StorageSCP, running_storage_scp
from ...storage.house import a_file, a_result
from ..old_studies import LONG_AGO, OldStudies

STUDY = "1.2.3"
OF_ANOTHER = "E-PATIENT-MIX: it names another patient than the study"
OF_REJECTED = "E-REJECTED: it was made from images that have been rejected"


@pytest.fixture
def pacs() -> Iterator[StorageSCP]:
    with running_storage_scp() as scp:
        yield scp


class Telling:
    """A node with a study whose results are at two destinations, of which one wants to be told."""

    def __init__(self, root: Path, port: int) -> None:
        common = {"host": "127.0.0.1", "port": port, "receives_results": True, "timeout_s": 5}
        self.pacs = RemoteSettings(name="PACS", ae_title="PACS", rejection_notes=True, **common)
        others = RemoteSettings(name="OTHER", ae_title="PACS", **common)
        self.settings = Settings(root=root, remotes=(self.pacs, others))
        self.node = OldStudies(root)
        self.node.ended(STUDY, to=("PACS", "OTHER"), PatientID="P1", PatientName="Muster^Erika")
        self.woken = 0
        self.rejecting = Rejecting(self.settings, self.node.index, self.node.files, self._wake)

    def _wake(self) -> None:
        self.woken += 1

    def take_back(self, reason: str = OF_ANOTHER) -> None:
        """As the end of an analysis does."""
        uids = frozenset(it.sop_instance_uid for it in self.node.ledger.all_results(STUDY) if it.role == "report")
        with database.writing(self.node.engine).begin() as connection:
            delivery_rows.revoke(connection, STUDY, Revocation(uids, reason))

    def deliver(self) -> None:
        """One round of the delivery to the destination that wants to be told."""
        DeliveryWorker(self.pacs, self.node.deliveries, self.node.files).deliver_due()

    def notes(self) -> list[tuple[str, str]]:
        """Destination and state of each delivery of a note."""
        found = (it for it in self.node.deliveries.records(STUDY) if it.result.role == "rejection-note")
        return [(it.destination, it.state) for it in found]


@pytest.fixture
def telling(tmp_path: Path, pacs: StorageSCP) -> Telling:
    return Telling(tmp_path, pacs.port)


def test_the_note_goes_to_the_destination_that_wants_it_once_and_no_other(telling, pacs):
    telling.take_back()
    assert telling.rejecting.look() == 1
    assert telling.notes() == [("PACS", DeliveryState.QUEUED)]
    assert telling.woken == 1
    telling.deliver()
    assert telling.rejecting.look() == 0
    telling.deliver()
    (note,) = pacs.data_sets()
    assert note.SOPClassUID == KeyObjectSelectionDocumentStorage
    assert telling.notes() == [("PACS", DeliveryState.STORED)]


def test_without_the_key_nobody_is_told(tmp_path, pacs):
    telling = Telling(tmp_path, pacs.port)
    off = telling.pacs.model_copy(update={"rejection_notes": False})
    telling.take_back()
    settings = telling.settings.model_copy(update={"remotes": (off,)})
    assert Rejecting(settings, telling.node.index, telling.node.files, lambda: None).look() == 0


def test_it_names_what_the_destination_has_with_the_patient_of_it(telling, pacs, tmp_path: Path):
    telling.take_back()
    telling.rejecting.look()
    telling.deliver()
    (note,) = pacs.data_sets()
    (result,) = (it for it in telling.node.ledger.all_results(STUDY) if it.role == "report")
    (evidence,) = note.CurrentRequestedProcedureEvidenceSequence
    (series,) = evidence.ReferencedSeriesSequence
    (item,) = series.ReferencedSOPSequence
    assert (evidence.StudyInstanceUID, series.SeriesInstanceUID) == (STUDY, result.series_instance_uid)
    assert (item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) == (
        *(result.sop_class_uid, result.sop_instance_uid),
    )
    assert (note.PatientID, note.StudyInstanceUID) == ("P1", STUDY)
    # As the node itself reads such a note.
    (file,) = (
        telling.node.files.absolute(it.file)
        for it in telling.node.ledger.all_results(STUDY)
        if it.role == "rejection-note"
    )
    key = InstanceKey(result.series_instance_uid, result.sop_instance_uid)
    assert rejection_note(file, note.SOPClassUID) == RejectionNote("113037", ((STUDY, key),))


@pytest.mark.parametrize(
    ("reason", "given", "title"),
    [
        (OF_ANOTHER, "", "113037"),
        (OF_REJECTED, "113001", "113001"),
        (OF_REJECTED, "113038", "113038"),
        (OF_REJECTED, "113039", "113039"),
        (f"{OF_ANOTHER}; {OF_REJECTED}", "113001", "113037"),
    ],
)
def test_the_title_says_why(telling, pacs, reason, given, title):
    if given:
        rejected = RejectionNote(given, ((STUDY, InstanceKey(f"{STUDY}.1", f"{STUDY}.1.1")),))
        with database.writing(telling.node.engine).begin() as connection:
            list(rejections.keep(connection, rejected, "9.9", LONG_AGO))
    telling.take_back(reason)
    telling.rejecting.look()
    telling.deliver()
    (note,) = pacs.data_sets()
    (concept,) = note.ConceptNameCodeSequence
    assert (concept.CodeValue, concept.CodingSchemeDesignator) == (title, "DCM")


def test_it_is_valid_and_readable_elsewhere(telling, tmp_path: Path):
    telling.take_back()
    telling.rejecting.look()
    (note,) = (it for it in telling.node.ledger.all_results(STUDY) if it.role == "rejection-note")
    path = telling.node.files.absolute(note.file)
    said = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False).stderr
    assert [line for line in said.splitlines() if line.startswith("Error")] == []
    assert subprocess.run(["dsrdump", str(path)], capture_output=True, check=False).returncode == 0
    KeyObjectSelectionDocument.from_dataset(dcmread(path))


def test_what_was_never_there_is_not_told_of(tmp_path, pacs):
    telling = Telling(tmp_path, pacs.port)
    telling.node.ended("1.2.4", to=("PACS",), sent=False)
    uids = frozenset(it.sop_instance_uid for it in telling.node.ledger.all_results("1.2.4"))
    with database.writing(telling.node.engine).begin() as connection:
        delivery_rows.revoke(connection, "1.2.4", Revocation(uids, OF_ANOTHER))
    assert telling.rejecting.look() == 0


def test_what_a_later_revision_supersedes_is_not_rejected(telling):
    node = telling.node
    node.received(STUDY, LONG_AGO, SeriesDescription="sent again, with another description")
    node.index.move(STUDY, 2, StudyState.QUEUED)
    none = Revocation(frozenset(), "")
    assert node.ledger.conclude(STUDY, 2, StudyState.COMPLETED, "", [], ["PACS"], LONG_AGO, none)
    assert telling.rejecting.look() == 0


def test_a_note_that_cannot_be_made_keeps_no_other_back(telling):
    node = telling.node
    telling.take_back()
    (gone,) = node.ledger.all_results(STUDY)
    node.files.absolute(gone.file).unlink()
    node.ended("1.2.4", to=("PACS",))
    uids = frozenset(it.sop_instance_uid for it in node.ledger.all_results("1.2.4"))
    with database.writing(node.engine).begin() as connection:
        delivery_rows.revoke(connection, "1.2.4", Revocation(uids, OF_ANOTHER))
    with pytest.raises(FileNotFoundError):
        telling.rejecting.look()
    assert [it.role for it in node.ledger.all_results("1.2.4")] == ["report", "rejection-note"]
    assert (telling.notes(), telling.woken) == ([], 1)


def test_one_result_that_can_be_read_is_enough_for_the_note(telling):
    node = telling.node
    data = a_file(2, 90, STUDY, Manufacturer="rectal-node", Modality="SR")
    node.ledger.record([a_result(node.files, data)], ["PACS"], LONG_AGO)
    node.sent(STUDY)
    telling.take_back()
    node.files.absolute(node.ledger.all_results(STUDY)[0].file).unlink()
    assert telling.rejecting.look() == 1


def test_status_says_that_the_destination_was_told_and_retention_waits_until_it_is(telling):
    telling.take_back()
    telling.rejecting.look()

    def kept() -> set[Kept]:
        with telling.node.engine.connect() as connection:
            return set(of_studies(connection, [STUDY], Circumstances(LONG_AGO))[STUDY].kept)

    def told() -> dict[str, bool]:
        (line,) = status.collect(telling.settings).studies
        return {it.destination: it.told for it in line.withdrawals}

    assert {Kept.TO_BE_WITHDRAWN, Kept.NOT_DELIVERED} <= kept()
    assert told() == {"PACS": False, "OTHER": False}
    telling.deliver()
    assert told() == {"PACS": True, "OTHER": False}
    assert Kept.TO_BE_WITHDRAWN in kept()  # the other has the result, and no note


def test_a_note_is_for_nobody_to_whom_results_are_sent_again(telling):
    telling.take_back()
    telling.rejecting.look()
    third = telling.pacs.model_copy(update={"name": "THIRD"})
    settings = telling.settings.model_copy(update={"remotes": (*telling.settings.remotes, third)})
    resend(settings, STUDY, "THIRD")
    assert ("THIRD", DeliveryState.QUEUED) not in telling.notes()


def tell(root: Path) -> None:
    """One look of a node, in a process of its own."""
    node = OldStudies(root)
    pacs = RemoteSettings(name="PACS", ae_title="PACS", host="h", port=1, receives_results=True, rejection_notes=True)
    Rejecting(Settings(root=root, remotes=(pacs,)), node.index, node.files, lambda: None).look()


def test_killed_anywhere_there_is_one_note_after_the_next_look(telling, tmp_path: Path):
    telling.take_back()
    number, killed = 1, True
    while killed:
        root = tmp_path / f"killed-{number}"
        shutil.copytree(tmp_path, root, ignore=shutil.ignore_patterns("killed-*"))
        killed = killed_at(number, tell, root)
        tell(root)
        notes = [it for it in OldStudies(root).deliveries.records(STUDY) if it.result.role == "rejection-note"]
        assert [it.destination for it in notes] == ["PACS"]
        number += 1
    assert number > 3


def test_orthanc_has_the_note_beside_the_result_that_it_rejects(tmp_path: Path, orthanc: Orthanc):
    telling = Telling(tmp_path, orthanc.dicom_port)
    (result,) = telling.node.ledger.all_results(STUDY)
    orthanc.store(telling.node.files.absolute(result.file))
    telling.take_back()
    telling.rejecting.look()
    telling.deliver()
    found = {data_set.Modality: data_set for data_set in orthanc.data_sets(STUDY)}
    assert found.keys() == {"SR", "KO"}
    (evidence,) = found["KO"].CurrentRequestedProcedureEvidenceSequence
    (item,) = evidence.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert item.ReferencedSOPInstanceUID == found["SR"].SOPInstanceUID
