"""Images in every transfer syntax of MR come by STOW-RS, lie here unchanged, and go as files, frames and pictures."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from ..encoded_images import ENCODINGS, NATIVE, encode, plain
from .conftest import an_image, running_web
from .test_stow import a_message, post
from .test_wado import FILES, OCTETS, parts

FRAMES, ROWS, COLUMNS = 3, 32, 40
MEDIA_TYPES = {
    **dict.fromkeys(("50", "51", "57", "70"), "image/jpeg"),
    **dict.fromkeys(("80", "81"), "image/jls"),
    **dict.fromkeys(("90", "91"), "image/jp2"),
    **dict.fromkeys(("201", "202", "203"), "image/jphc"),
    "1.2.840.10008.1.2.5": "image/dicom-rle",
}


def an_image_of_frames() -> Dataset:
    """Three smooth frames of 12 bits."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    frames = np.stack([(1000 + 900 * np.sin(x / 7 + k) * np.cos(y / 9)).astype(np.uint16) for k in range(FRAMES)])
    changes = {"Rows": ROWS, "Columns": COLUMNS, "NumberOfFrames": FRAMES, "BitsStored": 12, "HighBit": 11}
    return dcmread(io.BytesIO(an_image(1, PixelData=frames.tobytes(), **changes)))


def as_file(image: Dataset) -> bytes:
    syntax = image.file_meta.TransferSyntaxUID
    made = Dataset()
    for element in image:  # as values, which can be written in either byte order
        made.add(element)
    made.file_meta = image.file_meta
    out = io.BytesIO()
    order = {"implicit_vr": syntax == ImplicitVRLittleEndian, "little_endian": syntax != ExplicitVRBigEndian}
    dcmwrite(out, made, enforce_file_format=True, **order)
    return out.getvalue()


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    """A service with an image in each transfer syntax, the number of a study for each."""
    with running_web(tmp_path_factory.mktemp("web")) as found:
        for number, encoding in enumerate(ENCODINGS):
            made = encode(an_image_of_frames(), encoding)
            made.StudyInstanceUID, made.SeriesInstanceUID = f"1.2.{number}", f"1.2.{number}.1"
            made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = f"1.2.{number}.1.1"
            answer = post(found, a_message(as_file(made)))
            assert answer.status_code == 200, (encoding, answer.text)
        yield found


numbered = pytest.mark.parametrize(("number", "encoding"), list(enumerate(ENCODINGS)), ids=str)


def place(number):
    return f"/studies/1.2.{number}/series/1.2.{number}.1/instances/1.2.{number}.1.1"


def wanted(encoding):
    """Values of the frames before they were encoded."""
    return plain(an_image_of_frames(), encoding).pixel_array.astype(np.int64)


@numbered
def test_as_it_is_stored_it_is_what_was_sent(web, number, encoding):
    ((media_type, data),) = parts(web.get(place(number), FILES + "; transfer-syntax=*"))
    (stored,) = (web.files.root / "objects" / f"1.2.{number}").rglob("*.dcm")
    never_sent = encoding.uid in (ImplicitVRLittleEndian, ExplicitVRBigEndian)
    given = ExplicitVRLittleEndian if never_sent else encoding.uid
    assert media_type == f"application/dicom; transfer-syntax={given}"
    assert never_sent or data == stored.read_bytes()


@numbered
def test_a_file_in_explicit_vr_has_its_values(web, number, encoding):
    ((_, data),) = parts(web.get(place(number), FILES))
    read = dcmread(io.BytesIO(data))
    assert read.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert np.abs(read.pixel_array.astype(np.int64) - wanted(encoding)).max() <= encoding.largest_error


@numbered
def test_frames_come_decoded_in_the_order_that_is_asked_for(web, number, encoding):
    found = parts(web.get(f"{place(number)}/frames/3,1", OCTETS))
    dtype = "<u1" if encoding.bits == 8 else "<u2"
    frames = [np.frombuffer(data, dtype).reshape(ROWS, COLUMNS).astype(np.int64) for _, data in found]
    expected = wanted(encoding)[[2, 0]]
    assert np.abs(np.stack(frames) - expected).max() <= encoding.largest_error


@pytest.mark.parametrize(
    ("number", "encoding"), [it for it in enumerate(ENCODINGS) if it[1].uid not in NATIVE], ids=str
)
def test_compressed_frames_come_in_their_own_media_type(web, number, encoding):
    name = MEDIA_TYPES.get(encoding.uid.rpartition(".")[2]) or MEDIA_TYPES[encoding.uid]
    ((media_type, frame),) = parts(web.get(f"{place(number)}/frames/2", f'multipart/related; type="{name}"'))
    assert media_type == f"{name}; transfer-syntax={encoding.uid}"
    assert frame in encode(an_image_of_frames(), encoding).PixelData
    bulk = parts(web.get(f"{place(number)}/bulkdata/7FE00010", f'multipart/related; type="{name}"'))
    assert (len(bulk), bulk[1][1]) == (FRAMES, frame)
    assert web.get(f"{place(number)}/frames/2", 'multipart/related; type="image/gif"').status_code == 406


@numbered
def test_it_is_rendered(web, number, encoding):
    """The brightest place of the picture is that of the values."""
    picture = np.asarray(Image.open(io.BytesIO(web.get(f"{place(number)}/frames/1/rendered", "image/png").content)))
    assert picture.shape == (ROWS, COLUMNS)
    values = wanted(encoding)[0]
    assert values[picture == picture.max()].min() >= values.max() - 4 * max(encoding.largest_error, 8)


@numbered
def test_its_metadata_are_read_in_any_transfer_syntax(web, number, encoding):
    (model,) = web.get(f"{place(number)}/metadata").json()
    assert model["00280008"]["Value"] == [FRAMES]
    assert model["00100010"]["Value"] == [{"Alphabetic": "Muster^Erika"}]
    assert model["7FE00010"]["BulkDataURI"].endswith("/bulkdata/7FE00010")
