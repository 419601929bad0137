"""Files of real scanners and systems: what is measured stays, whose it is goes, and nothing becomes invalid."""

from __future__ import annotations

import shutil
import subprocess
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread

from node.deidentification.instance import deidentify
from node.deidentification.kinds import EXPORTED
from node.deidentification.patient import Pseudonym
from node.deidentification.profile import RESEARCH

from .planting import written

WHO = Pseudonym("TRIAL-ABCDEFGH", b"k" * 32, -700)
FOLDERS = [
    "ge_DCE_breast_UCSF-BR-08_8positions_x3phases",
    "philips_Achieva_T2_prostate",
    "philips_Ingenia_DWI_headers_implicit_UN_private",
    "philips_Intera_T1_STS_002_with_RTSTRUCT",
    "philips_enhanced",
    "siemens_TrioTim_ProstateX-0218",
    "siemens_XA30_enhanced",
    "toshiba_Titan_colorectal_CMB-CRC_SCAN_001",
    "uih_uMR770_DTI_AP_b0_b928_VFRAME_mosaic",
]
LARGEST = 3_000_000


def one_of_each_class(folder: Path) -> list[Path]:
    """Of the classes that are exported."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.dcm")):
        if path.stat().st_size < LARGEST:
            found.setdefault(dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID"]).SOPClassUID, path)
    return [path for uid, path in found.items() if uid in EXPORTED]


def errors_of(path: Path) -> set[str]:
    """Faults that dciodvfy finds, without the values that they name."""
    reply = subprocess.run(["dciodvfy", "-new", path], capture_output=True, check=False, timeout=60)
    lines = reply.stderr.decode("utf-8", "replace").splitlines()
    return {line.partition(" = <")[0] for line in lines if line.startswith("Error")}


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools are not installed")
@pytest.mark.parametrize("folder", FOLDERS)
def test_a_real_file_stays_what_it_is_and_tells_nothing_of_whose(shared_data, tmp_path, folder) -> None:
    paths = one_of_each_class(shared_data / folder)
    assert paths
    for path in paths:
        source = dcmread(path)
        content = written(deidentify(path, WHO, RESEARCH))
        made = dcmread(BytesIO(content))
        assert (made.SOPClassUID, made.PatientID) == (source.SOPClassUID, WHO.name)
        assert made.get("PixelData") == source.get("PixelData")
        assert made.get("ImagePositionPatient") == source.get("ImagePositionPatient")
        for keyword in ("PatientID", "AccessionNumber", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            value = str(source.get(keyword) or "")
            assert len(value) < 6 or value.encode() not in content, keyword
        (tmp_path / "made.dcm").write_bytes(content)
        assert errors_of(tmp_path / "made.dcm") - errors_of(path) == set()
