"""The super-resolved volume of a sequence as a classic MR Image series in the patient space of its source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import UID, MRImageStorage
from pydicom.valuerep import format_number_as_ds

from node.results import attributes
from node.results.encoded import EncodedImage, Template
from node.results.findings import SequenceResult
from node.results.identity import RESEARCH_STATEMENT, SUPER_RESOLUTION, Identity, clipped, describe
from node.results.image_planes import ImagePlanes, planes_of
from node.results.modules import (
    LOCAL_SCHEME,
    SeriesFacts,
    complete_series,
    identify,
    patient_and_study,
    refer_to,
)
from node.results.source import SourceFrame, complete, inherit, put, put_all
from node.results.window import grey_range

LEARNED_SUPER_RESOLUTION = Code("AI-SR", LOCAL_SCHEME, "Learned super-resolution")
SERIES_NUMBER = {"T2WI": 9001, "DWI": 9002, "PVP": 9003}

#: Fewer grey levels than this lose what the image shows: such data are scaled and carry the mapping back.
MINIMUM_LEVELS = 200
SCALED_MAXIMUM = 4095
INT16 = np.iinfo(np.int16)

#: What differs from slice to slice beside the pixels, in the order of the tags.
_OF_SLICE = ("SOPInstanceUID", "InstanceNumber", "ImagePositionPatient", "SliceLocation")


@dataclass(frozen=True, slots=True)
class StoredValues:
    """Pixels as written and what one step of them stands for.

    Attributes:
        array: int16, slices × rows × columns.
        slope: real value of one stored unit; 1 where the scale of the source is kept.
    """

    array: np.ndarray
    slope: float


def series_facts(result: SequenceResult) -> SeriesFacts:
    """The facts that all images of the derived series share."""
    return SeriesFacts(
        role=f"super-resolved-{result.sequence.lower()}",
        number=SERIES_NUMBER[result.sequence],
        description=_description(result),
        modality="MR",
        sop_class_uid=MRImageStorage,
        algorithms=(SUPER_RESOLUTION,),
    )


def derived_images(
    result: SequenceResult, frames: Sequence[SourceFrame], identity: Identity
) -> Iterator[tuple[EncodedImage, SourceFrame]]:
    """The images of the derived series, slice by slice along the normal, each with its own reference."""
    facts = series_facts(result)
    planes = planes_of(result.super_resolved)
    stored = store_values(sitk.GetArrayViewFromImage(result.super_resolved))
    common = _common(result, frames, identity, facts, planes, stored)
    header, template = _reference_header(common), Template(common, _OF_SLICE)
    for index, position in enumerate(planes.positions):
        uid = identity.uid(f"{facts.role}/instance", index)
        own = Dataset()
        place = [decimal(value) for value in position], decimal(planes.location(index))
        put_all(own, dict(zip(_OF_SLICE, (uid, index + 1, *place), strict=True)))
        parts = template.filled(own, stored.array[index].data)
        image = EncodedImage(UID(facts.sop_class_uid), uid, common.SeriesInstanceUID, parts)
        yield image, _reference(own, header)


def store_values(volume: np.ndarray) -> StoredValues:
    """Real values (slices, rows, columns) as int16: rounded where 200 levels are left and fit, else scaled."""
    slope = slope_of(volume)
    levels = np.rint(volume if slope == 1.0 else volume / slope)
    return StoredValues(np.clip(levels, INT16.min, INT16.max, out=levels).astype("<i2"), slope)


def slope_of(volume: np.ndarray) -> float:
    """The real value of one unit as stored."""
    largest = max(0.0, float(volume.max()), -float(volume.min())) if volume.size else 0.0
    return 1.0 if largest <= 0 or MINIMUM_LEVELS <= largest <= INT16.max else largest / SCALED_MAXIMUM


def decimal(value: float) -> str:
    """Decimal String: at most 16 characters, without a negative zero."""
    return format_number_as_ds(round(float(value), 9) + 0.0)


def _description(result: SequenceResult) -> str:
    before, after = result.acquired.GetSpacing(), result.super_resolved.GetSpacing()
    factors = [round(a / b) for a, b in zip(before, after, strict=True)]
    factor = f"x{factors[2]}" if factors[:2] == [1, 1] else "x".join(("", *map(str, factors)))
    return f"AI-SR {factor} {result.sequence} (research)"


def _common(
    result: SequenceResult,
    frames: Sequence[SourceFrame],
    identity: Identity,
    facts: SeriesFacts,
    planes: ImagePlanes,
    stored: StoredValues,
) -> Dataset:
    header = frames[0].header
    image = Dataset()
    patient_and_study(image, header)
    inherit(image, header, (*attributes.SERIES, *attributes.FRAME_OF_REFERENCE, *attributes.ACQUISITION))
    complete_series(image)
    _complete_mr_module(image, header)
    identify(image, facts, identity, header)
    put(image, "SeriesDescription", clipped(f"{image.SeriesDescription} {header.get('SeriesDescription', '')}", 64))
    if all(frame.header.get("BurnedInAnnotation") == "NO" for frame in frames):
        put(image, "BurnedInAnnotation", "NO")
    put_all(image, {"ImageType": ["DERIVED", "SECONDARY", "OTHER", "RESAMPLED"], **derivation(result, identity)})
    refer_to(image, frames, preserved=False)
    _image_planes(image, planes)
    _pixels(image, stored)
    return image


def _complete_mr_module(image: Dataset, header: Dataset) -> None:
    """MR Image module (PS3.3 C.8.3.1): what it requires and the source, multi-frame or stripped, does not say."""
    if "ScanningSequence" not in image:
        # Enhanced MR says Echo Pulse Sequence instead; RM (research mode) where nothing is known.
        pulse = {"SPIN": ["SE"], "GRADIENT": ["GR"], "BOTH": ["GR", "SE"]}
        put(image, "ScanningSequence", pulse.get(str(header.get("EchoPulseSequence", "")), ["RM"]))
    if not image.get("SequenceVariant"):
        put(image, "SequenceVariant", ["NONE"])
    complete(image, ("ScanOptions", "MRAcquisitionType", "RepetitionTime", "EchoTime", "EchoTrainLength"))
    complete(image, ("PatientPosition", "PositionReferenceIndicator"))


def derivation(result: SequenceResult, identity: Identity) -> dict[str, object]:
    """How the pixels of the refined volume came to be (General Image module, Derivation Image macro)."""
    model = identity.algorithm(SUPER_RESOLUTION)
    size = "x".join(map(str, result.super_resolved.GetSize()))
    spacing = " x ".join(f"{value:.3f}" for value in result.super_resolved.GetSpacing())
    text = (
        f"{RESEARCH_STATEMENT} Learned super-resolution of {result.sequence} by {describe(model)}; grid {size}, "
        f"{spacing} mm, edges as acquired; values in the scale of the source after its rescale."
    )
    how = [CodedConcept.from_code(code) for code in (codes.DCM.SpatialResampling, LEARNED_SUPER_RESOLUTION)]
    return {"DerivationDescription": clipped(text, 1024), "DerivationCodeSequence": how}


def _image_planes(image: Dataset, planes: ImagePlanes) -> None:
    values = {
        "Rows": planes.rows,
        "Columns": planes.columns,
        "PixelSpacing": [decimal(value) for value in planes.pixel_spacing],
        "SliceThickness": decimal(planes.step_mm),
        "SpacingBetweenSlices": decimal(planes.step_mm),
        "ImageOrientationPatient": [decimal(value) for value in planes.orientation],
    }
    put_all(image, values)


def _pixels(image: Dataset, stored: StoredValues) -> None:
    low, high = grey_range(stored.array)
    values: dict[str, object] = {
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 1,
        "WindowCenter": decimal(round((low + high) / 2, 1)),
        "WindowWidth": decimal(round(max(high - low, 1.0), 1)),
    }
    put_all(image, values)
    if stored.slope != 1.0:
        put(image, "RealWorldValueMappingSequence", [_real_world_mapping(stored)])


def _real_world_mapping(stored: StoredValues) -> Dataset:
    """Classic MR has no Modality LUT: the way back to source values is a Real World Value Mapping (C.7.6.16.2.11)."""
    item = Dataset()
    item.add_new("RealWorldValueFirstValueMapped", "SS", int(stored.array.min()))
    item.add_new("RealWorldValueLastValueMapped", "SS", int(stored.array.max()))
    item.RealWorldValueIntercept = 0.0
    item.RealWorldValueSlope = stored.slope
    item.LUTLabel = "SOURCE"
    item.LUTExplanation = "Intensity in the scale of the source images"
    item.MeasurementUnitsCodeSequence = [CodedConcept.from_code(codes.UCUM.NoUnits)]
    return item


def _reference_header(image: Dataset) -> Dataset:
    """The elements of the derived images' common header that further results need."""
    header = Dataset()
    modules = (*attributes.PATIENT, *attributes.STUDY, *attributes.REQUIRED_EVEN_IF_EMPTY)
    inherit(header, image, (*modules, *attributes.FRAME_OF_REFERENCE, *attributes.GEOMETRY, *attributes.LOSSY))
    inherit(header, image, ("SpecificCharacterSet", "SOPClassUID", "SeriesInstanceUID", "Modality"))
    return header


def _reference(image: Dataset, common: Dataset) -> SourceFrame:
    """A derived image as the source of further results."""
    header = Dataset()
    header.update(common)
    inherit(header, image, ("SOPInstanceUID", "ImagePositionPatient"))
    return SourceFrame(header, str(common.SOPClassUID), str(image.SOPInstanceUID), None)
