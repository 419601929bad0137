"""The walk over a data set: the index's elements in every encoding, and what it refuses."""

from __future__ import annotations

import io
import tracemalloc
import zlib

import pytest
from pydicom import Dataset, FileMetaDataset, dcmread, dcmwrite
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    MRImageStorage,
)

from storage.errors import HeaderError
from storage.header import check_uid, content_of, read_header
from storage.records import InstanceHeader

PREAMBLE = 132
ENCODINGS = [
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    JPEGBaseline8Bit,
]


def a_file(syntax=ExplicitVRLittleEndian, undefined_lengths: bool = True, **changed: str) -> bytes:
    """A small image with nested sequences; `undefined_lengths` for sequences and items alike."""
    inner, outer, image = Dataset(), Dataset(), Dataset()
    inner.CodeValue = "113076"
    outer.PurposeOfReferenceCodeSequence = Sequence([inner])
    outer.ReferencedSOPInstanceUID = "1.2.3.99"
    image.SOPClassUID, image.SOPInstanceUID = MRImageStorage, "1.2.3.4.5"
    image.SourceImageSequence = Sequence([outer, outer])
    image.StudyInstanceUID, image.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    image.Rows = image.Columns = 4
    image.BitsAllocated = 16
    pixels = bytes(range(32))
    compressed = syntax.is_encapsulated
    image.PixelData = encapsulate([pixels, pixels]) if compressed else pixels
    image["PixelData"].VR = "OB" if compressed else "OW"
    image["PixelData"].is_undefined_length = compressed
    for sequence in (image["SourceImageSequence"], outer["PurposeOfReferenceCodeSequence"]):
        sequence.is_undefined_length = undefined_lengths
        for item in sequence.value:
            item.is_undefined_length_sequence_item = undefined_lengths
    for keyword, value in changed.items():
        setattr(image, keyword, value)
        if value is None:
            delattr(image, keyword)
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = syntax
    image.file_meta.MediaStorageSOPClassUID = MRImageStorage
    image.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.5"
    buffer = io.BytesIO()
    dcmwrite(buffer, image, enforce_file_format=True, little_endian=syntax.is_little_endian)
    return buffer.getvalue()


def start_of_data_set(data: bytes) -> int:
    return PREAMBLE + 12 + int.from_bytes(data[PREAMBLE + 8 : PREAMBLE + 12], "little")


@pytest.mark.parametrize("undefined_lengths", [True, False])
@pytest.mark.parametrize("syntax", ENCODINGS, ids=lambda uid: uid.name)
def test_the_elements_are_found_in_every_encoding(tmp_path, syntax, undefined_lengths):
    data = a_file(syntax, undefined_lengths)
    expected = InstanceHeader(MRImageStorage, "1.2.3.4.5", "1.2.3", "1.2.3.4", syntax)
    path = tmp_path / "image.dcm"
    path.write_bytes(data)
    assert read_header(data) == expected
    assert read_header(path) == expected


@pytest.mark.parametrize("undefined_lengths", [True, False])
@pytest.mark.parametrize("syntax", ENCODINGS, ids=lambda uid: uid.name)
def test_a_data_set_cut_anywhere_is_refused_unless_the_cut_is_between_two_elements(syntax, undefined_lengths):
    """A cut between top-level elements leaves a valid, shorter data set (no length is written anywhere for it):
    it is refused only while an element that the index needs is missing."""
    data = a_file(syntax, undefined_lengths)
    accepted = []
    for end in range(start_of_data_set(data) + 1, len(data)):
        try:
            read_header(data[:end])
        except HeaderError:
            continue
        accepted.append(data[:end])
    if syntax == DeflatedExplicitVRLittleEndian:
        assert len(accepted) <= 1  # only the pad byte at the end may be missing
    assert len(accepted) <= 4  # after Series Instance UID, Rows, Columns and BitsAllocated
    for shorter in accepted:
        assert dcmread(io.BytesIO(shorter)).SeriesInstanceUID == "1.2.3.4"


def test_the_message_says_what_is_cut():
    with pytest.raises(HeaderError, match=r"cut short: \(7FE0,0010\) has a length of 32 bytes and 22 are there"):
        read_header(a_file()[:-10])


def test_a_deflated_data_set_that_is_cut_is_refused():
    with pytest.raises(HeaderError, match="deflated data set is cut short"):
        read_header(a_file(DeflatedExplicitVRLittleEndian)[:-6])


