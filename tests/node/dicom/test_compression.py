"""What decodes a transfer syntax is known by name, documented, and installed with the node."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from pydicom import Dataset, FileMetaDataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import JPEG2000, MPEG2MPML, ExplicitVRLittleEndian, JPEGLosslessSV1, MRImageStorage, RLELossless

from node.dicom.codestream import Coded
from node.dicom.compression import COMPRESSIONS, lossy_method, why_undecodable
from node.dicom.contexts import TRANSFER_SYNTAXES, transfer_syntaxes_as_markdown

from ..encoded_images import Encoding, encode

ROOT = Path(__file__).parents[3]
REQUIRED = {
    re.split(r"[<>=!~ ]", each)[0]
    for each in tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
}


def test_the_document_has_the_table_that_the_code_makes() -> None:
    assert transfer_syntaxes_as_markdown() in (ROOT / "docs" / "transfer-syntaxes.md").read_text("utf-8")


def test_what_is_analysed_is_received() -> None:
    assert set(COMPRESSIONS) <= set(TRANSFER_SYNTAXES)


@pytest.mark.parametrize("syntax", COMPRESSIONS)
def test_every_decoder_is_installed_with_the_node(syntax) -> None:
    known = COMPRESSIONS[syntax]
    assert set(known.packages) <= REQUIRED
    assert get_decoder(syntax).is_available
    assert why_undecodable(syntax) == ""


@pytest.mark.parametrize("syntax", [syntax for syntax, known in COMPRESSIONS.items() if known.packages])
def test_the_packages_are_those_that_pydicom_asks_for(syntax) -> None:
    asked = import_module("pydicom.pixels.decoders.pylibjpeg").DECODER_DEPENDENCIES[syntax]
    assert tuple(each.partition(">")[0] for each in asked) == COMPRESSIONS[syntax].packages


def test_what_nothing_decodes_is_said() -> None:
    assert why_undecodable(MPEG2MPML) == why_undecodable("1.2.3") == "cannot be decoded here"


def test_a_missing_package_is_named(tmp_path) -> None:
    """In a process of its own, to which pylibjpeg-libjpeg is not installed."""
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID, image.SOPInstanceUID = MRImageStorage, "1.2.3"
    image.Rows, image.Columns, image.SamplesPerPixel, image.PhotometricInterpretation = 8, 8, 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.add_new("PixelData", "OW", bytes(128))
    encode(image, Encoding(JPEGLosslessSV1)).save_as(tmp_path / "image.dcm", enforce_file_format=True)
    code = f"""
import sys
sys.modules["libjpeg"] = sys.modules["pylibjpeg"] = None
from pydicom import dcmread
from node.errors import Refusal
from node.stored_values.cells import read_cells
try:
    read_cells(dcmread({str(tmp_path / "image.dcm")!r}), 0, "1.2.3")
except Refusal as refusal:
    print(refusal)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert ended.stdout.strip() == (
        f"E-DECODE: 1.2.3: transfer syntax {JPEGLosslessSV1} needs pylibjpeg and pylibjpeg-libjpeg, not installed "
        f"here: pip install pylibjpeg pylibjpeg-libjpeg"
    )


def test_a_syntax_that_allows_both_loses_by_its_wavelet() -> None:
    assert lossy_method(JPEG2000, Coded(4, 4, 1, irreversible=True)) == "ISO_15444_1"
    assert lossy_method(JPEG2000, Coded(4, 4, 1)) == lossy_method(JPEG2000, None) == ""
    assert lossy_method(RLELossless, None) == lossy_method("1.2.3", None) == ""
