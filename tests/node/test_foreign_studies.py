"""Studies that are none of the node's business: nothing is sent of them, and `status` says why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, KeyObjectSelectionDocumentStorage, generate_uid

from node.analysis.refusal import is_answered
from node.settings import AnalysisSettings

from .copies import copied
from .site import FIRST, Site, running


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("site")) as found:
        yield found


@pytest.fixture
def t2(written_by: Callable[[str], Any]) -> list[Dataset]:
    """A series that is analysed, in a study of its own."""
    images = [copied(image) for image in written_by("Skyra").series("t2_tse_sag")]
    study = generate_uid()
    for image in images:
        image.StudyInstanceUID = study
    return images


def a_ct(images: list[Dataset]) -> list[Dataset]:
    for image in images:
        image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = CTImageStorage
        image.Modality = "CT"
    return images


def a_key_object_note(images: list[Dataset]) -> list[Dataset]:
    note = images[0]
    del note.PixelData
    note.SOPClassUID = note.file_meta.MediaStorageSOPClassUID = KeyObjectSelectionDocumentStorage
    note.Modality = "KO"
    return [note]


def mr_of_the_head(images: list[Dataset]) -> list[Dataset]:
    for image in images:
        image.BodyPartExamined = "HEAD"
    return images


@pytest.mark.parametrize(
    ("made", "code"), [(a_ct, "E-NO-MR"), (a_key_object_note, "E-NO-MR"), (mr_of_the_head, "E-BODY-PART")]
)
def test_nothing_is_sent_of_a_foreign_study_and_status_says_why_in_one_line(site: Site, t2, made, code) -> None:
    site.receive(made(t2), FIRST)
    site.analyse()
    line = site.status()
    assert line["study"]["state"] == "REFUSED"
    assert line["study"]["reason"].startswith(f"{code}: ")
    assert site.arrived == []
    assert site.deliveries.records(site.uid) == ()
    assert [shown.strip() for shown in site.terminal().splitlines() if shown.strip().startswith(code)] == [
        line["study"]["reason"]
    ]


def test_a_study_of_an_accepted_body_part_that_cannot_be_analysed_is_answered(site: Site, t2) -> None:
    site.receive(t2[:2], FIRST)
    site.analyse()
    assert site.status()["study"]["state"] == "REFUSED"
    assert {image.Modality for image in site.arrived} >= {"SR", "DOC"}
    site.arrived.clear()


def test_foreign_studies_are_answered_where_the_site_wants_it() -> None:
    wanted = AnalysisSettings(report_foreign=True)
    assert is_answered("E-NO-MR: no MR images", wanted)
    assert is_answered("E-BODY-PART: Body Part Examined is HEAD; accepted are RECTUM", wanted)
    assert not is_answered("E-NO-MR: no MR images", wanted.model_copy(update={"report_refusals": False}))
    assert not is_answered("E-PATIENT-MIX: series 2 and 3 name two patients", wanted)


def test_a_study_whose_images_have_not_come_yet_is_waited_for(site: Site, t2) -> None:
    """What came first was a document; were it settled, results would begin with revision 2."""
    site.receive(a_key_object_note([copied(t2[0])]), FIRST)
    site.sweep(incomplete_after_s=3600)
    assert site.index.study(site.uid).reason == "waits for T2WI, DWI, PVP"
