"""A compressed frame that is larger than its image is refused before it is decoded, for analysis and for sending."""

from __future__ import annotations

import struct
from io import BytesIO

import numpy as np
import pytest
from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels import compress
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from node.dicom.codestream import Coded, read_codestream
from node.dicom.conversion.convert import convert
from node.dicom.conversion.errors import ConversionError
from node.errors import Refusal
from node.stored_values.cells import read_cells
from storage.header import read_header


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


def codestream(dataset: Dataset) -> bytes:
    return get_frame(dataset.PixelData, 0, number_of_frames=1)


def of_components(dataset: Dataset, count: int) -> None:
    """Let the SIZ segment of JPEG 2000 claim as many components; nothing stands for them."""
    coded = bytearray(codestream(dataset))
    coded[40:42] = struct.pack(">H", count)
    dataset.PixelData = encapsulate([bytes(coded)])


def in_jp2(coded: bytes) -> bytes:
    """A JP2 file of a signature, a box that means nothing here, and the codestream."""
    boxes = ((b"jP  ", b"\r\n\x87\n"), (b"uuid", b"\xff\x4f\xff\x51" + bytes(60)), (b"jp2c", coded))
    return b"".join(struct.pack(">L4s", 8 + len(content), kind) + content for kind, content in boxes)


def test_a_frame_of_more_components_than_its_image_is_refused():
    dataset = image(600, 700, JPEG2000Lossless)
    of_components(dataset, 16384)
    with pytest.raises(Refusal, match=r"E-DECODE: 1\.2\.3: 600 × 700 pixels of 16384 values are coded"):
        read_cells(dataset, 0, "1.2.3")


def test_a_frame_that_does_not_say_how_many_rows_it_has_is_refused():
    dataset = image(60, 70, JPEGLSLossless)
    coded = bytearray(codestream(dataset))
    at = coded.index(b"\xff\xf7")
    coded[at + 5 : at + 7] = b"\0\0"
    dataset.PixelData = encapsulate([bytes(coded)])
    with pytest.raises(Refusal, match=r"E-DECODE: 1\.2\.3: 0 × 70 pixels are coded for an image of 60 × 70"):
        read_cells(dataset, 0, "1.2.3")


def test_an_image_larger_than_any_volume_is_refused_and_not_decoded_though_its_codestream_agrees():
    dataset = image(60, 70, JPEGLSLossless)
    coded = bytearray(codestream(dataset))
    at = coded.index(b"\xff\xf7")
    coded[at + 5 : at + 9] = b"\xff" * 4
    dataset.PixelData = encapsulate([bytes(coded)])
    dataset.Rows = dataset.Columns = 65535
    with pytest.raises(Refusal, match=r"E-DECODE: 1\.2\.3: a frame of 65535 × 65535 pixels is not decoded"):
        read_cells(dataset, 0, "1.2.3")


def test_what_is_no_codestream_is_refused():
    dataset = image(60, 70, JPEGLSLossless)
    dataset.PixelData = encapsulate([b"BM" + bytes(100)])
    with pytest.raises(Refusal, match=r"E-DECODE: 1\.2\.3: no codestream of transfer syntax"):
        read_cells(dataset, 0, "1.2.3")


def test_a_codestream_in_a_jp2_file_counts_by_its_own_size():
    dataset = image(60, 70, JPEG2000Lossless)
    assert read_codestream(in_jp2(codestream(dataset))) == Coded(60, 70, 1)
    assert read_codestream(in_jp2(b"")) is None


@pytest.mark.parametrize("claim", ["rows", "components"])
def test_a_frame_larger_than_its_image_is_not_converted_for_a_receiver(tmp_path, claim):
    dataset = image(600, 700, JPEG2000Lossless)
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.4", "1.2.3.4"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2.3.1"
    if claim == "rows":
        dataset.Rows = 64
    else:
        of_components(dataset, 16384)
    path = tmp_path / "image.dcm"
    dataset.save_as(path, enforce_file_format=True)
    with pytest.raises(ConversionError, match=r"the pixels cannot be decoded: [0-9]+ values in a frame of"):
        convert(path, read_header(path), ExplicitVRLittleEndian, BytesIO())


@pytest.mark.parametrize(("syntax", "said"), [(JPEG2000Lossless, True), (JPEGLSLossless, True), (RLELossless, False)])
def test_the_size_is_read_from_the_codestream(syntax, said):
    assert read_codestream(codestream(image(60, 70, syntax))) == (Coded(60, 70, 1) if said else None)


def test_a_codestream_that_is_cut_short_has_no_size():
    for cut in (b"\xff\x4f\xff\x51\0\0", b"\xff\xd8\xff\xe0\0\x10", b"\xff\xd8", b"\xff\xd8\xff\xff\xff"):
        with pytest.raises(struct.error):
            read_codestream(cut)
    assert read_codestream(b"\xff\xd8garbage of any kind") is None


def test_bytes_that_fill_up_to_a_marker_count_for_nothing():
    plain = codestream(image(60, 70, JPEGLSLossless))
    assert read_codestream(plain[:2] + b"\xff\xff\xff" + plain[2:]) == Coded(60, 70, 1)


def test_the_size_in_real_files_is_that_of_the_image(shared_data):
    known = 0
    for path in sorted((shared_data / "transfer_syntaxes").rglob("*.dcm")):
        dataset = dcmread(path)
        if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            coded = read_codestream(codestream(dataset))
            assert coded in (None, Coded(dataset.Rows, dataset.Columns, 1))
            known += coded is not None
    assert known >= 4
