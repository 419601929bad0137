"""Results of studies with something wrong that now end well, as programs of others read them.

dciodvfy (dicom3tools) checks each kind of object, dcmqi reads segmentations and report, dcm2niix the derived series.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

BINARIES = Path(sys.executable).parent
Edit = Callable[[Dataset, str, int], None]


def raw(dataset: Dataset, keyword: str, vr: str, value: bytes) -> None:
    tag = Tag(keyword)
    value += (b"\0" if vr == "UI" else b" ") * (len(value) % 2)
    dataset._dict[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True, True)


def inverted(dataset: Dataset, kind: str, number: int) -> None:
    highest = (1 << dataset.BitsStored) - 1
    dataset.PhotometricInterpretation = "MONOCHROME1"
    dataset.PixelData = (highest - dataset.pixel_array.astype(int)).astype("<u2").tobytes()


def no_frame_of_reference(dataset: Dataset, kind: str, number: int) -> None:
    del dataset.FrameOfReferenceUID


def leading_zeros(dataset: Dataset, kind: str, number: int) -> None:
    study = "1.2.840.0113619.007.2026"
    series = f"{study}.{ {'T2WI': '03', 'DWI': '05'}[kind] }"
    raw(dataset, "StudyInstanceUID", "UI", study.encode())
    raw(dataset, "SeriesInstanceUID", "UI", series.encode())
    raw(dataset, "SOPInstanceUID", "UI", f"{series}.{number:04d}".encode())
    raw(dataset, "FrameOfReferenceUID", "UI", b"1.2.840.0113619.007.9")


def leading_zero_of_the_frame_of_reference(dataset: Dataset, kind: str, number: int) -> None:
    raw(dataset, "FrameOfReferenceUID", "UI", b"1.2.840.0113619.007.9")


def one_uid_in_two_series(dataset: Dataset, kind: str, number: int) -> None:
    raw(dataset, "SOPInstanceUID", "UI", f"1.2.840.113619.7.{number}".encode())


def old_dates(dataset: Dataset, kind: str, number: int) -> None:
    raw(dataset, "StudyDate", "DA", b"2026.11.30")
    raw(dataset, "StudyTime", "TM", b"10:11:12")
    raw(dataset, "PatientBirthDate", "DA", b"1961.03.07")
    raw(dataset, "PatientAge", "AS", b"65")


def odd_text(dataset: Dataset, kind: str, number: int) -> None:
    raw(dataset, "StudyDescription", "LO", b"Rectum \x0b MRI\\second line" + b" and more" * 9)
    raw(dataset, "SeriesDescription", "LO", dataset.SeriesDescription.encode() + b"\r\n<script>\x07")
    raw(dataset, "ProtocolName", "LO", b"t2\ttse\n\xff")
    raw(dataset, "PatientComments", "LT", b"a\x00b\x85c")


def wrong_forms(dataset: Dataset, kind: str, number: int) -> None:
    raw(dataset, "PatientSex", "CS", b"weiblich")
    raw(dataset, "PatientWeight", "DS", b"70,5")
    raw(dataset, "EchoNumbers", "IS", b"1.0")
    raw(dataset, "PixelSpacing", "LO", b"5.00000000000000000001\\5.0")
    raw(dataset, "SequenceVariant", "CS", b"none of these")
    raw(dataset, "MagneticFieldStrength", "LO", str(dataset.MagneticFieldStrength).encode())


def bits_and_padding(dataset: Dataset, kind: str, number: int) -> None:
    values = dataset.pixel_array.astype("<u2") & 0x0FFF
    values[:, :2] = 4095
    values[10:20, 10:20] |= 0x1000
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, 0
    dataset.add_new("PixelPaddingValue", "US", 4095)
    dataset.PixelData = values.tobytes()


KINDS: dict[str, Edit] = {
    edit.__name__: edit
    for edit in (
        inverted,
        no_frame_of_reference,
        leading_zeros,
        leading_zero_of_the_frame_of_reference,
        one_uid_in_two_series,
        old_dates,
        odd_text,
        wrong_forms,
        bits_and_padding,
    )
}
#: What is between series; the others are shown by one.
BETWEEN_SERIES = frozenset({"no_frame_of_reference", "one_uid_in_two_series"})
#: A UID that the source has with a leading zero stays as it stands, or nothing would refer to the study any more.
#: dciodvfy says of each that it is wrong, and DCMTK's readers, such as dcmqi's, refuse a report that refers to one.
LEADING_ZERO = re.compile(
    r"Error - .*UID.* = <1\.2\.840\.0113619\.\S*> - Leading zeroes in embedded numeric component\(s\)"
)


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools are not installed")
@pytest.mark.parametrize("kind", KINDS)
def test_results_pass_the_readers_of_others(tiny_files, tiny_models, analysed, tmp_path, kind):
    paths = []
    sequences = ("T2WI", "DWI") if kind in BETWEEN_SERIES else ("T2WI",)
    for series in sequences:
        for number, path in enumerate(tiny_files("Skyra")[series]):
            dataset = pydicom.dcmread(path)
            KINDS[kind](dataset, series, number)
            paths.append(tmp_path / path.name)
            with pydicom.config.disable_value_validation():
                dataset.save_as(paths[-1])
    (found,) = analysed(paths, tmp_path, tiny_models, measured=False)
    assert found.refusal == ""
    shown = {each.role: each.path for each in found.objects}
    for role in ("super-resolved", "segmentation"):
        assert {f"{role}-{series.lower()}" for series in sequences} < set(shown)
    for role, path in shown.items():
        errors = [line for line in run("dciodvfy", "-new", path).stderr.splitlines() if line.startswith("Error")]
        assert [line for line in errors if "zero" not in kind or not LEADING_ZERO.fullmatch(line)] == [], role
        if role.startswith("segmentation"):
            read = run(
                BINARIES / "segimage2itkimage",
                "--inputDICOM",
                path,
                "--outputDirectory",
                tmp_path,
                "-t",
                "nifti",
                "-p",
                role,
            )
            assert read.returncode == 0, read.stderr
            assert list(tmp_path.glob(f"{role}*.nii.gz"))
    read = run(
        BINARIES / "tid1500reader", "--inputDICOM", shown["report"], "--outputMetadata", tmp_path / "report.json"
    )
    assert read.returncode == 0, read.stderr
    groups = json.loads((tmp_path / "report.json").read_text()).get("Measurements", [])
    assert len(groups) == (0 if kind == "leading_zeros" else len(sequences))
    assert run("dsrdump", "--invalid-item-value", shown["report"]).returncode == 0
    series = tmp_path / "series"
    series.mkdir()
    images = [each.path for each in found.objects if each.role == "super-resolved-t2wi"]
    for path in images:
        shutil.copy(path, series)
    read = run(BINARIES / "dcm2niix", "-f", "t2wi", "-o", tmp_path, series)
    assert read.returncode == 0, read.stdout
    assert "Error" not in read.stdout + read.stderr
    assert (tmp_path / "t2wi.nii").stat().st_size == 352 + 2 * len(images) * 32 * 32
