"""Rejection notes are read, and the objects that they reject leave the plan."""

from __future__ import annotations

import pytest
from pydicom.uid import KeyObjectSelectionDocumentStorage as KEY_OBJECT_NOTE

from models.sequence import Sequence
from node.recognition.header.frames import read_frames
from node.recognition.header.rejections import rejection_note
from node.recognition.header.words import words
from node.recognition.plan import recognise
from node.settings import RecognitionSettings
from storage.identity import InstanceKey

from ...key_objects import key_object_note

SETTINGS = RecognitionSettings()


@pytest.fixture
def t2(series_of):
    return series_of("Skyra", "t2_tse_tra")


def key(image) -> InstanceKey:
    return InstanceKey(image.SeriesInstanceUID, image.SOPInstanceUID)


def planned(images, rejected, folder):
    paths = [folder / f"{number:03d}.dcm" for number in range(len(images))]
    for image, path in zip(images, paths, strict=True):
        image.save_as(path)
    return recognise(images[0].StudyInstanceUID, paths, SETTINGS, rejected=rejected)


@pytest.mark.parametrize("title", ["113001", "113037", "113038", "113039"])
def test_a_rejection_note_is_read_with_what_it_rejects(t2, tmp_path, title):
    key_object_note(t2[:3], title).save_as(tmp_path / "note.dcm")
    note = rejection_note(tmp_path / "note.dcm", KEY_OBJECT_NOTE)
    assert note.title == title
    assert note.objects == tuple((image.StudyInstanceUID, key(image)) for image in t2[:3])


@pytest.mark.parametrize(("title", "scheme"), [("113000", "DCM"), ("113001", "99LOCAL")])
def test_a_note_of_another_title_rejects_nothing(t2, tmp_path, title, scheme):
    key_object_note(t2[:3], title, scheme).save_as(tmp_path / "note.dcm")
    assert rejection_note(tmp_path / "note.dcm", KEY_OBJECT_NOTE) is None


def test_a_broken_note_rejects_nothing_and_harms_nothing(t2, tmp_path):
    note = key_object_note(t2[:3])
    del note.CurrentRequestedProcedureEvidenceSequence[0].StudyInstanceUID
    note.save_as(tmp_path / "note.dcm")
    assert rejection_note(tmp_path / "note.dcm", KEY_OBJECT_NOTE) is None
    (tmp_path / "cut.dcm").write_bytes((tmp_path / "note.dcm").read_bytes()[:-40])
    assert rejection_note(tmp_path / "cut.dcm", KEY_OBJECT_NOTE) is None


def test_a_note_of_more_than_a_megabyte_is_not_read(t2, tmp_path):
    note = key_object_note(t2[:3])
    note.add_new(0x00091010, "OB", bytes(2**20))
    note.save_as(tmp_path / "note.dcm")
    assert rejection_note(tmp_path / "note.dcm", KEY_OBJECT_NOTE) is None


def test_rejected_images_leave_the_plan_with_a_warning(series_of, t2, tmp_path):
    images = [*t2, *series_of("Skyra", "t2_tse_sag")]
    plan = planned(images, {key(image): "113037" for image in t2}, tmp_path)
    assert {verdict.series_instance_uid for verdict in plan.verdicts} == {images[-1].SeriesInstanceUID}
    assert plan.warnings[0] == (
        f"E-REJECTED: 10 of 10 objects of series {t2[0].SeriesNumber} left out: Rejected for Patient Safety Reasons "
        f"(113037, DCM) by a rejection note"
    )


def test_the_images_of_a_series_that_are_not_rejected_stay(t2, tmp_path):
    plan = planned(t2, {key(t2[0]): "113001"}, tmp_path)
    assert len(plan.stack(Sequence.T2WI).frames) == 9
    assert "1 of 10 objects" in plan.warnings[0]


def test_a_study_of_which_all_is_rejected_is_refused_and_says_so(t2, tmp_path):
    plan = planned(t2, {key(image): "113001" for image in t2}, tmp_path)
    assert plan.study_refusal().code == "E-NO-MR"
    assert "rejected" in plan.study_refusal().reason


def test_a_rejected_object_of_another_patient_makes_no_mix(series_of, t2, tmp_path):
    strayed = series_of("Skyra", "t2_tse_sag")
    for image in strayed:
        image.PatientID = "ANOTHER"
    images = [*t2, *strayed]
    assert planned(images, {}, tmp_path).study_refusal().code == "E-PATIENT-MIX"
    assert planned(images, {key(image): "113038" for image in strayed}, tmp_path).study_refusal() is None


def test_an_object_of_the_same_uid_in_another_series_is_not_rejected(t2, tmp_path):
    plan = planned(t2, {InstanceKey("1.2.3", image.SOPInstanceUID): "113001" for image in t2}, tmp_path)
    assert len(plan.stack(Sequence.T2WI).frames) == len(t2)
    assert isinstance(read_frames(tmp_path / "000.dcm", words(())), tuple)
