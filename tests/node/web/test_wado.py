"""WADO-RS on a real socket: files, metadata, frames, bulk data and pictures (PS3.18 10.4)."""

from __future__ import annotations

import io
from email.parser import BytesParser

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    RLELossless,
)

from node.web.objects import WebObjects
from storage.audit import Audit, AuditEvent

from ...storage.house import a_file
from .conftest import COLUMNS, ROWS, an_image, running_web

INSTANCE = "/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1"
MR = str(MRImageStorage)
FILES = 'multipart/related; type="application/dicom"'
OCTETS = 'multipart/related; type="application/octet-stream"'


def parts(answer):
    """Media type and bytes of each part of a multipart answer, by another reader of such messages."""
    head = f"Content-Type: {answer.headers['Content-Type']}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + answer.content)
    return [(part["Content-Type"], part.get_payload(decode=True)) for part in message.get_payload()]


def in_syntax(syntax, number=1, study="1.2.3", **values):
    data = dcmread(io.BytesIO(an_image(number, 1, study, **values)))
    if syntax == RLELossless:
        data.compress(RLELossless, generate_instance_uid=False)
    data.file_meta.TransferSyntaxUID = syntax
    out = io.BytesIO()
    data.save_as(out, enforce_file_format=True, little_endian=syntax != ExplicitVRBigEndian)
    return out.getvalue()


def a_one_bit_image():
    """Three frames of 3 times 3 pixels of one bit, which do not begin with a byte each."""
    bits = np.zeros((3, 3, 3), np.uint8)
    bits[0, 0, 0] = bits[1, 1, 1] = bits[2, 2, 2] = 1
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
    return an_image(1, 1, "1.2.4", Rows=3, Columns=3, NumberOfFrames=3, BitsAllocated=1, BitsStored=1, HighBit=0,
                    PixelData=packed)  # fmt: skip


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    with running_web(tmp_path_factory.mktemp("web")) as found:
        rows = [bytes([low, 1]) for low in range(ROWS * COLUMNS)]
        window = {"WindowCenter": 13, "WindowWidth": 24}
        found.receive(
            an_image(1, 1, **window, ImageComments="Müller", PatientName="Wang^XiaoDong=王^小东"),
            an_image(2, 1),
            an_image(1, 2),
            a_one_bit_image(),
            in_syntax(RLELossless, 1, "1.2.5", NumberOfFrames=2, PixelData=b"".join(rows) * 2),
            in_syntax(ImplicitVRLittleEndian, 1, "1.2.6"),
        )
        yield found


@pytest.mark.parametrize(
    ("path", "count"),
    [("/studies/1.2.3", 3), ("/studies/1.2.3/series/1.2.3.1", 2), (INSTANCE, 1)],
)
def test_a_study_a_series_or_an_instance_comes_as_files(web, path, count):
    found = parts(web.get(path, FILES))
    assert {name for name, _ in found} == {"application/dicom; transfer-syntax=1.2.840.10008.1.2.1"}
    read = [dcmread(io.BytesIO(data)) for _, data in found]
    assert len({each.SOPInstanceUID for each in read}) == count


def test_an_object_comes_byte_for_byte_as_it_is_stored(web):
    stored = {path.read_bytes() for path in (web.files.root / "objects" / "1.2.3").rglob("*.dcm")}
    assert {data for _, data in parts(web.get("/studies/1.2.3", FILES + "; transfer-syntax=*"))} == stored


@pytest.mark.parametrize(
    ("study", "asked", "given"),
    [
        ("1.2.5", "*", RLELossless),
        ("1.2.5", RLELossless, RLELossless),
        ("1.2.5", "", ExplicitVRLittleEndian),
        ("1.2.6", "", ExplicitVRLittleEndian),
        ("1.2.6", "*", ExplicitVRLittleEndian),
    ],
)
def test_the_transfer_syntax_is_that_which_is_accepted(web, study, asked, given):
    """Implicit VR is never sent (PS3.18 8.7.3.5.2)."""
    accept = FILES + (f"; transfer-syntax={asked}" if asked else "")
    ((media_type, data),) = parts(web.get(f"/studies/{study}", accept))
    assert media_type == f"application/dicom; transfer-syntax={given}"
    read = dcmread(io.BytesIO(data))
    assert read.file_meta.TransferSyntaxUID == given
    assert read.pixel_array.shape[-2:] == (ROWS, COLUMNS)


