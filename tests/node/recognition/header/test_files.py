"""A deflated file costs what of it is read, and is otherwise read as every other."""

from __future__ import annotations

import tracemalloc
import zlib
from pathlib import Path

import pytest
from pydicom import dcmread, dcmwrite
from pydicom.errors import InvalidDicomError
from pydicom.uid import DeflatedExplicitVRLittleEndian

from node.recognition.header.facts import Fault
from node.recognition.header.frames import read_frames
from node.recognition.header.words import words
from node.results.source import read_header
from storage import dicom_files
from storage.catalogue.header import read_entry
from storage.dicom_files import read_dataset
from storage.header import file_meta

VOCABULARY = words()
PIXELS = 50_000_000


@pytest.fixture
def plain(written_by) -> Path:
    return written_by("Skyra").paths[-20]


@pytest.fixture
def deflated(plain, tmp_path) -> Path:
    path = tmp_path / "deflated.dcm"
    image = dcmread(plain)
    image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dcmwrite(path, image)
    return path


@pytest.fixture
def bomb(plain, tmp_path) -> Path:
    """A good header, and pixels that inflate to 50 MB from 50 kB."""
    image = dcmread(plain)
    image.Rows, image.Columns = 1000, PIXELS // 2000
    image.PixelData = b""
    image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    path = tmp_path / "bomb.dcm"
    dcmwrite(path, image)
    data = path.read_bytes()
    _, start = file_meta(data)
    data_set = zlib.decompress(data[start:], -zlib.MAX_WBITS)
    assert data_set.endswith(b"\0\0\0\0")
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = stream.compress(data_set[:-4] + PIXELS.to_bytes(4, "little") + bytes(PIXELS)) + stream.flush()
    path.write_bytes(data[:start] + packed)
    return path


def test_a_deflated_file_is_read_as_the_same_file_not_deflated(plain, deflated):
    assert list(read_dataset(deflated)) == list(dcmread(plain))
    assert read_frames(deflated, VOCABULARY)[0].placement == read_frames(plain, VOCABULARY)[0].placement
    assert read_header(deflated) == read_header(plain)


def test_the_pixels_of_a_deflated_file_are_those_of_the_same_file_not_deflated(plain, deflated):
    assert (read_dataset(deflated).pixel_array == dcmread(plain).pixel_array).all()


@pytest.mark.parametrize(
    "read", [lambda path: read_frames(path, VOCABULARY), read_header, read_entry], ids=["facts", "source", "catalogue"]
)
def test_headers_cost_no_pixels(bomb, read):
    assert bomb.stat().st_size < PIXELS // 500
    tracemalloc.start()
    found = read(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found
    assert not isinstance(found, Fault)
    assert peak < PIXELS // 10


def test_what_inflates_beyond_the_limit_is_not_read(bomb, monkeypatch):
    monkeypatch.setattr(dicom_files, "LARGEST_INFLATED", PIXELS // 2)
    with pytest.raises(InvalidDicomError, match="inflates beyond"):
        read_dataset(bomb)


def test_a_deflated_file_that_is_cut_short_in_its_header_is_a_fault(deflated):
    deflated.write_bytes(deflated.read_bytes()[:1000])
    fault = read_frames(deflated, VOCABULARY)
    assert isinstance(fault, Fault)
    assert fault.code == "E-DECODE"
    assert "cut short" in fault.reason
