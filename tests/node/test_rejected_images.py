"""Rejection notes for images that results were made from, through the real worker and ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from .copies import copied
from .key_objects import key_object_note
from .site import FIRST, Site, running


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("site")) as found:
        yield found


@pytest.fixture
def t2(site: Site, written_by: Callable[[str], Any]) -> list[Dataset]:
    """Axial T2 of a study of its own, of which revision 1 has been analysed and in part delivered."""
    images = [copied(image) for image in written_by("Skyra").series("t2_tse_tra")]
    study = generate_uid()
    for image in images:
        image.StudyInstanceUID = study
    site.uids_of_results = generate_uid(entropy_srcs=[study])[:50].rstrip(".")
    site.receive(images, FIRST)
    site.conclude_first(images[0])
    return images


def test_where_nothing_is_left_nothing_is_sent_and_earlier_results_are_named_for_withdrawal(site: Site, t2) -> None:
    site.receive([key_object_note(t2)], FIRST)
    site.analyse()
    line = site.status()
    assert (line["study"]["revision"], line["study"]["state"]) == (2, "REFUSED")
    assert "rejected" in line["study"]["reason"]
    assert site.arrived == []
    assert site.states(1) == ["STOPPED", "STOPPED", "REVOKED", "REVOKED", "REVOKED"]
    assert {named["role"] for named in line["withdrawals"]} == {"super-resolved-t2wi", "report"}
    assert all(named["reason"].startswith("E-REJECTED: ") for named in line["withdrawals"])


def test_results_are_superseded_by_the_next_revision_and_the_others_named_for_withdrawal(site: Site, t2) -> None:
    """With every other slice rejected the rest cannot be analysed: it is answered with a report."""
    site.receive([key_object_note(t2[::2])], FIRST)
    site.analyse()
    line = site.status()
    assert (line["study"]["revision"], line["study"]["state"]) == (2, "REFUSED")
    assert {named["role"] for named in line["withdrawals"]} == {"super-resolved-t2wi"}
    (report,) = (image for image in site.arrived if image.Modality == "SR")
    assert report.SeriesDescription.endswith("supersedes revision 1")
    texts = [str(item.get("TextValue")) for item in report.ContentSequence[-1].ContentSequence]
    assert any(text.startswith("E-REJECTED: 5 of 10 objects of series ") for text in texts)
    site.arrived.clear()
