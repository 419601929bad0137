"""Objects that come after the results: those of a reading radiologist, and what an archive rejects."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydicom import dcmread
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage

from node.dicom.scu import store
from storage.identity import InstanceKey
from storage.records import StudyState

from ..key_objects import key_object_note


@pytest.fixture
def ended(receiving, make_image):
    """A listener that holds a study which has been analysed."""
    send(receiving, make_image(1), make_image(2))
    receiving.index.move("1.2.3", 1, StudyState.QUEUED)
    receiving.ledger.conclude("1.2.3", 1, StudyState.COMPLETED, "", [], [], datetime.now(UTC))
    return receiving


def send(receiving, *paths):
    return [it.status for it in store(paths, "127.0.0.1", receiving.port, "RECTALNODE", "PACS", 10)]


def test_a_presentation_state_and_a_key_object_note_make_no_revision(ended, make_image, tmp_path):
    state = make_image(7, SOPClassUID=GrayscaleSoftcopyPresentationStateStorage)
    key_object_note([dcmread(make_image(1))], "113000").save_as(tmp_path / "note.dcm")
    assert send(ended, state, tmp_path / "note.dcm") == [0, 0]
    study = ended.index.study("1.2.3")
    assert (study.revision, study.state, study.instance_count) == (1, StudyState.COMPLETED, 4)


def test_a_rejection_note_makes_a_revision_without_what_it_rejects(ended, make_image, tmp_path):
    key_object_note([dcmread(make_image(1))]).save_as(tmp_path / "note.dcm")
    assert send(ended, tmp_path / "note.dcm") == [0]
    assert (ended.index.study("1.2.3").revision, ended.index.study("1.2.3").state) == (2, StudyState.RECEIVING)
    assert ended.index.rejected("1.2.3") == {InstanceKey("1.2.3.1", "1.2.3.4.1"): "113001"}
