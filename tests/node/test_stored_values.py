"""What changes the meaning of a stored value is applied, frame by frame, or refused by name; nothing is passed over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.pixels import compress
from pydicom.uid import (
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    MRImageStorage,
    RLELossless,
)

from models.sequence import Sequence
from node.errors import Refusal
from node.planning import plan_from, plan_with_volumes
from node.recognition.plan import read_study
from node.recognition.record import FrameRef, Stack
from node.settings import RecognitionSettings
from node.volumes import assembled

from .encoded_images import ENCODINGS, encode

TWO_SLICES = ("1.2.3.0", "1.2.3.1")
#: Four pixels of each of two slices, as 16-bit cells.
CELLS = ((0, 100, 1000, 4095), (10, 200, 2000, 4000))


def image(cells: tuple[int, ...], **header: object) -> Dataset:
    """An image of 2 × 2 pixels with 12 bits in 16, MONOCHROME2; `header` changes or (None) removes attributes."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = MRImageStorage, "1.2.3"
    dataset.Rows = dataset.Columns = 2
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    change(dataset, header)
    dataset.add_new("PixelData", "OW", np.asarray(cells, np.int64).astype("<u2").tobytes())
    return dataset


def change(dataset: Dataset, header: dict[str, object]) -> None:
    for keyword, value in header.items():
        if value is None:
            delattr(dataset, keyword)
        elif keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
            dataset.add_new(keyword, "SS" if value < 0 else "US", value)
        else:
            setattr(dataset, keyword, value)


def mapping(slope: float, first: int = 0, last: int = 4095, unit: str = "1", intercept: float = 0.0) -> Dataset:
    """An item of Real World Value Mapping Sequence."""
    item, code = Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = unit, "UCUM", unit
    item.MeasurementUnitsCodeSequence = [code]
    item.RealWorldValueSlope, item.RealWorldValueIntercept = slope, intercept
    item.add_new("RealWorldValueFirstValueMapped", "US", first)
    item.add_new("RealWorldValueLastValueMapped", "US", last)
    return item


def stack_of(frames: list[FrameRef], role: Sequence, side: int) -> Stack:
    return Stack(
        role=role,
        series_instance_uid="1.2.3",
        frames=tuple(frames),
        b_value=None,
        phase_time_s=None,
        origin=(0.0, 0.0, 0.0),
        row_direction=(1.0, 0.0, 0.0),
        column_direction=(0.0, 1.0, 0.0),
        normal=(0.0, 0.0, 1.0),
        pixel_spacing=(1.0, 1.0),
        slice_step_mm=4.0,
        frame_of_reference_uid="1.2.5",
        rows=side,
        columns=side,
    )


def classic(folder: Path, slices: list[Dataset], role: Sequence = Sequence.T2WI) -> Stack:
    """A stack of one file a slice."""
    frames = []
    for number, each in enumerate(slices):
        path = folder / f"{number}.dcm"
        _saved(each, path)
        frames.append(FrameRef(path, 0, TWO_SLICES[number], MRImageStorage))
    return stack_of(frames, role, slices[0].Rows)


#: Attributes that a multi-frame image has in functional groups.
GROUPS = {
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "RealWorldValueMappingSequence": "",
}


def multi_frame(folder: Path, slices: list[Dataset], role: Sequence = Sequence.T2WI) -> Stack:
    """The same slices as frames of one file; what may differ between them stands in per-frame functional groups."""
    whole = dcmread(_saved(slices[0], folder / "first.dcm"))
    whole.SOPClassUID, whole.NumberOfFrames = EnhancedMRImageStorage, len(slices)
    whole.PixelData = b"".join(each.PixelData for each in slices)
    groups = []
    for each in slices:
        group = Dataset()
        for keyword, macro in GROUPS.items():
            if keyword in each and macro:
                item = group.get(macro, [Dataset()])[0]
                item[keyword] = each[keyword]
                setattr(group, macro, [item])
            elif keyword in each:
                group[keyword] = each[keyword]
            whole.pop(keyword, None)
        groups.append(group)
    whole.PerFrameFunctionalGroupsSequence = groups
    path = _saved(whole, folder / "whole.dcm")
    return stack_of([FrameRef(path, n, TWO_SLICES[0], EnhancedMRImageStorage) for n in range(len(slices))], role, 2)


