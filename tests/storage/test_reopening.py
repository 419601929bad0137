"""What makes a new revision of a study that has ended: images that can change its plan, and rejection notes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from storage.identity import InstanceKey
from storage.index import Index
from storage.ledger import Ledger
from storage.records import OpenAssociation, Registration, RejectionNote, StudyState

OTHERS = {
    "presentation state": "1.2.840.10008.5.1.4.1.1.11.1",
    "key object note": "1.2.840.10008.5.1.4.1.1.88.59",
    "structured report": "1.2.840.10008.5.1.4.1.1.88.33",
    "segmentation": "1.2.840.10008.5.1.4.1.1.66.4",
    "real world value mapping": "1.2.840.10008.5.1.4.1.1.67",
    "secondary capture": "1.2.840.10008.5.1.4.1.1.7",
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "raw data": "1.2.840.10008.5.1.4.1.1.66",
}
KEY_OBJECT_NOTE = OTHERS["key object note"]


@pytest.fixture
def index(engine):
    return Index(engine)


@pytest.fixture
def ended(engine, index, make_header, make_file, at) -> Index:
    """A study of two images that has been analysed."""
    for number in (1, 2):
        index.register(make_header(number), make_file(), "SCANNER", at(0))
    index.move("1.2.3", 1, StudyState.QUEUED)
    Ledger(engine).conclude("1.2.3", 1, StudyState.COMPLETED, "", [], [], at(1))
    return index


@pytest.fixture
def reject(index, make_header, make_file, at):
    """Receives a note that rejects images by their numbers."""

    def receive(*numbers: int, study: str = "1.2.3", note: int = 90, of: str = "1.2.3") -> Registration:
        header = replace(make_header(note, 9, of), sop_class_uid=KEY_OBJECT_NOTE)
        keys = tuple((study, make_header(number, study=study).key) for number in numbers)
        return index.register(header, make_file(), "PACS", at(60), note=RejectionNote("113001", keys))

    return receive


@pytest.mark.parametrize("sop_class", OTHERS.values(), ids=OTHERS)
def test_what_cannot_change_the_plan_is_counted_and_makes_no_revision(ended, make_header, make_file, at, sop_class):
    other = replace(make_header(1, 9), sop_class_uid=sop_class)
    assert ended.register(other, make_file(), "PACS", at(60)) is Registration.NEW
    study = ended.study("1.2.3")
    assert (study.revision, study.state, study.last_received_at) == (1, StudyState.COMPLETED, at(0))
    assert (study.series_count, study.instance_count) == (2, 3)
    assert ended.register(other, make_file("b"), "PACS", at(61)) is Registration.REVISED
    assert (ended.study("1.2.3").revision, ended.study("1.2.3").instance_count) == (1, 3)


@pytest.mark.parametrize("sop_class", [f"1.2.840.10008.5.1.4.1.1.4{kind}" for kind in ("", ".1", ".4")])
def test_mr_images_make_a_revision(ended, make_header, make_file, at, sop_class):
    ended.register(replace(make_header(1, 9), sop_class_uid=sop_class), make_file(), "SCANNER", at(60))
    assert ended.study("1.2.3").revision == 2


def test_a_study_that_is_being_received_is_neither_held_nor_hurried_by_others(index, make_header, make_file, at):
    index.register(make_header(1), make_file(), "SCANNER", at(0))
    state = replace(make_header(1, 9), sop_class_uid=OTHERS["presentation state"])
    index.register(state, make_file(), "PACS", at(15), OpenAssociation("a", at(90)))
    assert index.study("1.2.3").last_received_at == at(0)
    assert index.open_associations(at(16))["1.2.3"] == 0


def test_a_study_may_begin_with_another_object(index, make_header, make_file, at):
    state = replace(make_header(1, 9), sop_class_uid=OTHERS["presentation state"])
    index.register(state, make_file(), "PACS", at(0))
    index.register(make_header(1), make_file(), "SCANNER", at(9))
    study = index.study("1.2.3")
    assert (study.revision, study.instance_count, study.last_received_at) == (1, 2, at(9))


def test_a_rejection_note_makes_a_revision_once(ended, reject):
    assert reject(2) is Registration.NEW
    assert (ended.study("1.2.3").revision, ended.study("1.2.3").state) == (2, StudyState.RECEIVING)
    assert ended.rejected("1.2.3") == {InstanceKey("1.2.3.1", "1.2.3.1.2"): "113001"}
    ended.move("1.2.3", 2, StudyState.REFUSED, "")
    assert reject(2) is Registration.DUPLICATE
    assert reject(2, note=91) is Registration.NEW
    assert ended.study("1.2.3").revision == 2


def test_a_rejection_of_what_is_not_there_makes_no_revision_and_is_kept(ended, reject, make_header):
    reject(7)
    assert ended.study("1.2.3").revision == 1
    assert set(ended.rejected("1.2.3")) == {make_header(7).key}


def test_a_rejection_note_may_come_before_the_study(index, reject, make_header, make_file, at):
    reject(1)
    index.register(make_header(1), make_file(), "SCANNER", at(61))
    assert index.study("1.2.3").revision == 1
    assert set(index.rejected("1.2.3")) == {make_header(1).key}


def test_a_rejection_note_reaches_into_another_study(ended, reject):
    reject(1, of="1.9")
    assert ended.study("1.2.3").revision == 2
    assert ended.study("1.9").revision == 1


def test_a_note_that_was_taken_for_an_ordinary_object_counts_when_it_comes_again(
    ended, reject, make_header, make_file, at
):
    ended.register(replace(make_header(90, 9), sop_class_uid=KEY_OBJECT_NOTE), make_file(), "PACS", at(30))
    assert reject(1) is Registration.DUPLICATE
    assert ended.study("1.2.3").revision == 2
