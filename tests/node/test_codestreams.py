"""A compressed frame that is larger than its image is refused before it is decoded."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.encaps import get_frame
from pydicom.pixels import compress
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from node.errors import Refusal
from node.stored_values.cells import read_cells
from node.stored_values.codestream import size_of


def image(rows: int, columns: int, syntax: str) -> Dataset:
    """A black image in a compressed transfer syntax."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.Rows, dataset.Columns = rows, columns
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.add_new("PixelData", "OW", np.zeros((rows, columns), "<u2").tobytes())
    compress(dataset, syntax)
    return dataset


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
def test_a_frame_larger_than_its_image_is_refused(syntax):
    dataset = image(600, 700, syntax)
    assert read_cells(dataset, 0, "1.2.3").values.shape == (600, 700)
    dataset.Rows, dataset.Columns = 64, 64
    with pytest.raises(Refusal, match=r"E-DECODE: 1\.2\.3: 600 × 700 pixels are coded for an image of 64 × 64"):
        read_cells(dataset, 0, "1.2.3")


@pytest.mark.parametrize(("syntax", "said"), [(JPEG2000Lossless, True), (JPEGLSLossless, True), (RLELossless, False)])
def test_the_size_is_read_from_the_codestream(syntax, said):
    dataset = image(60, 70, syntax)
    assert size_of(get_frame(dataset.PixelData, 0, number_of_frames=1)) == ((60, 70) if said else None)


def test_a_codestream_that_is_cut_short_has_no_size():
    for codestream in (b"\xff\x4f\xff\x51\0\0", b"\xff\xd8\xff\xe0\0\x10", b"\xff\xd8"):
        with pytest.raises(struct.error):
            size_of(codestream)
    assert size_of(b"\xff\xd8garbage of any kind") is None


def test_the_size_in_real_files_is_that_of_the_image(shared_data):
    known = 0
    for path in sorted((shared_data / "transfer_syntaxes").rglob("*.dcm")):
        dataset = dcmread(path)
        if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            size = size_of(get_frame(dataset.PixelData, 0, number_of_frames=1))
            assert size in (None, (dataset.Rows, dataset.Columns))
            known += size is not None
    assert known >= 4