def _saved(dataset: Dataset, path: Path) -> Path:
    dataset.save_as(path, enforce_file_format=True)
    return path


def values_of(stack: Stack) -> list[list[float]]:
    array = sitk.GetArrayFromImage(assembled(stack).image)
    assert array.dtype == np.float32
    return [each.ravel().tolist() for each in array]


def refused(stack: Stack) -> str:
    with pytest.raises(Refusal) as refusal:
        assembled(stack)
    assert "1.2.3" in refusal.value.reason, "it names the instance or the series"
    return refusal.value.code


def both(cells: Any = CELLS, **header: object) -> list[Dataset]:
    return [image(each, **header) for each in cells]


def each_its_own(*headers: dict[str, Any], cells: Any = CELLS) -> list[Dataset]:
    return [image(each, **header) for each, header in zip(cells, headers, strict=True)]


SIGNED: dict[str, object] = {"PixelRepresentation": 1}
APPLIED: dict[str, tuple[list[Dataset], list[list[float]]]] = {
    "plain": (both(), [[0, 100, 1000, 4095], [10, 200, 2000, 4000]]),
    "MONOCHROME1, unsigned": (
        both(PhotometricInterpretation="MONOCHROME1"),
        [[4095, 3995, 3095, 0], [4085, 3895, 2095, 95]],
    ),
    "MONOCHROME1, signed": (
        both(((-2048, -1, 0, 2047), (5, -5, 6, -6)), PhotometricInterpretation="MONOCHROME1", **SIGNED),
        [[2047, 0, -1, -2048], [-6, 4, -7, 5]],
    ),
    "Presentation LUT Shape INVERSE": (
        both(PresentationLUTShape="INVERSE"),
        [[4095, 3995, 3095, 0], [4085, 3895, 2095, 95]],
    ),
    "MONOCHROME1 and INVERSE say the same": (
        both(PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE"),
        [[4095, 3995, 3095, 0], [4085, 3895, 2095, 95]],
    ),
    "Presentation LUT Shape IDENTITY": (
        both(PresentationLUTShape="IDENTITY"),
        [[0, 100, 1000, 4095], [10, 200, 2000, 4000]],
    ),
    "MONOCHROME1 is turned back before the rescale": (
        both(PhotometricInterpretation="MONOCHROME1", RescaleSlope="2", RescaleIntercept="-5"),
        [[8185, 7985, 6185, -5], [8165, 7785, 4185, 185]],
    ),
    "rescale that changes between slices": (
        each_its_own(
            {"RescaleSlope": "2", "RescaleIntercept": "1"},
            {"RescaleSlope": "0.5", "RescaleIntercept": "-1"},
        ),
        [[1, 201, 2001, 8191], [4, 99, 999, 1999]],
    ),
    "an empty rescale is none": (
        both(RescaleSlope="", RescaleIntercept=""),
        [[0, 100, 1000, 4095], [10, 200, 2000, 4000]],
    ),
    "an identity that only one slice states": (
        each_its_own({"RescaleSlope": "1", "RescaleIntercept": "0"}, {}),
        [[0, 100, 1000, 4095], [10, 200, 2000, 4000]],
    ),
    "real-world mapping that changes between slices": (
        each_its_own(
            {"RealWorldValueMappingSequence": [mapping(2.0)]},
            {"RealWorldValueMappingSequence": [mapping(0.5, intercept=1.0)]},
        ),
        [[0, 200, 2000, 8190], [6, 101, 1001, 2001]],
    ),
    "real-world mapping that changes between slices beside an identity": (
        each_its_own(
            {"RealWorldValueMappingSequence": [mapping(2.0)], "RescaleSlope": "1", "RescaleIntercept": "0"},
            {"RealWorldValueMappingSequence": [mapping(0.5)], "RescaleSlope": "1", "RescaleIntercept": "0"},
        ),
        [[0, 200, 2000, 8190], [5, 100, 1000, 2000]],
    ),
    "the same real-world mapping in all slices leaves the scanner's own scale": (
        both(RealWorldValueMappingSequence=[mapping(2.0)]),
        [[0, 100, 1000, 4095], [10, 200, 2000, 4000]],
    ),
    "rescale and real-world mapping that change together": (
        each_its_own(
            {"RealWorldValueMappingSequence": [mapping(4.0)], "RescaleSlope": "2", "RescaleIntercept": "0"},
            {"RealWorldValueMappingSequence": [mapping(1.0)], "RescaleSlope": "0.5", "RescaleIntercept": "0"},
        ),
        [[0, 200, 2000, 8190], [5, 100, 1000, 2000]],
    ),
    "of several real-world mappings the one that holds": (
        each_its_own(
            {"RealWorldValueMappingSequence": [mapping(7.0, last=50), mapping(2.0)]},
            {"RealWorldValueMappingSequence": [mapping(9.0, last=50), mapping(0.5)]},
        ),
        [[0, 200, 2000, 8190], [5, 100, 1000, 2000]],
    ),
    "twelve bits, sign in the twelfth, above it zeros": (
        both(((0x0FFF, 0x0800, 0x07FF, 0), (1, 2, 3, 4)), **SIGNED),
        [[-1, -2048, 2047, 0], [1, 2, 3, 4]],
    ),
    "twelve bits, sign extended": (
        both(((0xFFFF, 0xF800, 0x07FF, 0), (1, 2, 3, 4)), **SIGNED),
        [[-1, -2048, 2047, 0], [1, 2, 3, 4]],
    ),
    "overlay in unused bits": (
        both(((0x1000, 0x1064, 0xF3E8, 0x0FFF), (10, 200, 2000, 4000))),
        [[0, 100, 1000, 4095], [10, 200, 2000, 4000]],
    ),
    "overlay in unused bits, signed": (
        both(((0x1FFF, 0x17FF, 0x2001, 0), (1, 2, 3, 4)), **SIGNED),
        [[-1, 2047, 1, 0], [1, 2, 3, 4]],
    ),
    "High Bit 15 of twelve bits": (
        both(((0x0000, 0x0640, 0x3E80, 0xFFF0), (0x00AF, 0x0C80, 0x7D00, 0xFA00)), HighBit=15),
        [[0, 100, 1000, 4095], [10, 200, 2000, 4000]],
    ),
    "High Bit 15 of twelve bits, signed": (
        both(((0xFFF0, 0x8000, 0x7FF0, 0), (16, 32, 48, 64)), HighBit=15, **SIGNED),
        [[-1, -2048, 2047, 0], [1, 2, 3, 4]],
    ),
    "no High Bit": (both(HighBit=None), [[0, 100, 1000, 4095], [10, 200, 2000, 4000]]),
    "padding becomes air": (both(PixelPaddingValue=4095), [[0, 100, 1000, 0], [10, 200, 2000, 4000]]),
    "padding below zero": (
        both(((-2000, 100, -3, 7), (1, 2, 3, 4)), BitsStored=16, HighBit=15, PixelPaddingValue=-2000, **SIGNED),
        [[-3, 100, -3, 7], [1, 2, 3, 4]],
    ),
    "padding written with the other sign": (
        both(((-2000, 100, 0, 7), (1, 2, 3, 4)), BitsStored=16, HighBit=15, PixelPaddingValue=63536, **SIGNED),
        [[0, 100, 0, 7], [1, 2, 3, 4]],
    ),
    "padding that only the whole cell can hold": (
        both(((0xF830, 100, 1000, 0x0830), (1, 2, 3, 4)), PixelPaddingValue=-2000),
        [[0, 100, 1000, 0x0830], [1, 2, 3, 4]],
    ),
    "a range of padding, after the rescale": (
        both(PixelPaddingValue=4000, PixelPaddingRangeLimit=4095, RescaleSlope="2", RescaleIntercept="-10"),
        [[-10, 190, 1990, -10], [10, 390, 3990, -10]],
    ),
    "a range of padding the other way round": (
        both(PixelPaddingValue=4095, PixelPaddingRangeLimit=4000),
        [[0, 100, 1000, 0], [10, 200, 2000, 0]],
    ),
    "padding of an inverted image is what is stored": (
        both(PhotometricInterpretation="MONOCHROME1", PixelPaddingValue=0),
        [[0, 3995, 3095, 0], [4085, 3895, 2095, 95]],
    ),
    "padding lies outside what a real-world mapping has to hold for": (
        each_its_own(
            {"RealWorldValueMappingSequence": [mapping(2.0, last=1000)], "PixelPaddingValue": 4095},
            {"RealWorldValueMappingSequence": [mapping(0.5)], "PixelPaddingValue": 4095},
        ),
        [[0, 200, 2000, 0], [5, 100, 1000, 2000]],
    ),
}
REFUSED: dict[str, tuple[list[Dataset], str]] = {
    "colour": (both(PhotometricInterpretation="RGB", SamplesPerPixel=3, PlanarConfiguration=0), "E-PHOTOMETRIC"),
    "palette": (both(PhotometricInterpretation="PALETTE COLOR"), "E-PHOTOMETRIC"),
    "no photometric interpretation": (both(PhotometricInterpretation=None), "E-PHOTOMETRIC"),
    "a Modality LUT": (both(ModalityLUTSequence=[Dataset()]), "E-MODALITY-LUT"),
    "slope 0": (both(RescaleSlope="0", RescaleIntercept="0"), "E-RESCALE"),
    "a negative slope": (both(RescaleSlope="-1", RescaleIntercept="4095"), "E-RESCALE"),
    "a rescale in one slice only": (each_its_own({"RescaleSlope": "2", "RescaleIntercept": "0"}, {}), "E-RESCALE"),
    "a slope beyond any number": (both(RescaleSlope="1e300", RescaleIntercept="0"), "E-NOT-FINITE"),
    "real-world mapping that changes and does not hold for all values": (
        each_its_own(
            {"RealWorldValueMappingSequence": [mapping(2.0, last=1000)]},
            {"RealWorldValueMappingSequence": [mapping(0.5)]},
        ),
        "E-RWVM",
    ),
    "real-world mapping that changes and stands in one slice twice": (
        each_its_own(
            {"RealWorldValueMappingSequence": [mapping(2.0), mapping(3.0)]},
            {"RealWorldValueMappingSequence": [mapping(0.5)]},
        ),
        "E-RWVM",
    ),
    "real-world mapping with a slope of 0 that changes": (
        each_its_own(
            {"RealWorldValueMappingSequence": [mapping(0.0)]},
            {"RealWorldValueMappingSequence": [mapping(0.5)]},
        ),
        "E-RWVM",
    ),
    "real-world mapping and rescale that contradict each other": (
        each_its_own(
            {"RealWorldValueMappingSequence": [mapping(2.0)], "RescaleSlope": "3", "RescaleIntercept": "0"},
            {"RealWorldValueMappingSequence": [mapping(0.5)], "RescaleSlope": "3", "RescaleIntercept": "0"},
        ),
        "E-RWVM",
    ),
    "real-world mapping whose unit changes": (
        each_its_own(
            {"RealWorldValueMappingSequence": [mapping(2.0, unit="mm2/s")]},
            {"RealWorldValueMappingSequence": [mapping(2.0, unit="um2/s")]},
        ),
        "E-RWVM",
    ),
    "High Bit below the bits stored": (both(HighBit=10), "E-PIXEL-BITS"),
    "High Bit beyond the bits allocated": (both(HighBit=16), "E-PIXEL-BITS"),
    "no Bits Stored": (both(BitsStored=None), "E-DECODE"),
    "everything is padding": (both(PixelPaddingValue=0, PixelPaddingRangeLimit=4095), "E-CONSTANT"),
    "the same value everywhere": (both(((7, 7, 7, 7), (7, 7, 7, 7))), "E-CONSTANT"),
    "the same value everywhere but in the padding": (
        both(((7, 7, 7, 0), (7, 7, 7, 0)), PixelPaddingValue=0),
        "E-CONSTANT",
    ),
}
WRITERS = pytest.mark.parametrize("written", [classic, multi_frame])


@WRITERS
@pytest.mark.parametrize("case", APPLIED)
def test_applied(tmp_path: Path, written: Callable[..., Stack], case: str):
    slices, wanted = APPLIED[case]
    assert values_of(written(tmp_path, slices)) == wanted


@WRITERS
@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_name(tmp_path: Path, written: Callable[..., Stack], case: str):
    slices, code = REFUSED[case]
    assert refused(written(tmp_path, slices)) == code


@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept", "PixelPaddingValue", "PixelPaddingRangeLimit"])
def test_what_is_stated_and_unreadable_is_refused(tmp_path, keyword):
    slices = both(RescaleSlope="1", PixelPaddingValue=0)
    slices[1].add_new(keyword, "LO", "none")
    assert refused(classic(tmp_path, slices)) == ("E-PADDING" if "Padding" in keyword else "E-RESCALE")


def test_inverted_and_other_slices_of_one_stack_are_told_apart(tmp_path):
    slices = each_its_own({"PhotometricInterpretation": "MONOCHROME1"}, {})
    volume = assembled(classic(tmp_path, slices))
    assert sitk.GetArrayFromImage(volume.image).reshape(2, 4).tolist() == [[4095, 3995, 3095, 0], [10, 200, 2000, 4000]]
    (remark,) = volume.remarks
    assert remark.startswith("1 of 2 images are stored inverted")


def test_bits_that_are_no_value_are_remarked_on(tmp_path):
    (remark,) = assembled(classic(tmp_path, both(((0x1000, 1, 2, 3), (4, 5, 6, 7))))).remarks
    assert remark.startswith("1 of 2 images are stored with bits set beside those of their values")
    signed = assembled(classic(tmp_path, both(((0xFFFF, 0x0FFF, 2, 3), (4, 5, 6, 7)), **SIGNED)))
    assert signed.remarks == ()


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_an_inverted_image_in_a_compressed_transfer_syntax(tmp_path, syntax):
    cells = ((0, 100, 1000, 4095), (10, 200, 2000, 4000))
    slices = both(cells, PhotometricInterpretation="MONOCHROME1", PixelPaddingValue=4095)
    for each in slices:
        _compress(each, syntax)
    array = sitk.GetArrayFromImage(assembled(classic(tmp_path, slices)).image)
    assert array[:, ::16, ::16].reshape(2, 4).tolist() == [[4095, 3995, 3095, 0], [4085, 3895, 2095, 95]]


@pytest.mark.parametrize("encoding", [each for each in ENCODINGS if not each.method], ids=str)
def test_signed_values_in_every_transfer_syntax_that_loses_nothing(tmp_path, encoding):
    values = np.random.default_rng(1).integers(-2048, 2048, (2, 32, 32))
    slices = [image(tuple(each.ravel()), Rows=32, Columns=32, **SIGNED) for each in values]
    stack = classic(tmp_path, [encode(each, encoding) for each in slices])
    np.testing.assert_array_equal(sitk.GetArrayFromImage(assembled(stack).image), values)


def _compress(dataset: Dataset, syntax: str) -> None:
    """Encode the image, each pixel repeated 16 times both ways: codecs take no image of 2 × 2."""
    pixels = np.frombuffer(dataset.PixelData, "<u2").reshape(2, 2).repeat(16, 0).repeat(16, 1)
    dataset.Rows = dataset.Columns = 32
    dataset.PixelData = pixels.tobytes()
    compress(dataset, syntax, generate_instance_uid=False)


def test_unused_low_bits_behind_a_codec_are_refused(tmp_path):
    slices = both(((0, 160, 1600, 0xFFF0), (16, 32, 48, 64)))
    for each in slices:
        each.BitsStored, each.HighBit = 16, 15
        _compress(each, JPEG2000Lossless)
        each.BitsStored = 12
    assert refused(classic(tmp_path, slices)) == "E-PIXEL-BITS"


ADC_CELLS = ((0, 800, 1000, 1200), (900, 1000, 1100, 1300))


@WRITERS
@pytest.mark.parametrize(
    ("mappings", "wanted"),
    [
        ([mapping(2e-6, unit="mm2/s")], [0, 1600, 2000, 2400]),
        ([mapping(5.0, unit="1"), mapping(2e-6, unit="mm2/s")], [0, 1600, 2000, 2400]),
        ([mapping(2e-6, unit="mm2/s"), mapping(2.0, unit="um2/s")], [0, 1600, 2000, 2400]),
        ([mapping(9.0, last=10, unit="um2/s"), mapping(2.0, unit="um2/s")], [0, 1600, 2000, 2400]),
        ([mapping(5.0, unit="1")], [0, 800, 1000, 1200]),
        ([mapping(2e-6, unit="mm2/s"), mapping(3.0, unit="um2/s")], "E-RWVM"),
        ([mapping(2e-6, last=1100, unit="mm2/s")], "E-RWVM"),
        ([mapping(0.0, unit="mm2/s")], "E-RWVM"),
    ],
)
def test_the_real_world_mapping_of_an_adc_map(tmp_path, written, mappings, wanted):
    stack = written(tmp_path, both(ADC_CELLS, RealWorldValueMappingSequence=mappings), Sequence.ADC)
    if isinstance(wanted, str):
        assert refused(stack) == wanted
    else:
        assert values_of(stack)[0] == pytest.approx(wanted)


def test_an_adc_map_with_a_mapping_in_one_slice_only_is_refused(tmp_path):
    slices = each_its_own({"RealWorldValueMappingSequence": [mapping(2.0, unit="um2/s")]}, {}, cells=ADC_CELLS)
    assert refused(classic(tmp_path, slices, Sequence.ADC)) == "E-RWVM"


def test_an_inverted_adc_map_is_refused(tmp_path):
    slices = both(ADC_CELLS, PhotometricInterpretation="MONOCHROME1")
    assert refused(classic(tmp_path, slices, Sequence.ADC)) == "E-PHOTOMETRIC"


def test_the_plan_of_an_inverted_study_says_so_once(written_by, tmp_path):
    settings = RecognitionSettings()
    instances = [dcmread(path) for path in written_by("Skyra").paths]
    t2wi = [each for each in instances if "t2_tse_tra" in each.get("SeriesDescription", "")]
    plain = _plan(t2wi, tmp_path / "plain", settings)
    for each in t2wi:
        highest = (1 << each.BitsStored) - 1
        each.PhotometricInterpretation = "MONOCHROME1"
        each.PixelData = (highest - each.pixel_array.astype(int)).astype("<u2").tobytes()
    turned = _plan(t2wi, tmp_path / "turned", settings)
    again = plan_with_volumes(turned[0], lambda: pytest.fail("no stack was unusable"), settings, ())
    for plan, volumes in (turned, again):
        assert [warning for warning in plan.warnings if "stored inverted" in warning] == [
            "T2WI: the images are stored inverted (MONOCHROME1 or Presentation LUT Shape INVERSE); they were turned "
            "back, and the results are MONOCHROME2"
        ]
        np.testing.assert_array_equal(*(sitk.GetArrayViewFromImage(it[Sequence.T2WI]) for it in (volumes, plain[1])))


def _plan(instances, folder, settings):
    folder.mkdir()
    for number, each in enumerate(instances):
        each.save_as(folder / f"{number:04d}.dcm")
    facts = read_study(str(instances[0].StudyInstanceUID), sorted(folder.iterdir()), settings)
    return plan_with_volumes(plan_from(facts, settings, ()), lambda: facts, settings, ())