def test_a_transfer_syntax_that_cannot_be_had_is_not_acceptable(web):
    assert web.get(INSTANCE, FILES + "; transfer-syntax=1.2.840.10008.1.2.4.90").status_code == 406
    assert web.get(INSTANCE, "image/png").status_code == 406


def test_one_file_can_come_without_a_message_around_it_and_need_not_come_twice(web):
    answer = web.get(INSTANCE, "application/dicom; transfer-syntax=*")
    assert dcmread(io.BytesIO(answer.content)).SOPInstanceUID == "1.2.3.1.1"
    same = {"If-None-Match": answer.headers["ETag"]}
    assert web.get(INSTANCE, "application/dicom; transfer-syntax=*", headers=same).status_code == 304


def test_metadata_have_the_text_and_the_address_of_the_pixels(web):
    (model,) = web.get(f"{INSTANCE}/metadata").json()
    assert model["00100010"]["Value"] == [{"Alphabetic": "Wang^XiaoDong", "Ideographic": "王^小东"}]
    assert model["00204000"]["Value"] == ["Müller"]
    assert model["00281050"] == {"vr": "DS", "Value": [13.0]}
    assert model["7FE00010"] == {"vr": "OW", "BulkDataURI": f"{web.url}{INSTANCE}/bulkdata/7FE00010"}
    assert not any(tag.startswith("0002") for tag in model)


@pytest.mark.parametrize(("path", "count"), [("/studies/1.2.3", 3), ("/studies/1.2.3/series/1.2.3.2", 1)])
def test_metadata_are_there_at_each_level(web, path, count):
    answer = web.get(f"{path}/metadata", "application/dicom+json")
    models = [Dataset.from_json(each) for each in answer.json()]
    assert len(models) == count
    assert {each.StudyInstanceUID for each in models} == {"1.2.3"}
    assert web.get(f"{path}/metadata", 'multipart/related; type="application/dicom+xml"').status_code == 406


def test_a_long_binary_value_is_told_by_its_address_in_items_too(start):
    web = start()
    item = Dataset()
    item.ICCProfile = bytes(range(256)) * 8
    data = dcmread(io.BytesIO(an_image(1, 1, "1.2.7")))
    data.OpticalPathSequence = [item]
    out = io.BytesIO()
    data.save_as(out, enforce_file_format=True)
    web.receive(out.getvalue())
    (model,) = web.get("/studies/1.2.7/metadata").json()
    address = model["00480105"]["Value"][0]["00282000"]["BulkDataURI"].removeprefix(web.url)
    assert web.get(address, "application/octet-stream").content == item.ICCProfile
    assert parts(web.get(address, OCTETS))[0][1] == item.ICCProfile


@pytest.mark.parametrize("accept", [OCTETS, OCTETS + "; transfer-syntax=*", 'multipart/related; type="*/*"'])
def test_frames_come_as_they_are_in_the_image(web, accept):
    """As OHIF and dicomweb-client ask for them."""
    ((_, frame),) = parts(web.get(f"{INSTANCE}/frames/1", accept))
    assert np.frombuffer(frame, "<u2").tolist() == list(range(1, 1 + ROWS * COLUMNS))


def test_frames_of_one_bit_begin_with_a_byte_each(web):
    found = parts(web.get("/studies/1.2.4/series/1.2.4.1/instances/1.2.4.1.1/frames/1,2,3", OCTETS))
    frames = [np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[:9] for _, data in found]
    assert [int(frame.argmax()) for frame in frames] == [0, 4, 8]
    assert [int(frame.sum()) for frame in frames] == [1, 1, 1]


