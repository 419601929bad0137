"""A data set in another transfer syntax holds what it held: compared value by value as bytes, and with DCMTK's."""

from __future__ import annotations

import shutil
import subprocess
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    MPEG2MPML,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    MRImageStorage,
    RLELossless,
)
from pynetdicom.dsutils import split_dataset

from node.dicom.conversion.convert import TARGETS, convert
from node.dicom.conversion.errors import ConversionError
from storage.header import read_header

PIXEL_DATA = 0x7FE00010
CONVERT = Callable[..., Path]


@pytest.fixture
def converted(tmp_path: Path) -> CONVERT:
    """Convert a file; where the result lies."""

    def make(source: Path, target: str) -> Path:
        path = tmp_path / "converted.dcm"
        with path.open("wb") as out:
            convert(source, read_header(source), target, out)
        assert read_header(path).transfer_syntax_uid == target
        return path

    return make


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Write a data set in a transfer syntax, after `change`."""

    def write(
        change: Callable[[Dataset], None] = lambda _: None, syntax: str = ExplicitVRLittleEndian, **pixels: object
    ) -> Path:
        made = an_image(**pixels)
        made.file_meta.TransferSyntaxUID = UID(syntax)
        change(made)
        path = tmp_path / "written.dcm"
        made.save_as(path, enforce_file_format=True)
        return path

    return write


def an_image(frames: int = 1, rows: int = 5, columns: int = 3, bits: int = 16, signed: bool = False) -> Dataset:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.SOPClassUID, made.SOPInstanceUID = MRImageStorage, "1.2.3.4"
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.3", "1.2.3.1"
    made.SamplesPerPixel, made.PhotometricInterpretation, made.NumberOfFrames = 1, "MONOCHROME2", frames
    made.Rows, made.Columns = rows, columns
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = bits, bits, bits - 1, int(signed)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
    values = np.random.default_rng(1).integers(low, high, frames * rows * columns)
    pixels = values.astype(f"<{'i' if signed else 'u'}{bits // 8}").tobytes()
    made.PixelData = pixels + b"\0" * (len(pixels) % 2)
    made["PixelData"].VR = "OW" if bits > 8 else "OB"
    return made


def raw_values(data_set: Dataset, place: tuple[object, ...] = ()) -> Iterator[tuple[tuple[object, ...], object]]:
    """The bytes of each value, and how many items each sequence has."""
    for tag in sorted(data_set.keys()):
        item = data_set.get_item(tag)
        if item.VR == "SQ" or not item.is_raw or (item.VR is None and pydicom.datadict.dictionary_has_tag(tag)):
            element = data_set[tag]
            if element.VR == "SQ":
                yield (*place, tag), len(element.value)
                for number, each in enumerate(element.value):
                    yield from raw_values(each, (*place, tag, number))
                continue
        if tag == 0x00280103:  # pydicom may have decoded it already
            yield (*place, tag), data_set[tag].value
        elif tag.element != 0:
            yield (*place, tag), item.value or b""


def same_values(one: Path, other: Path, but: tuple[int, ...] = ()) -> None:
    found, expected = (
        {place: value for place, value in raw_values(pydicom.dcmread(path)) if place[-1] not in but}
        for path in (other, one)
    )
    assert found == expected


def data_set_of(path: Path) -> bytes:
    return path.read_bytes()[split_dataset(path)[1] :]


def rich(made: Dataset) -> None:
    """Everything that an encoder may change: text outside its character set, padding, numbers of every width."""
    made.SpecificCharacterSet = "ISO_IR 100"
    made.add(pydicom.dataelem.RawDataElement(pydicom.tag.Tag(0x00081030), "LO", 6, b"\x81\xfe  a ", 0, False, True))
    made.add(pydicom.dataelem.RawDataElement(pydicom.tag.Tag(0x00180050), "DS", 6, b" 03.10", 0, False, True))
    made.add(pydicom.dataelem.RawDataElement(pydicom.tag.Tag(0x00200013), "IS", 4, b"+07 ", 0, False, True))
    made.add(pydicom.dataelem.RawDataElement(pydicom.tag.Tag(0x00100010), "PN", 8, b"A^B^^^^ ", 0, False, True))
    made.SmallestImagePixelValue = 3
    made.DiffusionBValue = 812.5
    made.VectorGridData = np.arange(7, dtype="<f4").tobytes()
    made.FrameIncrementPointer = [0x00181063, 0x00181065]
    made.add_new(0x00720082, "SV", -(2**40))
    made.add_new(0x60003000, "OW", bytes(range(20)))
    block = made.private_block(0x0019, "SOME MAKER", create=True)
    block.add_new(0x01, "FD", [1.5, -2.5])
    block.add_new(0x02, "UN", b"\x01\x02\x03\x04")
    block.add_new(0x03, "SL", [-5, 70000])
    inner, outer, empty = Dataset(), Dataset(), Dataset()
    inner.CodeValue, inner.MappingResource = "113041", "DCMR"
    inner.LUTDescriptor = [256, 0, 16]
    inner["LUTDescriptor"].VR = "US"
    inner.LUTData = np.arange(256, dtype="<u2").tobytes()
    inner["LUTData"].VR = "OW"
    outer.PurposeOfReferenceCodeSequence = Sequence([inner, empty])
    outer.ReferencedSOPInstanceUID = "1.2.3.9"
    made.ReferencedImageSequence = Sequence([outer, outer])
    made.SourceImageSequence = Sequence([])


# --- native to native


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_no_value_changes_from_explicit_to_any_target(written, converted, syntax, target):
    source = written(rich, syntax)
    same_values(source, converted(source, target))


def test_there_and_back_through_implicit_gives_every_standard_element_its_representation(written, converted, tmp_path):
    source = written(rich)
    implicit = converted(source, ImplicitVRLittleEndian).rename(tmp_path / "implicit.dcm")
    back = converted(implicit, ExplicitVRLittleEndian)
    same_values(source, back)
    before, after = pydicom.dcmread(source), pydicom.dcmread(back)
    representations = {tag: "UN" if tag.is_private else element.VR for tag, element in before.items()}
    assert {tag: element.VR for tag, element in after.items()} == representations | {0x00190010: "LO"}


@pytest.mark.parametrize("signed", [False, True])
def test_signed_and_unsigned_representations_follow_the_pixels_also_where_they_come_before_them(
    written, converted, tmp_path, signed
):
    def change(made: Dataset) -> None:
        region = Dataset()
        region.add_new(0x00189810, "SS" if signed else "US", 7)
        made.SequenceOfUltrasoundRegions = [region]
        made.add_new(0x00280106, "SS" if signed else "US", 5)

    source = written(change, signed=signed)
    implicit = converted(source, ImplicitVRLittleEndian).rename(tmp_path / "implicit.dcm")
    back = pydicom.dcmread(converted(implicit, ExplicitVRLittleEndian))
    found = {back[0x00280106].VR, back.SequenceOfUltrasoundRegions[0][0x00189810].VR}
    assert found == {"SS" if signed else "US"}


@pytest.mark.parametrize("target", TARGETS)
def test_numbers_of_every_width_keep_their_values_from_big_endian(written, converted, dcmtk, tmp_path, target):
    """DCMTK makes the big endian file: pydicom leaves OW in the byte order that it had."""
    source = written(rich)
    dcmtk("dcmconv", "+tb", source, tmp_path / "big.dcm")
    assert read_header(tmp_path / "big.dcm").transfer_syntax_uid == ExplicitVRBigEndian
    same_values(source, converted(tmp_path / "big.dcm", target))


def test_pixels_of_32_bits_in_big_endian_words_are_refused(written, dcmtk, converted, tmp_path):
    dcmtk("dcmconv", "+tb", written(bits=32), tmp_path / "big.dcm")
    with pytest.raises(ConversionError, match="byte order of pixels"):
        converted(tmp_path / "big.dcm", ExplicitVRLittleEndian)


@pytest.mark.parametrize("target", TARGETS)
def test_a_sequence_of_unknown_representation_stays_one(written, converted, tmp_path, target):
    """UN of undefined length holds items in implicit encoding (PS3.5 6.2.2), here within explicit ones."""
    source = written()
    items = (
        b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + b"\x08\x00\x00\x01\x04\x00\x00\x00ABC " + b"\xfe\xff\x0d\xe0" + bytes(4)
    )
    unknown = b"\x40\x00\x55\x05UN\0\0\xff\xff\xff\xff" + items + b"\xfe\xff\xdd\xe0" + bytes(4)
    before = source.read_bytes()
    at = before.index(b"\xe0\x7f\x10\x00")
    source.write_bytes(before[:at] + unknown + before[at:])
    result = converted(source, target)
    same_values(source, result)
    assert pydicom.dcmread(result).AcquisitionContextSequence[0].CodeValue == "ABC"
    assert (unknown in result.read_bytes()) is (target == ExplicitVRLittleEndian)


def test_a_private_sequence_that_comes_without_representation_is_one_afterwards(written, converted, tmp_path):
    def change(made: Dataset) -> None:
        item = Dataset()
        item.CodeValue = "ABC"
        block = made.private_block(0x0019, "SOME MAKER", create=True)
        block.add_new(0x01, "SQ", [item])
        made[0x00191001].is_undefined_length = True

    source = written(change, ImplicitVRLittleEndian)
    result = pydicom.dcmread(converted(source, ExplicitVRLittleEndian))
    assert result[0x00191001].VR == "SQ"
    assert result[0x00191001][0].CodeValue == "ABC"


@pytest.mark.filterwarnings("ignore:The value length")
def test_a_value_too_long_for_its_explicit_representation_becomes_unknown(written, converted):
    long = pydicom.dataelem.RawDataElement(pydicom.tag.Tag(0x0008103E), "LO", 70000, b"x" * 70000, 0, False, True)
    source = written(lambda made: made.add(long), ImplicitVRLittleEndian)
    result = converted(source, ExplicitVRLittleEndian)
    assert pydicom.dcmread(result).get_item(0x0008103E).VR == "UN"
    same_values(source, result)


def test_group_lengths_and_zero_bytes_after_the_end_go(written, converted):
    source = written(lambda made: made.add_new(0x00080000, "UL", 12345))
    source.write_bytes(
        source.read_bytes().replace(b"\x08\x00\x16\x00", b"\x08\x00\x00\x00UL\x04\0\1\2\3\4\x08\x00\x16\x00", 1)
    )
    assert 0x00080000 in pydicom.dcmread(source)
    same = data_set_of(converted(source, ImplicitVRLittleEndian))
    source.write_bytes(source.read_bytes() + bytes(126))
    assert data_set_of(converted(source, ImplicitVRLittleEndian)) == same
    assert not same.startswith(b"\x08\x00\x00\x00")


# --- encapsulated pixels


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("bits", "signed"), [(8, False), (16, False), (16, True)])
def test_frames_are_decoded_to_the_pixels_that_they_were(written, converted, bits, signed, target):
    """Three frames of 15 pixels: an odd number of bytes for 8 bits, so the value is padded."""
    shape = {"frames": 3, "bits": bits, "signed": signed}
    source = written(lambda made: made.compress(RLELossless, generate_instance_uid=False), **shape)
    result = converted(source, target)
    assert pydicom.dcmread(result).PixelData == an_image(**shape).PixelData
    same_values(source, result, but=(PIXEL_DATA,))


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("SC_rgb_dcmtk_+eb+cy+s2.dcm", "YBR_FULL_422", "YBR_FULL"),
        ("SC_rgb_dcmtk_+eb+cr.dcm", "RGB", "RGB"),
        ("GDCMJ2K_TextGBR.dcm", "YBR_RCT", "RGB"),
        ("SC_rgb_rle_2frame.dcm", "RGB", "RGB"),
    ],
)
def test_colours_are_those_that_the_attributes_then_say(converted, name, before, after):
    source = Path(get_testdata_file(name, download=False) or pytest.skip(f"pydicom came without {name}"))
    result = converted(source, ImplicitVRLittleEndian)
    compressed, native = pydicom.dcmread(source), pydicom.dcmread(result)
    assert (compressed.PhotometricInterpretation, native.PhotometricInterpretation) == (before, after)
    assert native.PlanarConfiguration == 0
    assert np.array_equal(compressed.pixel_array, native.pixel_array)
    same_values(source, result, but=(PIXEL_DATA, 0x00280004, 0x00280006))
    assert native.get("LossyImageCompression") == compressed.get("LossyImageCompression")


def test_every_transfer_syntax_of_one_image_gives_the_same_bytes(converted, shared_data):
    """Nine encodings by DCMTK and others of one image; all come out as the native ones do."""
    sources = sorted((shared_data / "transfer_syntaxes" / "siemens_same_image_9_syntaxes").glob("*.dcm"))
    assert len({read_header(path).transfer_syntax_uid for path in sources}) >= 6
    pixels = {bytes(pydicom.dcmread(converted(path, target)).PixelData) for path in sources for target in TARGETS}
    assert len(pixels) == 1
    for path in sources:
        if read_header(path).transfer_syntax_uid != ExplicitVRBigEndian:  # whose values are other bytes
            same_values(path, converted(path, ImplicitVRLittleEndian), but=(PIXEL_DATA,))


def test_native_files_come_out_as_from_dcmtk_byte_for_byte(converted, shared_data, dcmtk, tmp_path):
    sources = [
        path for name in ("transfer_syntaxes", "derived_objects") for path in (shared_data / name).rglob("*.dcm")
    ]
    compared = 0
    for path in sources:
        if UID(read_header(path).transfer_syntax_uid).is_encapsulated:
            continue
        dcmtk("dcmconv", "+ti", "-e", "-g", path, tmp_path / "dcmtk.dcm")
        assert data_set_of(converted(path, ImplicitVRLittleEndian)) == data_set_of(tmp_path / "dcmtk.dcm"), path.name
        compared += 1
    assert compared >= 6


# --- what cannot be converted


def encapsulated(syntax: str, fragments: int = 1) -> Callable[[Dataset], None]:
    """Nonsense for pixels, in fragments."""

    def change(made: Dataset) -> None:
        made.file_meta.TransferSyntaxUID = UID(syntax)
        made.PixelData = pydicom.encaps.encapsulate([b"\x01\x02\x03\x04"] * fragments)
        made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True

    return change


@pytest.mark.parametrize(
    ("syntax", "reason"),
    [
        (MPEG2MPML, "transfer syntax 1.2.840.10008.1.2.4.100 cannot be decoded here"),
        (JPEG2000Lossless, "the pixels cannot be decoded"),
    ],
)
def test_what_cannot_be_decoded_is_refused_with_the_reason(written, converted, syntax, reason):
    with pytest.raises(ConversionError, match=reason):
        converted(written(encapsulated(syntax)), ExplicitVRLittleEndian)


def test_a_transfer_syntax_that_nobody_knows_is_refused(written, converted):
    source, private = written(encapsulated(JPEG2000Lossless)), b"1.2.840.113619.5.2"
    source.write_bytes(
        source.read_bytes().replace(JPEG2000Lossless.encode(), private.ljust(len(JPEG2000Lossless), b"\0"))
    )
    with pytest.raises(ConversionError, match=r"transfer syntax 1\.2\.840\.113619\.5\.2 cannot be decoded here"):
        converted(source, ExplicitVRLittleEndian)


def test_frames_that_are_not_as_many_as_the_attributes_say_are_refused(written, converted):
    def change(made: Dataset) -> None:
        made.compress(RLELossless, generate_instance_uid=False)
        made.NumberOfFrames = 3

    with pytest.raises(ConversionError, match="2 frames are coded, and Number of Frames is 3"):
        converted(written(change, frames=2), ExplicitVRLittleEndian)


def test_encapsulated_pixels_within_a_sequence_are_refused(written, converted):
    def change(made: Dataset) -> None:
        icon = an_image()
        encapsulated(RLELossless)(icon)
        made.IconImageSequence = [icon]
        made.compress(RLELossless, generate_instance_uid=False)

    with pytest.raises(ConversionError, match="encapsulated data where none can be decoded"):
        converted(written(change), ExplicitVRLittleEndian)


@pytest.mark.parametrize("target", [JPEGBaseline8Bit, RLELossless, ExplicitVRBigEndian])
def test_nothing_is_compressed(written, converted, target):
    with pytest.raises(ConversionError, match="objects are converted to"):
        converted(written(), target)


# --- memory


@pytest.mark.parametrize("compressed", [False, True])
def test_a_large_object_is_never_held_whole(written, converted, compressed):
    def change(made: Dataset) -> None:
        if compressed:
            made.PixelData = bytes(len(made.PixelData))
            made.compress(RLELossless, generate_instance_uid=False)

    source = written(change, frames=24, rows=512, columns=512)
    tracemalloc.start()
    result = converted(source, ImplicitVRLittleEndian)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert result.stat().st_size > 12 * 2**20
    assert peak < 6 * 2**20


@pytest.fixture
def dcmtk() -> Callable[..., None]:
    """Run a tool of DCMTK; `make test` installs them."""

    def run(tool: str, *arguments: object) -> None:
        assert shutil.which(tool), f"{tool} of DCMTK is missing: `make tools` installs it"
        subprocess.run([tool, *map(str, arguments)], check=True, capture_output=True, timeout=60)

    return run