def test_bytes_that_are_not_deflated_are_refused():
    data = a_file(DeflatedExplicitVRLittleEndian)
    with pytest.raises(HeaderError, match="cannot be inflated"):
        read_header(data[: start_of_data_set(data)] + b"\xff" * 100)


def deflated_file(inflated: bytes) -> bytes:
    data = a_file(DeflatedExplicitVRLittleEndian)
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return data[: start_of_data_set(data)] + stream.compress(inflated) + stream.flush()


def inflated_data_set() -> bytes:
    data = a_file(DeflatedExplicitVRLittleEndian)
    return zlib.decompress(data[start_of_data_set(data) :], -zlib.MAX_WBITS)


def test_a_data_set_that_inflates_beyond_the_limit_is_refused():
    data = deflated_file(inflated_data_set() + bytes(100_000))
    assert read_header(data).sop_instance_uid == "1.2.3.4.5"
    with pytest.raises(HeaderError, match="inflates beyond"):
        read_header(data, maximum_inflated=100_000)


@pytest.mark.parametrize("tail", ["pixels", "zero bytes"])
def test_a_deflated_data_set_is_never_held_whole(tail):
    """20 MB in 20 kB, as one long value and as nothing at all: a walk to the end needs no memory."""
    size = 20_000_000
    element = b"\xe0\x7f\x10\x00OW\0\0" + size.to_bytes(4, "little") if tail == "pixels" else b""
    data = deflated_file(inflated_data_set() + element + bytes(size))
    tracemalloc.start()
    assert read_header(data).sop_instance_uid == "1.2.3.4.5"
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_a_long_value_of_a_deflated_data_set_must_be_there_to_its_end():
    element = b"\xe0\x7f\x10\x00OW\0\0" + (1_000_000).to_bytes(4, "little")
    with pytest.raises(HeaderError, match=r"\(7FE0,0010\) has a length of 1000000 bytes and 999990 are there"):
        read_header(deflated_file(inflated_data_set() + element + bytes(999_990)))


def test_a_data_set_of_nothing_but_tiny_elements_is_refused(monkeypatch):
    monkeypatch.setattr("storage.inflation.MAXIMUM_READS", 1000)
    with pytest.raises(HeaderError, match="more than 1000 elements"):
        read_header(a_file() + b"\xfe\x7f\x10\x00OB\0\0\0\0\0\0" * 1000)


def test_a_long_value_in_the_place_of_a_uid_is_not_read():
    data = a_file(SOPInstanceUID=None) + b"\x08\x00\x18\x00UN\0\0" + (5_000_000).to_bytes(4, "little")
    with pytest.raises(HeaderError, match=r"\(0008,0018\) has a length of 5000000 bytes"):
        read_header(data + b"1" * 5_000_000)


# --- what senders append


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 126, 70_000, 131_074])
@pytest.mark.parametrize("syntax", ENCODINGS, ids=lambda uid: uid.name)
def test_zero_bytes_after_the_last_element_are_tolerated(syntax, count):
    zeros = bytes(count + count % 2 if syntax == ExplicitVRBigEndian else count)
    if syntax == DeflatedExplicitVRLittleEndian:
        data = deflated_file(inflated_data_set() + zeros)
    else:
        data = a_file(syntax) + zeros
    assert read_header(data).sop_instance_uid == "1.2.3.4.5"


def test_a_trailing_padding_element_is_tolerated():
    padding = b"\xfc\xff\xfc\xffOB\0\0\x04\0\0\0\0\0\0\0"
    assert read_header(a_file() + padding).sop_instance_uid == "1.2.3.4.5"


@pytest.mark.parametrize("tail", [b"\0\0\1", b"\0" * 126 + b"\1", b" ", b" " * 126])
def test_other_bytes_after_the_last_element_are_refused(tail):
    with pytest.raises(HeaderError, match="cut short"):
        read_header(a_file() + tail)


@pytest.mark.parametrize("data", [b"", b"no DICOM at all", bytes(200), b"\x89PNG" + bytes(500)])
def test_what_is_no_dicom_file_is_refused(tmp_path, data):
    path = tmp_path / "file"
    path.write_bytes(data)
    for source in (data, path):
        with pytest.raises(HeaderError, match="no DICM prefix"):
            read_header(source)


