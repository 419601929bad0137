"""A lost database is made anew from the files: what they say is there again, and what they do not is not guessed."""

from __future__ import annotations

import json
import os

import pytest
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage, SegmentationStorage
from sqlalchemy import select

from storage.catalogue.filling import catch_up
from storage.database import open_engine
from storage.deliveries import Deliveries
from storage.errors import StorageError
from storage.identity import InstanceKey
from storage.index import Index
from storage.ledger import Ledger
from storage.overview import Overview
from storage.records import DeliveryState, RejectionNote, StudyState
from storage.reindexing import Knowledge, reindex
from storage.schema import dicom_object

from .house import House, a_file

ROOT = "1.2.826.0.9."
KNOWN = Knowledge(
    uid_root=ROOT,
    destinations=("PACS", "WORKSTATION"),
    results={f"{ROOT}1": [(1, "report"), (2, "report")]},
    revisions={"1.2.3": 2, "1.2.5": 4},
)


def result(number: int, study: str = "1.2.3", **values: object) -> bytes:
    made = {"SeriesInstanceUID": f"{ROOT}100", "SOPInstanceUID": f"{ROOT}{number}", "Manufacturer": "rectal-node"}
    return a_file(study=study, sop_class=SegmentationStorage, **{**made, **values})


@pytest.fixture
def before(tmp_path, at) -> House:
    """Three studies, one with results, with revisions, a clash, a result that came back, and a broken file."""
    house = House(open_engine(f"sqlite:///{tmp_path / 'before' / 'index.sqlite'}"), tmp_path / "root", at)
    for number in (1, 2, 3):
        house.receive(a_file(number))
    house.receive(a_file(2, Rows=8))
    house.receive(a_file(1, 9, sop_class=GrayscaleSoftcopyPresentationStateStorage, Modality="PR"))
    house.receive(a_file(1, study="1.2.4", SOPInstanceUID="1.2.3.1.1", PatientID="P2"))
    house.receive(a_file(1, study="1.2.5", PatientID="P3"))
    for number in (1, 2):
        house.make(result(number, Modality="SEG"))
    house.receive(result(1, SOPInstanceUID="1.9.9.1", SeriesInstanceUID="1.9.9"))
    broken = house.files.quarantine(b"no DICOM file", "no DICOM file: there is no DICM prefix")
    house.index.keep_quarantine(broken, "no DICOM file: there is no DICM prefix", "SCANNER", at(9))
    while catch_up(house.engine, house.files):
        pass
    # In the order of their arrival, whatever the resolution of the file system's clock.
    for number, row in enumerate(objects(house.engine)):
        os.utime(house.files.root / row["path"], (1_000_000 + number, 1_000_000 + number))
    return house


@pytest.fixture
def anew(before, engine, tmp_path, at) -> House:
    """The same files with a new database, SQLite or PostgreSQL."""
    house = House(engine, tmp_path / "root", at)
    house.done = reindex(engine, house.files, KNOWN)
    return house


def objects(engine):
    with engine.connect() as connection:
        return connection.execute(select(dicom_object).order_by(dicom_object.c.identifier)).mappings().all()


def without_what_files_do_not_tell(engine):
    unknown = {"identifier", "calling_ae", "received_at"}
    return sorted(json.dumps({name: it[name] for name in it if name not in unknown}) for it in objects(engine))


def test_objects_are_as_before(before, anew):
    assert without_what_files_do_not_tell(anew.engine) == without_what_files_do_not_tell(before.engine)
    assert len(objects(anew.engine)) == 10


def test_the_catalogue_is_as_before(before, anew):
    assert anew.contents() == before.contents()
    assert len(anew.contents()["catalogue_instance"]) == 8


def test_counts_and_revisions_of_instances_are_as_before(before, anew):
    for uid in ("1.2.3", "1.2.4", "1.2.5"):
        one, other = before.index.study(uid), anew.index.study(uid)
        assert (one.series_count, one.instance_count, one.changed) == (
            other.series_count,
            other.instance_count,
            other.changed,
        )
        files = [(it.header.key, it.revision, it.file) for it in before.index.instances(uid)]
        assert [(it.header.key, it.revision, it.file) for it in anew.index.instances(uid)] == files
    assert anew.index.elsewhere("1.2.4") == before.index.elsewhere("1.2.4") != {}


