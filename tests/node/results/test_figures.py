"""Every figure is the same wherever it stands, and that of the objects that are delivered, to the digit."""

from __future__ import annotations

import re
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pypdf import PdfReader

from node.results.figures import millilitres

GRIDS = {"AI-SR-GRID": "super-resolved-", "ACQ-GRID": ""}


def positions(segmentation: Dataset) -> np.ndarray:
    """Of the frames in their order; frames × LPS, mm."""
    groups = segmentation.PerFrameFunctionalGroupsSequence
    return np.array([group.PlanePositionSequence[0].ImagePositionPatient for group in groups], float)


def counted_ml(segmentation: Dataset) -> float:
    """Voxels by the volume of one, from nothing but the segmentation."""
    measures = segmentation.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    step = np.linalg.norm(np.diff(positions(segmentation)[:2], axis=0))
    return float(np.count_nonzero(segmentation.pixel_array) * np.prod(measures.PixelSpacing) * step / 1000)


def measured(report: Dataset) -> dict[tuple[str, str], float]:
    """Coded volumes by UID of the segmentation that a group refers to and code of the grid."""
    found = {}
    for group in report.ContentSequence[-2].ContentSequence:
        items = group.ContentSequence
        (segment,) = (
            it.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
            for it in items
            if it.ValueType == "IMAGE" and it.ConceptNameCodeSequence[0].CodeMeaning == "Referenced Segment"
        )
        for item in items:
            if item.ValueType == "NUM" and item.ConceptNameCodeSequence[0].CodeMeaning == "Volume":
                grid = item.ContentSequence[0].ConceptCodeSequence[0].CodeValue
                found[segment, grid] = float(item.MeasuredValueSequence[0].NumericValue)
    return found


def text_of(document: Dataset) -> str:
    return " ".join(PdfReader(BytesIO(document.EncapsulatedDocument)).pages[0].extract_text().split())


def said(report: Dataset) -> str:
    return " ".join(item.TextValue for item in report.ContentSequence[-1].ContentSequence)


@pytest.fixture(scope="module")
def delivered(encoded) -> dict[str, Dataset]:
    return {role: encoded.datasets(role)[0] for role in {it.role for it in encoded.objects}}


def test_the_coded_volumes_are_what_counting_the_delivered_masks_gives(delivered):
    coded = measured(delivered["report"])
    assert len(coded) == 4
    for sequence in ("t2wi", "dwi", "pvp"):
        referenced = delivered[f"segmentation-{sequence}"]
        for code, grid in GRIDS.items():
            if (counted := delivered.get(f"segmentation-{grid}{sequence}")) is not None:
                assert coded[referenced.SOPInstanceUID, code] == pytest.approx(counted_ml(counted), rel=1e-6)


def test_report_page_and_conclusion_print_the_volume_of_the_delivered_mask(delivered):
    report, page = said(delivered["report"]), text_of(delivered["summary-pdf"])
    finest = {"T2WI": "segmentation-super-resolved-t2wi", "DWI": "segmentation-dwi", "PVP": "segmentation-pvp"}
    volumes = {name: millilitres(counted_ml(delivered[role])) for name, role in finest.items()}
    sentence = f"Tumour segmented: {', '.join(f'{volume} on {name}' for name, volume in volumes.items())}."
    assert sentence in report
    assert sentence in page
    for volume in volumes.values():
        assert f"tumour {volume}" in page
    acquired = millilitres(counted_ml(delivered["segmentation-t2wi"]))
    assert f"T2WI: {volumes['T2WI']} on the super-resolved grid, {acquired} on the acquired grid;" in report


def test_no_other_volume_is_printed(delivered):
    counted = {millilitres(counted_ml(it)) for role, it in delivered.items() if role.startswith("segmentation")}
    for text in (said(delivered["report"]), text_of(delivered["summary-pdf"])):
        assert set(re.findall(r"\d+\.?\d* ml", text)) <= counted


def test_the_slice_that_is_shown_is_that_of_the_segmentation_with_the_most_tumour_counted_from_the_feet(delivered):
    report, page = said(delivered["report"]), text_of(delivered["summary-pdf"])
    for sequence in ("t2wi", "dwi", "pvp"):
        segmentation = delivered[f"segmentation-{sequence}"]
        order = np.argsort(positions(segmentation)[:, 2])
        areas = segmentation.pixel_array.sum(axis=(1, 2))[order]
        largest = f"slice {int(np.argmax(areas)) + 1} of {len(areas)} (F to H)"
        assert f"largest section on {largest}." in report
        assert largest in page


def test_b_value_and_time_of_the_phase_are_the_same_on_report_and_page(delivered):
    for text in (said(delivered["report"]), text_of(delivered["summary-pdf"])):
        assert "b = 800 s/mm²" in text
        assert "70.0 s after injection" in text


def test_probability_and_cut_off_are_the_same_on_report_and_page(delivered):
    report, page = said(delivered["report"]), text_of(delivered["summary-pdf"])
    assert "0.73, above or at the cut-off of 0.41" in report
    assert "0.73" in page
    assert "cut-off 0.41" in page


@pytest.mark.parametrize(
    ("volume", "written"),
    [(0.004, "0.00 ml"), (0.04, "0.04 ml"), (0.994, "0.99 ml"), (0.995, "1.0 ml"), (1.0, "1.0 ml"), (65.94, "65.9 ml")],
)
def test_a_small_tumour_is_not_rounded_away(volume, written):
    assert millilitres(volume) == written


def test_what_was_segmented_on_the_finer_grid_alone_is_told_with_its_volume(make_encoded):
    def only_finer(results):
        return replace(results, sequences=tuple(replace(it, super_ml=0.034) for it in results.sequences))

    study = make_encoded("siemens", ("DWI",), with_tumour=False, change=only_finer)
    report, page = said(study.datasets("report")[0]), text_of(study.datasets("summary-pdf")[0])
    for text in (report, page):
        assert "DWI: 0.03 ml were segmented on the super-resolved grid and none on the" in text
