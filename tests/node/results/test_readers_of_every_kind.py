"""Every kind of result of four scanners, as programs and libraries of others read it: none finds a fault.

Which of them read which kind stands in `tests.parts.readers`; PixelMed, which judges reports and key objects alone,
in `test_pixelmed`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from PIL import Image
from pypdf import PdfReader

from node.results.kinds import kind_of
from node.settings import ResultKind
from tests.parts.readers import READERS, faults, faults_of_all

from .conftest import EVERYTHING, OF_SEQUENCES, VENDORS, Encoded

BINARIES = Path(sys.executable).parent
needs_dcmtk = pytest.mark.skipif(shutil.which("dcm2pdf") is None, reason="DCMTK is not installed")
#: All that DCMTK says of a report in which it finds no fault.
UNICODE_NOTICE = "W: The VR checker does not support this Specific Character Set: ISO_IR 192"
needs_readers = pytest.mark.skipif(not READERS, reason="dicom3tools and DCMTK are not installed")
SERIES = ("t2wi", "dwi", "pvp")
#: What dciodvfy, which looks at all others, cannot say of a Label Map Segmentation.
MUST_HAVE = {ResultKind.LABELMAP: "SegmentSequence"}


def require_no_fault(made: Encoded) -> None:
    assert {kind_of(it.sop_class_uid, it.role) for it in made.objects} == EVERYTHING
    assert faults_of_all(it.path for it in made.objects) == {}


@needs_readers
@pytest.mark.parametrize("vendor", sorted(VENDORS))
def test_no_reader_finds_a_fault_in_any_kind_of_one_sequence(make_encoded, vendor):
    require_no_fault(make_encoded(vendor, ("T2WI",), kinds=OF_SEQUENCES, selections=(EVERYTHING,)))


@pytest.mark.interop
@needs_readers
@pytest.mark.parametrize("vendor", sorted(VENDORS))
def test_no_reader_finds_a_fault_in_any_kind_of_three_sequences(make_encoded, vendor):
    require_no_fault(make_encoded(vendor, kinds=OF_SEQUENCES, selections=(EVERYTHING,)))


@needs_readers
def test_a_fault_is_found_in_each_kind(make_encoded, tmp_path):
    """The readers judge: each kind without one element that it must have."""
    made = make_encoded("siemens", ("T2WI",), kinds=OF_SEQUENCES, selections=(EVERYTHING,))
    for kind, path in {kind_of(it.sop_class_uid, it.role): it.path for it in made.objects}.items():
        dataset = pydicom.dcmread(path)
        del dataset[MUST_HAVE.get(kind, "InstanceNumber")]
        dataset.save_as(tmp_path / "broken.dcm")
        try:
            found = faults(tmp_path / "broken.dcm")
        except (AttributeError, KeyError):
            continue  # a library that needs it
        assert found, kind


def run(*command: object) -> str:
    """What a program says."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def paths_of(encoded, role: str) -> list[Path]:
    found = [made.path for made in encoded.objects if made.role == role]
    assert found, role
    return found


def test_highdicom_reads_every_kind(encoded):
    for made in {it.role: it for it in encoded.objects}.values():
        if made.role.startswith("segmentation"):
            assert hd.seg.segread(made.path).number_of_segments == 1
        elif made.role == "report":
            assert hd.sr.srread(made.path).content.get_volumetric_roi_measurement_groups()
        elif made.role != "summary-pdf":
            assert hd.imread(made.path).get_frame(1).size > 1000


def test_dcmqi_reads_every_segmentation_with_its_codes(encoded, tmp_path):
    roles = sorted({it.role for it in encoded.objects if it.role.startswith("segmentation")})
    assert len(roles) == 4
    for role in roles:
        (path,) = paths_of(encoded, role)
        run(
            *(BINARIES / "segimage2itkimage", "--inputDICOM", path, "--outputDirectory", tmp_path),
            *("-t", "nifti", "-p", role),
        )
        (mask,) = tmp_path.glob(f"{role}-*.nii.gz")
        assert sitk.GetArrayFromImage(sitk.ReadImage(mask)).any()
        ((segment,),) = json.loads((tmp_path / f"{role}-meta.json").read_text("utf-8"))["segmentAttributes"]
        assert segment["SegmentedPropertyTypeCodeSequence"]["CodeValue"] == "108369006"
        assert segment["SegmentAlgorithmType"] == "AUTOMATIC"


def test_dcmqi_reads_the_measurements_of_each_sequence(encoded, tmp_path):
    (report,) = paths_of(encoded, "report")
    run(BINARIES / "tid1500reader", "--inputDICOM", report, "--outputMetadata", tmp_path / "report.json")
    groups = json.loads((tmp_path / "report.json").read_text("utf-8"))["Measurements"]
    assert len(groups) == len(SERIES)
    assert all(group["measurementItems"] for group in groups)


@needs_dcmtk
def test_dsrdump_finds_no_fault_in_the_report(encoded):
    (report,) = paths_of(encoded, "report")
    assert [line for line in run("dsrdump", report).splitlines() if line.startswith(("W:", "E:"))] == [UNICODE_NOTICE]


@pytest.mark.parametrize("series", SERIES)
def test_dcm2niix_reads_the_derived_series_as_one_volume(encoded, tmp_path, series):
    images = paths_of(encoded, f"super-resolved-{series}")
    source = tmp_path / "series"
    source.mkdir()
    for path in images:
        shutil.copy(path, source)
    said = run(BINARIES / "dcm2niix", "-b", "n", "-f", "volume", "-o", tmp_path, source)
    assert "Error" not in said
    (volume,) = tmp_path.glob("*.nii")
    found, first = sitk.ReadImage(volume), pydicom.dcmread(images[0])
    assert found.GetSize() == (first.Columns, first.Rows, len(images))
    wanted = {float(pydicom.dcmread(path).pixel_array.max()) for path in images}
    assert sitk.GetArrayViewFromImage(found).max() == pytest.approx(
        max(wanted) * float(first.get("RescaleSlope", 1)) + float(first.get("RescaleIntercept", 0)), rel=1e-4
    )


@needs_dcmtk
def test_dcmtk_shows_the_picture_and_takes_the_pdf_out(encoded, tmp_path):
    (picture,), (document,) = paths_of(encoded, "summary"), paths_of(encoded, "summary-pdf")
    run("dcmj2pnm", picture, tmp_path / "picture.ppm")
    shown = np.asarray(Image.open(tmp_path / "picture.ppm"))
    assert np.array_equal(shown, pydicom.dcmread(picture).pixel_array)
    run("dcm2pdf", document, tmp_path / "page.pdf")
    assert len(PdfReader(BytesIO((tmp_path / "page.pdf").read_bytes())).pages) == 1
