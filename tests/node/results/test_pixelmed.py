"""Reports and key objects as PixelMed's DicomSRValidator judges them: their templates, order and codes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pydicom
import pytest

from node.results.encode import encode
from tests.parts.pixelmed import needs_pixelmed, sr_errors

from .conftest import EVERYTHING, OF_SEQUENCES, SITE, VENDORS, study_results, write_series

pytestmark = needs_pixelmed

#: One of each form that a report has.
STUDIES = ("siemens", "without_tumour", "set_aside")
#: All that DCMTK says of a report in which it finds no fault.
UNICODE_NOTICE = "W: The VR checker does not support this Specific Character Set: ISO_IR 192\n"


def report_of(encoded) -> Path:
    (entry,) = (entry for entry in encoded.objects if entry.role == "report")
    return entry.path


@pytest.fixture(scope="module")
def broken(without_tumour, tmp_path_factory) -> Path:
    """A report whose Procedure Reported (TID 1500 row 5) has another relationship than the template's."""
    dataset = pydicom.dcmread(report_of(without_tumour))
    (procedure,) = (it for it in dataset.ContentSequence if it.ConceptNameCodeSequence[0].CodeValue == "121058")
    procedure.RelationshipType = "CONTAINS"
    path = tmp_path_factory.mktemp("broken") / "report.dcm"
    dataset.save_as(path)
    return path


@pytest.fixture(scope="module")
def refused(tmp_path_factory) -> Path:
    """The report of a study of which nothing could be used."""
    source, folder = tmp_path_factory.mktemp("refused"), tmp_path_factory.mktemp("refused-results")
    stack = write_series(source, VENDORS["siemens"], "T2WI")
    objects = encode(study_results({}, with_tumour=False), folder, SITE, reference=stack.frames[0].path)
    (entry,) = (entry for entry in objects if entry.role == "report")
    return entry.path


@pytest.fixture(scope="module")
def key_objects(make_encoded) -> Path:
    """The Key Object Selection of a study of which every kind was made."""
    made = make_encoded("siemens", ("T2WI",), kinds=OF_SEQUENCES, selections=(EVERYTHING,))
    return made.objects[-1].path


@pytest.fixture(scope="module")
def judged(request, broken, refused, key_objects) -> dict[str, list[str]]:
    """Errors by study; all in one JVM, whose start takes as long as all of them."""
    reports = {study: report_of(request.getfixturevalue(study)) for study in STUDIES}
    reports |= {"broken": broken, "refused": refused, "key objects": key_objects}
    errors = sr_errors(reports.values())
    return {study: errors[path] for study, path in reports.items()}


@pytest.mark.parametrize("study", [*STUDIES, "refused", "key objects"])
def test_pixelmed_finds_no_error_in_a_document(judged, study):
    assert judged[study] == []


def test_pixelmed_finds_the_error_of_a_broken_report(judged):
    assert any("Incorrect relationship" in line for line in judged["broken"])


@pytest.mark.interop
def test_pixelmed_finds_no_error_in_the_full_report_of_any_vendor(make_encoded):
    errors = sr_errors(report_of(make_encoded(vendor)) for vendor in VENDORS)
    assert [line for lines in errors.values() for line in lines] == []


@pytest.mark.skipif(shutil.which("dsrdump") is None, reason="DCMTK is not installed")
@pytest.mark.parametrize("study", ["only_t2", *STUDIES])
def test_dcmtk_finds_no_fault_in_the_items_of_a_report(request, study):
    path = report_of(request.getfixturevalue(study))
    done = subprocess.run(["dsrdump", path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, UNICODE_NOTICE)