def test_compressed_frames_come_decoded_or_as_they_are_stored(web):
    path = "/studies/1.2.5/series/1.2.5.1/instances/1.2.5.1.1/frames/2"
    ((decoded_type, decoded),) = parts(web.get(path, OCTETS))
    assert decoded == b"".join(bytes([low, 1]) for low in range(ROWS * COLUMNS))
    ((_, stored),) = parts(web.get(path, OCTETS + "; transfer-syntax=*"))
    ((image_type, image),) = parts(web.get(path, 'multipart/related; type="image/dicom-rle"'))
    assert stored == image != decoded
    assert decoded_type == "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"
    assert image_type == "image/dicom-rle; transfer-syntax=1.2.840.10008.1.2.5"


@pytest.mark.parametrize(
    ("frames", "status"), [("0", 400), ("x", 400), ("1,", 400), ("2", 404), ("1", 200), ("1,1", 200)]
)
def test_a_frame_that_is_not_there_is_said(web, frames, status):
    assert web.get(f"{INSTANCE}/frames/{frames}", OCTETS).status_code == status


def test_bulk_data_come_whole_or_in_ranges(web):
    whole = web.get(f"{INSTANCE}/bulkdata/7FE00010", "application/octet-stream")
    assert np.frombuffer(whole.content, "<u2").tolist() == list(range(1, 1 + ROWS * COLUMNS))
    some = web.get(f"{INSTANCE}/bulkdata/7FE00010", "*/*", headers={"Range": "bytes=2-5"})
    assert (some.status_code, some.content) == (206, whole.content[2:6])
    assert some.headers["Content-Range"] == f"bytes 2-5/{len(whole.content)}"
    beyond = web.get(f"{INSTANCE}/bulkdata/7FE00010", "*/*", headers={"Range": "bytes=900-"})
    assert beyond.status_code == 416
    assert web.get(f"{INSTANCE}/bulkdata/00100010").status_code == 404


def grey(answer):
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def test_an_image_is_rendered_by_its_own_window(web):
    """Width 24 around 13 covers all of its values, which rise from 1 to 24."""
    answer = web.get(f"{INSTANCE}/rendered", "image/png")
    picture = grey(answer)
    assert answer.headers["Content-Type"] == "image/png"
    assert picture.shape == (ROWS, COLUMNS)
    assert picture.ravel().tolist() == sorted(picture.ravel().tolist())
    assert (picture.min(), picture.max()) == (0, 255)


def test_colours_are_rendered_as_they_are(start):
    web = start()
    colours = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]
    image = {
        "SamplesPerPixel": 3,
        "PhotometricInterpretation": "RGB",
        "PlanarConfiguration": 0,
        "Rows": 2,
        "Columns": 2,
    }
    depth = {
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelData": bytes(it for each in colours for it in each),
    }
    web.receive(an_image(1, 1, "1.2.9", **image, **depth))
    picture = grey(web.get("/studies/1.2.9/series/1.2.9.1/rendered", "image/png"))
    assert picture.reshape(-1, 3).tolist() == colours


def test_an_object_without_pixels_has_no_picture_and_a_pdf_is_given(start):
    web = start()
    web.receive(
        a_file(1, 1, "1.2.9"),
        a_file(1, 1, "1.2.8", EncapsulatedDocument=b"%PDF-1.4 x", MIMETypeOfEncapsulatedDocument="application/pdf"),
    )
    assert web.get("/studies/1.2.9/series/1.2.9.1/rendered").status_code == 404
    answer = web.get("/studies/1.2.8/series/1.2.8.1/rendered")
    assert (answer.headers["Content-Type"], answer.content) == ("application/pdf", b"%PDF-1.4 x")
    assert web.get("/studies/1.2.8/series/1.2.8.1/rendered", "image/png").status_code == 406


def test_the_request_chooses_window_size_and_quality(web):
    narrow = grey(web.get(f"{INSTANCE}/rendered?window=5,2,linear", "image/png"))
    assert set(np.unique(narrow)) <= {0, 128, 255, 127}
    assert (narrow == 0).sum() == 4
    large = grey(web.get(f"{INSTANCE}/frames/1/rendered?viewport=60,60&quality=50", "image/jpeg"))
    assert large.shape == (40, 60)
    assert grey(web.get(f"{INSTANCE}/thumbnail")).shape[1] == 200


