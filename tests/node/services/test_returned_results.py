"""A router that gives all results other UIDs and sends them back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom.uid import (
    Comprehensive3DSRStorage,
    EncapsulatedPDFStorage,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from node.dicom.scu import store
from storage.records import Registration, StudyState

KINDS = (
    MRImageStorage,
    SegmentationStorage,
    Comprehensive3DSRStorage,
    SecondaryCaptureImageStorage,
    EncapsulatedPDFStorage,
)


def send(receiving, *paths: Path) -> list[int | None]:
    return [it.status for it in store(paths, "127.0.0.1", receiving.port, "RECTALNODE", "ROUTER", 10)]


@pytest.mark.parametrize("study", ["1.2.3", "1.9.9"], ids=["the study", "a new study"])
def test_results_under_other_uids_are_acknowledged_and_kept_and_begin_nothing(receiving, make_image, study):
    send(receiving, make_image(1))
    receiving.index.move("1.2.3", 1, StudyState.QUEUED)
    receiving.ledger.conclude("1.2.3", 1, StudyState.COMPLETED, "", [], [], datetime.now(UTC))
    before, images = receiving.index.studies(), receiving.files()
    results = [
        make_image(
            number,
            SOPClassUID=kind,
            SOPInstanceUID=f"1.9.{number}",
            SeriesInstanceUID=f"1.9.9.{number}",
            StudyInstanceUID=study,
            Manufacturer="rectal-node",
        )
        for number, kind in enumerate(KINDS, 100)
    ]
    assert send(receiving, *results) == [0] * len(KINDS)
    assert receiving.index.studies() == before
    assert receiving.listener.counts[Registration.OWN_RESULT] == len(KINDS)
    assert len(receiving.files()) == len(images) + len(KINDS)
    assert receiving.index.open_associations(datetime.now(UTC))[study] == 0