def test_text_after_good_file_meta_is_refused():
    data = a_file()
    with pytest.raises(HeaderError):
        read_header(data[: start_of_data_set(data)] + b"This is a letter and not a data set. " * 40)


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_an_element_that_the_index_needs_must_be_there(keyword):
    with pytest.raises(HeaderError, match="the data set has no"):
        read_header(a_file(**{keyword: None}))


def test_an_element_of_an_item_does_not_count_for_the_data_set():
    data = a_file(SOPInstanceUID=None, ReferencedSOPInstanceUID="1.2.3")
    with pytest.raises(HeaderError, match="no SOP Instance UID"):
        read_header(data)


@pytest.mark.parametrize("uid", ["", "../../etc/passwd", "1..2", "1.2.", ".1", "1/2", "1.2\n", "a", "1" * 65, "1.2\\3"])
def test_only_uids_become_file_names(uid):
    with pytest.raises(HeaderError, match="is not a UID"):
        check_uid(uid, "SOP Instance UID")


def test_a_name_in_the_place_of_a_uid_is_not_repeated():
    for value in ("Seeded^Name", "Seeded^Name" * 10):
        with pytest.raises(HeaderError) as refusal:
            check_uid(value, "Study Instance UID")
        assert "Seeded" not in str(refusal.value)


def test_an_escaping_uid_in_a_data_set_is_refused():
    good, bad = b"1.2.3.4.5\0", b"../../etc\0"
    assert len(good) == len(bad)
    with pytest.raises(HeaderError, match="SOP Instance UID is not a UID"):
        read_header(a_file().replace(good, bad))


def test_a_leading_zero_in_a_uid_is_tolerated():
    assert check_uid("1.02.3", "any") == "1.02.3"


def test_sequences_nested_without_end_are_refused_and_not_followed():
    data = a_file()
    item = bytes.fromhex("0800 4011") + b"SQ\0\0\xff\xff\xff\xff" + bytes.fromhex("feff00e0 ffffffff")
    with pytest.raises(HeaderError, match="nested deeper"):
        read_header(data + item * 5000)


def test_the_digest_is_that_of_the_data_set_alone():
    """Another implementation writes another file meta: the same object all the same."""
    data = a_file()
    image = dcmread(io.BytesIO(data))
    image.file_meta.ImplementationVersionName = "SOMEBODY_ELSE"
    buffer = io.BytesIO()
    dcmwrite(buffer, image)
    other = buffer.getvalue()
    assert other != data
    assert content_of(other) == content_of(data)
    assert content_of(data[:-2]) != content_of(data)


def test_every_real_file_is_read_as_pydicom_reads_it(shared_data):
    """Everything with a DICM prefix and the four UIDs, except what its folder names as damaged."""
    read = 0
    for path in sorted(p for p in shared_data.rglob("*") if p.is_file()):
        with path.open("rb") as file:
            if file.read(PREAMBLE)[128:] != b"DICM":
                continue
        image = dcmread(path, stop_before_pixels=True, force=True)
        needed = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
        if not all(image.get(keyword) for keyword in needed) or "TransferSyntaxUID" not in image.file_meta:
            continue
        if path.name == "MR_truncated.dcm":
            with pytest.raises(HeaderError, match="cut short"):
                read_header(path)
            continue
        header = read_header(path)
        assert header == InstanceHeader(*(str(image[k].value) for k in needed), image.file_meta.TransferSyntaxUID)
        read += 1
    assert read > 900


def read(data: bytes) -> InstanceHeader | str:
    try:
        return read_header(data)
    except HeaderError as error:
        return str(error)


@pytest.mark.parametrize("syntax", ENCODINGS, ids=lambda syntax: syntax.name)
def test_passing_over_elements_in_one_go_finds_and_refuses_what_the_walk_does(syntax, monkeypatch):
    """Whole, cut at every byte, and with every byte changed."""
    whole = a_file(syntax, Manufacturer="Rectal-Node", PatientComments="x" * 50)
    start = whole.index(b"DICM") + 4
    damaged = [whole, *(whole[:end] for end in range(start, len(whole)))]
    damaged += [
        whole[:at] + bytes([whole[at] ^ change]) + whole[at + 1 :]
        for change in (1, 0x80)
        for at in range(start, len(whole))
    ]
    at_once = [read(data) for data in damaged]
    monkeypatch.setattr("storage.header._HEAD", 0)
    assert at_once == [read(data) for data in damaged]