@pytest.mark.parametrize("query", ["window=1", "window=a,b,linear", "viewport=0,1", "viewport=1", "quality=101"])
def test_a_malformed_view_is_refused(web, query):
    assert web.get(f"{INSTANCE}/rendered?{query}").status_code == 400


def test_what_is_not_here_is_not_found(web):
    for path in ("/studies/1.9", "/studies/1.9/metadata", f"{INSTANCE}9", "/studies/1.2.3/series/1.2.4.1", "/nothing"):
        assert web.get(path).status_code == 404, path
    assert web.get("/studies/1.x").status_code == 400


@pytest.mark.parametrize("path", ["", "/metadata", "/frames/1", "/bulkdata/7FE00010", "/rendered"])
def test_of_a_file_that_is_damaged_the_caller_is_told(start, path):
    web = start()
    web.receive(an_image(1, 1, "1.2.9"))
    (file,) = (web.files.root / "objects").rglob("*.dcm")
    file.write_bytes(b"no DICOM" if path == "/metadata" else file.read_bytes()[:-10])
    answer = web.get(f"/studies/1.2.9/series/1.2.9.1/instances/1.2.9.1.1{path}")
    assert (answer.status_code, answer.text) == (500, "a stored file cannot be read\n")


def test_a_damaged_file_behind_others_ends_the_answer_early(start):
    """The whole answer would say that what came is the study."""
    web = start()
    web.receive(an_image(1, 1, "1.2.9"), an_image(2, 1, "1.2.9"))
    *_, path = sorted((web.files.root / "objects").rglob("*.dcm"))
    path.write_bytes(b"no DICOM")
    assert len(web.get("/studies/1.2.9/metadata").json()) == 1
    with pytest.raises(OSError, match=r"[Cc]onnection|[Ii]ncomplete|[Pp]rematurely"):
        web.get("/studies/1.2.9", FILES)


def test_nobody_can_remove_a_study_while_it_is_sent(web):
    sent = WebObjects(web.engine, web.files).served("1.2.3", iter([b"one", b"two"]))
    assert next(sent) == b"one"
    with web.files.locks.alone("1.2.3") as alone:
        assert not alone
    assert list(sent) == [b"two"]
    with web.files.locks.alone("1.2.3") as alone:
        assert alone


def on_record(web) -> list[AuditEvent]:
    """What was sent, as it stands on record when the service has stopped."""
    web.server.stop()
    return [it for _, it in Audit(web.engine).after(0, 100)]


def test_what_was_sent_before_a_damaged_file_is_on_record(start):
    web = start()
    web.receive(an_image(1, 1, "1.2.9"), an_image(2, 1, "1.2.9"))
    *_, path = sorted((web.files.root / "objects").rglob("*.dcm"))
    path.write_bytes(b"no DICOM")
    with pytest.raises(OSError, match=r"[Cc]onnection|[Ii]ncomplete|[Pp]rematurely"):
        web.get("/studies/1.2.9", FILES)
    (event,) = on_record(web)
    assert (event.succeeded, event.study_instance_uid, event.patient_id) == (False, "1.2.9", "P1")
    assert event.detail.startswith("broken off after ")
    assert event.facts.sop_classes == {MR: 1}


def test_a_caller_that_breaks_off_has_not_had_all(start):
    web = start()
    web.receive(*(an_image(number, 1, "1.2.9", PixelData=bytes(4_000_000)) for number in range(1, 7)))
    with web.get("/studies/1.2.9", FILES, stream=True) as answer:
        assert answer.raw.read(1000)
    (event,) = on_record(web)
    assert (event.succeeded, event.study_instance_uid) == (False, "1.2.9")
    assert event.facts.sop_classes.get(MR, 0) < 6


def test_what_came_whole_is_on_record_with_its_classes_and_what_is_not_here_is_not(start):
    web = start()
    web.receive(an_image(1, 1, "1.2.9"), an_image(2, 1, "1.2.9"))
    assert web.get("/studies/1.2.9", FILES).status_code == 200
    assert web.get("/studies/1.2.8", FILES).status_code == 404
    (event,) = on_record(web)
    assert (event.succeeded, event.detail, event.facts.sop_classes) == (True, "", {MR: 2})
