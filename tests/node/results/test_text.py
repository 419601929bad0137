"""No text that leaves is longer than its value representation allows, and none holds what DICOM forbids."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO

import pydicom
import pytest
from pydicom.datadict import dictionary_VM
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pypdf import PdfReader

from node.results.encoded import EncodedObject
from node.results.identity import Identity, Site
from node.results.modules import SeriesFacts, identify
from node.results.text import IDENTIFIERS, LIMITS, conform, shortened

UID_ROOT = "1.2.826.0.1.3680043.10.1599."
CHINESE, KOREAN, CYRILLIC = (
    "直肠癌术前分期磁共振平扫加增强" * 3,
    "직장암 수술 전 병기 결정 자기공명영상" * 2,
    "МРТ прямой кишки " * 5,
)
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


@pytest.mark.parametrize("text", [CHINESE, KOREAN, CYRILLIC, "plain " * 20, "🩺" * 20])
@pytest.mark.parametrize("octets", [16, 63, 64])
def test_what_is_too_long_ends_with_an_ellipsis_within_its_octets(text, octets):
    short = shortened(text, octets)
    assert octets - 6 < len(short.encode()) <= octets
    assert short.endswith("…")
    assert text.startswith(short[:-1])


def test_what_fits_to_the_octet_is_left_alone():
    assert shortened("ä" * 32, 64) == "ä" * 32


def test_no_accent_is_cut_from_its_letter():
    assert shortened("abcdee\u0301fgh", 9) == "abcde…"


def test_a_code_value_of_more_than_16_characters_becomes_a_long_code_value():
    item = Dataset()
    item.add_new("CodeValue", "SH", "1234567890-1234567890")
    conform(item)
    assert item.LongCodeValue == "1234567890-1234567890"
    assert "CodeValue" not in item


def test_what_other_data_sets_share_is_not_changed():
    first, second = Dataset(), Dataset()
    first.StudyDescription = "rectum\nstaging"
    second["StudyDescription"] = first["StudyDescription"]
    conform(second)
    assert (first.StudyDescription, second.StudyDescription) == ("rectum\nstaging", "rectum staging")


def test_a_paragraph_keeps_its_lines_and_its_backslashes():
    dataset = Dataset()
    dataset.PatientComments = "first line\r\nC:\\second\x07 line\x85"
    conform(dataset)
    assert dataset.PatientComments == "first line\r\nC:\\second  line"


def as_people_type(ds: Dataset, sequence: str) -> None:
    ds.StudyDescription = CHINESE
    ds.SeriesDescription = f"{sequence} tra\\oblique \x01{KOREAN}"
    ds.ProtocolName = CYRILLIC
    ds.PatientComments = "line\x00 one\r\n" + CHINESE * 90
    ds.InstitutionName = KOREAN
    ds.StationName = "магнит на этаже 2"
    ds.SoftwareVersions = [CHINESE, "syngo\tMR\x1b"]
    ds.ReferringPhysicianName = "Li^Lei\x02"
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "MRRECTUM-1234567890", "99HIS", CHINESE
    ds.ProcedureCodeSequence = [code]
    request = ds.RequestAttributesSequence[0]
    request.ScheduledProcedureStepDescription = f"step\\{CYRILLIC}\x9f"
    request.ScheduledProtocolCodeSequence = [code]


def with_long_words(results):
    said = replace(results.algorithms["segmentation"], name=CHINESE, statement=f"trained\x1b on\n{KOREAN * 40}")
    plan = replace(
        results.plan,
        warnings=(f"DWI: {CHINESE * 20}\x00\\", *results.plan.warnings),
        verdicts=tuple(replace(it, description=f"a\\b {KOREAN}\x07") for it in results.plan.verdicts),
    )
    return replace(results, algorithms={**results.algorithms, "segmentation": said}, plan=plan)


@pytest.fixture(scope="module")
def typed(make_encoded):
    """A study with everything that people and bundles may type."""
    return make_encoded(
        "siemens", ("T2WI", "DWI"), change=with_long_words, edit=as_people_type, site=Site(UID_ROOT, CHINESE, "UTC")
    )


def texts(entry: EncodedObject) -> Iterator[tuple[DataElement, list[str]]]:
    for element in pydicom.dcmread(entry.path).iterall():
        if element.VR in ("SH", "LO", "PN", "UC", "ST", "LT", "UT") and not element.is_empty:
            yield element, [str(value) for value in (element.value if element.VM > 1 else [element.value])]


def one_of_each(objects) -> list[EncodedObject]:
    return list({it.role: it for it in objects}.values())


def test_every_text_of_every_object_is_within_its_octets(typed):
    for entry in one_of_each(typed.objects):
        for element, values in texts(entry):
            for value in values:
                assert len(value.encode()) <= LIMITS.get(element.VR, 2**32), (entry.role, element.keyword)


def test_no_text_of_any_object_holds_a_control_character_or_a_delimiter(typed):
    for entry in one_of_each(typed.objects):
        for element, values in texts(entry):
            lines = "\t\n\f\r" if element.VR in ("ST", "LT", "UT") else ""
            assert not CONTROL.search("".join(values).translate(str.maketrans("", "", lines))), element.keyword
            if dictionary_VM(element.tag) == "1":
                assert len(values) == 1, (entry.role, element.keyword)


def test_what_is_cut_or_cleaned_is_still_what_was_typed(typed):
    (report,) = typed.datasets("report")
    assert report.StudyDescription == shortened(CHINESE, 64)
    assert report.PatientComments.startswith("line  one\r\n直肠癌")
    assert str(report.ReferringPhysicianName) == "Li^Lei"
    assert report.InstitutionName == shortened(CHINESE, 64)
    assert report.ProcedureCodeSequence[0].LongCodeValue == "MRRECTUM-1234567890"
    image = typed.datasets("super-resolved-dwi")[0]
    assert image.SeriesDescription.startswith("AI-SR x4 DWI (research) DWI tra/oblique 직장암")
    assert image.RequestAttributesSequence[0].ScheduledProcedureStepDescription.startswith("step/МРТ")
    assert image.ContributingEquipmentSequence[0].SoftwareVersions[1] == "syngo MR"


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools are not installed")
def test_dciodvfy_finds_no_error_in_them(typed):
    for entry in one_of_each(typed.objects):
        done = subprocess.run(["dciodvfy", "-new", str(entry.path)], capture_output=True, text=True, check=False)
        assert [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")] == []


ACCESSION, PATIENT = "A-20240315-0815-4711-000001", "hospital-of-the-city/" + "0123456789" * 5
LONG_NAME = "Wolfeschlegelsteinhausenbergerdorff-von-und-zu-Guttenberg-Sulzbach^Maria"


def with_long_identifiers(ds: Dataset, sequence: str) -> None:
    ds.AccessionNumber, ds.PatientID, ds.PatientName = ACCESSION, PATIENT, LONG_NAME


def with_a_backslash_in_the_id(ds: Dataset, sequence: str) -> None:
    ds.PatientID = "ID\\12345"


def test_identifiers_and_names_are_never_cut_because_the_archive_files_by_them(make_encoded):
    study = make_encoded("siemens", ("T2WI",), edit=with_long_identifiers, with_tumour=False)
    for entry in one_of_each(study.objects):
        ds = pydicom.dcmread(entry.path)
        assert (ds.AccessionNumber, ds.PatientID, ds.PatientName) == (ACCESSION, PATIENT, LONG_NAME)


def test_an_identifier_with_a_backslash_stays_as_the_archive_got_it(make_encoded):
    study = make_encoded("siemens", ("T2WI",), edit=with_a_backslash_in_the_id)
    for entry in one_of_each(study.objects):
        assert b"LO\x08\x00ID\\12345" in entry.path.read_bytes()
    document = study.datasets("summary-pdf")[0].EncapsulatedDocument
    assert "ID ID\\12345" in PdfReader(BytesIO(document)).pages[0].extract_text()


def test_all_identifiers_are_attributes_that_dicom_knows():
    assert all(pydicom.datadict.tag_for_keyword(keyword) for keyword in IDENTIFIERS)


def test_a_long_series_description_still_says_what_it_supersedes(siemens):
    identity = replace(Identity.of(siemens.results, Site(UID_ROOT)), supersedes=(("report", 1234),))
    facts = SeriesFacts("report", 1, "AI measurement report of all sequences of the study (research)", "SR", "1.2", ())
    dataset = Dataset()
    identify(dataset, facts, identity, Dataset())
    assert dataset.SeriesDescription.endswith("…, supersedes revision 1234")
    assert len(dataset.SeriesDescription.encode()) <= 64
