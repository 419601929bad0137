"""Results in the transfer syntax of a receiver that takes only Implicit VR Little Endian, and back."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import split_dataset

from node.dicom.conversion.convert import convert
from storage.header import read_header


def data_set_of(path: Path) -> bytes:
    return path.read_bytes()[split_dataset(path)[1] :]


def converted(source: Path, target: str, path: Path) -> Path:
    with path.open("wb") as out:
        convert(source, read_header(source), target, out)
    return path


def by_dcmtk(source: Path, option: str, path: Path) -> Path:
    assert shutil.which("dcmconv"), "DCMTK is missing: `make tools` installs it"
    call = ["dcmconv", option, "-e", "-g", str(source), str(path)]  # undefined lengths, no group lengths
    subprocess.run(call, check=True, capture_output=True, timeout=60)
    return path


def test_results_of_every_kind_come_out_as_from_dcmtk_byte_for_byte(siemens, tmp_path):
    one_of_each = {made.role: made.path for made in siemens.objects}
    kinds = {read_header(path).sop_class_uid for path in one_of_each.values()}
    assert len(kinds) >= 5  # MR, SEG, SR, secondary capture, PDF
    for role, path in one_of_each.items():
        implicit = converted(path, ImplicitVRLittleEndian, tmp_path / "implicit.dcm")
        assert data_set_of(implicit) == data_set_of(by_dcmtk(path, "+ti", tmp_path / "dcmtk-implicit.dcm")), role
        explicit = converted(implicit, ExplicitVRLittleEndian, tmp_path / "explicit.dcm")
        assert data_set_of(explicit) == data_set_of(by_dcmtk(implicit, "+te", tmp_path / "dcmtk-explicit.dcm")), role
