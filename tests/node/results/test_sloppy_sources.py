"""Results of sources whose headers are not as the standard wants them: nothing fails, what matters is passed on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from node.results.encode import encode
from node.results.identity import Site
from node.results.source import read_header

UID_ROOT = "1.2.826.0.1.3680043.10.1599."


def raw(dataset: Dataset, keyword: str, vr: str, value: bytes) -> None:
    """Bytes as a careless writer leaves them."""
    tag = Tag(keyword)
    value += (b"\0" if vr == "UI" else b" ") * (len(value) % 2)
    dataset._dict[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True, True)


SLOPPY = [
    ("StudyDate", "DA", b"2024.03.15", "20240315"),
    ("StudyTime", "TM", b"10:11:12.5", "101112.5"),
    ("PatientBirthDate", "LO", b"19600229", "19600229"),
    ("PatientSex", "CS", b"f", "F"),
    ("PatientSex", "CS", b"W", None),
    ("PatientAge", "AS", b"64", None),
    ("PatientWeight", "DS", b"61,5", 61.5),
    ("PatientBirthDate", "DA", b"1961.03.07", "19610307"),
    ("PatientBirthDate", "DA", b"7.3.1961", "19610307"),
    ("PatientBirthDate", "DA", b"03/07/1961", None),
    ("StudyTime", "TM", b"2:22:33 PM", "142233"),
    ("PatientWeight", "DS", b"61.50000000000000000", 61.5),
    ("PatientID", "LO", b"P\\0815", ["P", "0815"]),
    ("StudyDescription", "LO", b"MRI\\RECTUM", "MRI/RECTUM"),
    ("AcquisitionNumber", "IS", b"3.0", 3),
    ("AcquisitionNumber", "IS", b"3.5", None),
    ("EchoTime", "DS", b"early", None),
    ("EchoTime", "DS", b"101\\202", None),
    ("RepetitionTime", "LO", b"4000", 4000),
    ("Rows", "UL", b"\x38\0\0\0", 56),
    ("MagneticFieldStrength", "DS", b"inf", None),
    ("ScanningSequence", "CS", b"spin echo", None),
    ("RequestAttributesSequence", "LO", b"RP1", None),
    ("PixelSpacing", "FD", b"\x66\x66\x66\x66\x66\x66\xe6\x3f" * 2, [0.7, 0.7]),
]


@pytest.fixture
def results_of(make_encoded) -> Callable[..., list[Dataset]]:
    """The objects of a study of T2WI and DWI whose instances `edit` has changed."""

    def made(edit: Callable[[Dataset, str], None], study: str = "1.2.840.99999.1") -> list[Dataset]:
        encoded = make_encoded(
            sequences=("T2WI", "DWI"), edit=edit, change=lambda results: replace(results, study_instance_uid=study)
        )
        return [pydicom.dcmread(each.path) for each in encoded.objects]

    return made


def test_series_without_a_frame_of_reference_get_one_each_that_all_their_results_share(results_of):
    def edit(dataset: Dataset, sequence: str) -> None:
        del dataset.FrameOfReferenceUID

    frames: dict[str, set[str]] = {}
    for each in results_of(edit):
        if each.Modality in ("MR", "SEG"):
            frames.setdefault("DWI" if "DWI" in each.SeriesDescription else "T2WI", set()).add(each.FrameOfReferenceUID)
    assert [len(uids) for uids in frames.values()] == [1, 1]
    assert frames["DWI"] != frames["T2WI"]
    assert all(uid.startswith(UID_ROOT) for uids in frames.values() for uid in uids)


def test_directions_that_were_rounded_are_written_with_unit_length(results_of):
    """A tilt of 17° in three digits has a column of the length 0.9996."""
    exact: dict[str, np.ndarray] = {}

    def edit(dataset: Dataset, sequence: str) -> None:
        row, column = np.array(dataset.ImageOrientationPatient, float).reshape(2, 3)
        exact[str(dataset.SeriesInstanceUID)] = np.array([row, column])
        stated = "\\".join(f"{number:.6f}" for number in (*row, *(0.9996 * column)))
        raw(dataset, "ImageOrientationPatient", "DS", stated.encode())

    masks = [made for made in results_of(edit) if made.Modality == "SEG"]
    assert len(masks) >= 2
    for mask in masks:
        planes = mask.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
        directions = np.array(planes[0].ImageOrientationPatient, float).reshape(2, 3)
        assert np.linalg.norm(directions, axis=1) == pytest.approx([1, 1], abs=1e-6)
        assert any(directions == pytest.approx(each, abs=1e-4) for each in exact.values())


def test_uids_with_leading_zeros_are_passed_on_as_they_stand(results_of):
    changed = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")

    def edit(dataset: Dataset, sequence: str) -> None:
        for keyword in changed:
            raw(dataset, keyword, "UI", str(dataset[keyword].value).replace("1.2.840", "1.02.00840").encode())

    made = results_of(edit, "1.02.00840.99999.1")
    assert {each.StudyInstanceUID for each in made} == {"1.02.00840.99999.1"}
    assert {each.FrameOfReferenceUID for each in made if each.Modality in ("MR", "SEG")} == {"1.02.00840.99999.1.77"}
    segmentations = [each for each in made if each.Modality == "SEG" and "on AI-SR" not in each.SeriesDescription]
    assert len(segmentations) == 2
    for each in segmentations:
        number = {"T2WI": 5, "DWI": 8}[each.SeriesDescription.split()[1]]
        (series,) = each.ReferencedSeriesSequence
        assert series.SeriesInstanceUID == f"1.02.00840.99999.1.{number}"
        assert f"1.02.00840.99999.1.{number}.1" in [
            it.ReferencedSOPInstanceUID for it in series.ReferencedInstanceSequence
        ]
    (report,) = (each for each in made if each.Modality == "SR")
    (evidence,) = report.CurrentRequestedProcedureEvidenceSequence
    assert evidence.StudyInstanceUID == "1.02.00840.99999.1"
    assert {"1.02.00840.99999.1.5", "1.02.00840.99999.1.8"} < {
        it.SeriesInstanceUID for it in evidence.ReferencedSeriesSequence
    }


@pytest.mark.parametrize(("keyword", "vr", "value", "wanted"), SLOPPY)
def test_values_have_their_right_form_or_are_left_out(only_t2, tmp_path, keyword, vr, value, wanted):
    dataset = pydicom.dcmread(only_t2.results.sequences[0].stack.frames[0].path)
    raw(dataset, keyword, vr, value)
    dataset.save_as(tmp_path / "sloppy.dcm")
    header = read_header(tmp_path / "sloppy.dcm")
    found = header.get(keyword)
    assert (list(found) if isinstance(wanted, list) else found or None) == wanted
    if keyword in header:
        assert dictionary_VR(keyword) == header[keyword].VR


def test_results_are_written_of_all_of_it_at_once(results_of):
    def edit(dataset: Dataset, sequence: str) -> None:
        for keyword, vr, value, _ in SLOPPY:
            if keyword != "PixelSpacing" or sequence == "T2WI":
                raw(dataset, keyword, vr, value.replace(b"\x38", bytes([dataset.Rows])))

    assert {each.Modality for each in results_of(edit)} == {"MR", "SEG", "SR", "OT", "DOC"}


def test_what_is_left_out_is_named_once_a_series_and_never_with_its_value(results_of, caplog):
    def edit(dataset: Dataset, sequence: str) -> None:
        raw(dataset, "EchoTime", "DS", b"secret")

    with caplog.at_level(logging.WARNING):
        results_of(edit)
    said = [record.getMessage() for record in caplog.records if "left out" in record.getMessage()]
    assert len(said) == 2
    assert "EchoTime (in 8 of 8 files)" in said[0]
    assert "secret" not in caplog.text


def test_a_study_of_which_nothing_is_used_is_reported_whatever_stands_for_it(only_t2, tmp_path):
    reference = tmp_path / "reference.dcm"
    dataset = pydicom.dcmread(only_t2.results.sequences[0].stack.frames[0].path)
    raw(dataset, "SOPClassUID", "UI", b"1.3.46.670589.11.0.0.12.1")
    raw(dataset, "StudyInstanceUID", "UI", b"1.02.3")
    raw(dataset, "PatientSex", "CS", b"unknown")
    raw(dataset, "PatientBirthDate", "DA", b"*")
    raw(dataset, "StudyTime", "TM", b"noon")
    raw(dataset, "PatientWeight", "DS", b"heavy")
    dataset.save_as(reference)
    results = replace(only_t2.results, sequences=(), study_instance_uid="1.02.3")
    objects = encode(results, tmp_path, Site(UID_ROOT, time_zone="UTC"), reference)
    made = {each.role: pydicom.dcmread(each.path) for each in objects}
    assert set(made) == {"report", "summary", "summary-pdf"}
    for each in made.values():
        assert (each.StudyInstanceUID, each.PatientID, each.PatientSex) == ("1.02.3", "P-0815", "")
    (evidence,) = made["report"].CurrentRequestedProcedureEvidenceSequence
    (series,) = evidence.ReferencedSeriesSequence
    (instance,) = series.ReferencedSOPSequence
    assert instance.ReferencedSOPClassUID == "1.3.46.670589.11.0.0.12.1"
    assert instance.ReferencedSOPInstanceUID == dataset.SOPInstanceUID