def test_a_study_with_results_is_completed_and_the_others_are_taken_up_as_if_they_had_just_come(anew):
    states = {it.study_instance_uid: (it.state, it.revision) for it in anew.index.studies()}
    assert states == {
        "1.2.3": (StudyState.COMPLETED, 2),
        "1.2.4": (StudyState.RECEIVING, 1),
        "1.2.5": (StudyState.RECEIVING, 5),
    }


def test_results_have_the_revisions_and_roles_that_are_known(anew):
    results = Ledger(anew.engine).all_results("1.2.3")
    assert [(it.sop_instance_uid.removeprefix(ROOT), it.revision, it.role) for it in results] == [
        ("1", 1, "report"),
        ("2", 1, "unknown"),
        ("1", 2, "report"),
    ]


def test_deliveries_are_unknown_and_nothing_is_sent_until_a_person_orders_it(anew, at):
    deliveries = Deliveries(anew.engine)
    assert {it.state for it in deliveries.records()} == {DeliveryState.UNKNOWN}
    assert sorted((it.result.sop_instance_uid, it.destination) for it in deliveries.records()) == [
        (f"{ROOT}{number}", destination) for number in (1, 2) for destination in ("PACS", "WORKSTATION")
    ]
    assert deliveries.due("PACS", at(10**9)) == ()
    deliveries.order([it.identifier for it in deliveries.records()], {DeliveryState.UNKNOWN}, at(0))
    assert len(deliveries.due("PACS", at(1))) == 2


def test_what_came_back_is_no_image_and_what_was_made_here_is_known_by_its_uid(anew):
    assert anew.index.returned_series("1.2.3") == {"1.9.9"}
    assert anew.index.has_uid_of_result(f"{ROOT}1")
    assert (anew.done.received, anew.done.made, anew.done.returned) == (7, 2, 1)


def test_quarantine_is_there_with_its_reasons(anew):
    with anew.engine.connect() as connection:
        (broken,) = Overview(connection).quarantined(limit=2)
    assert broken.reason == "no DICOM file: there is no DICM prefix"
    assert anew.done.quarantined == 1


def test_quarantined_bytes_whose_note_is_gone_are_there_all_the_same(before, engine):
    (note,) = (before.files.root / "quarantine").glob("*.json")
    note.unlink()
    reindex(engine, before.files, KNOWN)
    with engine.connect() as connection:
        (broken,) = Overview(connection).quarantined(limit=2)
    assert "not known" in broken.reason


def test_files_that_are_damaged_are_named_and_left_out(before, engine):
    first, second, *_ = objects(before.engine)
    (before.files.root / first["path"]).write_bytes(b"x")
    damaged = (before.files.root / second["path"]).read_bytes().replace(b"Becken MRT", b"Becken MRX")
    (before.files.root / second["path"]).write_bytes(damaged)
    done = reindex(engine, before.files, KNOWN)
    assert done.left_out == {
        first["path"]: "no DICOM file: there is no DICM prefix",
        second["path"]: "its content is not the one that was stored under its name",
    }
    assert done.received == 5


def test_a_database_that_holds_objects_is_left_alone(before, engine):
    reindex(engine, before.files, KNOWN)
    with pytest.raises(StorageError, match="holds objects"):
        reindex(engine, before.files, KNOWN)


def test_what_rejection_notes_reject_is_known_again(before, engine):
    note = RejectionNote("113001", (("1.2.3", InstanceKey("1.2.3.1", "1.2.3.1.1")),))
    state = GrayscaleSoftcopyPresentationStateStorage
    known = Knowledge(uid_root=ROOT, note_of=lambda _path, sop_class: note if sop_class == state else None)
    reindex(engine, before.files, known)
    assert Index(engine).rejected("1.2.3") == {InstanceKey("1.2.3.1", "1.2.3.1.1"): "113001"}
