"""The super-resolved volume of a sequence as one Enhanced MR Image (PS3.3 A.36)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import SimpleITK as sitk
from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.tag import Tag
from pydicom.uid import UID, EnhancedMRImageStorage

from node.results import attributes, derived_mr
from node.results.derived_mr import StoredValues, decimal, store_values
from node.results.encoded import EncodedImage, Template
from node.results.findings import SequenceResult
from node.results.identity import Identity
from node.results.image_planes import ImagePlanes, planes_of
from node.results.modules import (
    SeriesFacts,
    complete_series,
    identify,
    patient_and_study,
    referenced_series,
    source_image_items,
)
from node.results.source import SourceFrame, complete, inherit, put, put_all
from node.results.window import grey_range

SERIES_NUMBER = {"T2WI": 9021, "DWI": 9022, "PVP": 9023}
_CONTRAST = {"T2WI": "T2", "DWI": "DIFFUSION", "PVP": "T1"}
_STACK = "1"
#: The dimensions of the frames (C.7.6.17): the one stack, and the place in it.
_DIMENSIONS = (("StackID", "Stack"), ("InStackPositionNumber", "Position in the stack"))


def series_facts(result: SequenceResult) -> SeriesFacts:
    """The facts that identify the series of a sequence."""
    return replace(
        derived_mr.series_facts(result),
        role=f"super-resolved-enhanced-{result.sequence.lower()}",
        number=SERIES_NUMBER[result.sequence],
        sop_class_uid=EnhancedMRImageStorage,
    )


def enhanced_mr(result: SequenceResult, frames: Sequence[SourceFrame], identity: Identity) -> EncodedImage:
    """The refined volume as one image, a frame a slice along the normal, in the values of the classic series."""
    facts, planes = series_facts(result), planes_of(result.super_resolved)
    stored = store_values(sitk.GetArrayViewFromImage(result.super_resolved))
    image, header = Dataset(), frames[0].header
    patient_and_study(image, header)
    inherit(image, header, (*attributes.SERIES, *attributes.FRAME_OF_REFERENCE, *attributes.LOSSY))
    complete(image, ("PatientPosition", "PositionReferenceIndicator"))
    complete_series(image)
    identify(image, facts, identity, header)
    _image(image, result, frames, len(planes.positions))
    put(image, "SOPInstanceUID", identity.uid(f"{facts.role}/instance"))
    put(image, "ReferencedSeriesSequence", referenced_series(frames))
    put(image, "SourceImageEvidenceSequence", [_evidence(frames)])
    _dimensions(image, identity.uid(f"{facts.role}/dimensions"))
    put(image, "SharedFunctionalGroupsSequence", [_shared(image, result, frames, identity, planes, stored)])
    put(image, "PerFrameFunctionalGroupsSequence", [_of_frame(index, planes) for index in range(len(planes.positions))])
    _pixel_module(image, planes)
    parts = Template(image, ()).filled(Dataset(), stored.array.data)
    return EncodedImage(UID(facts.sop_class_uid), image.SOPInstanceUID, image.SeriesInstanceUID, parts)


def _image(image: Dataset, result: SequenceResult, frames: Sequence[SourceFrame], count: int) -> None:
    """Enhanced MR Image module (C.8.13.1) of a derived image, and what the multi-frame modules say of the whole."""
    burned_in = any(frame.header.get("BurnedInAnnotation") == "YES" for frame in frames)
    values: dict[str, object] = {
        "ImageType": ["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"],
        **_description(result),
        "ContentQualification": "RESEARCH",
        # Classic images do not say it, and readers ask for it: IEC 60601-2-33 is what MR scanners are built to.
        "ApplicableSafetyStandardAgency": frames[0].header.get("ApplicableSafetyStandardAgency") or "IEC",
        "InstanceNumber": 1,
        "NumberOfFrames": count,
        "AcquisitionContextSequence": [],
        "PresentationLUTShape": "IDENTITY",
        # Required here, unlike in a classic image; nothing is drawn, and no source says otherwise.
        "BurnedInAnnotation": "YES" if burned_in else "NO",
        "LossyImageCompression": image.get("LossyImageCompression") or "00",
    }
    put_all(image, values)


def _evidence(frames: Sequence[SourceFrame]) -> Dataset:
    """What is named in functional groups, by study and series (SOP Instance Reference macro, table C.17-3)."""
    series = []
    for named in referenced_series(frames):
        objects = {
            "SeriesInstanceUID": named.SeriesInstanceUID,
            "ReferencedSOPSequence": named.ReferencedInstanceSequence,
        }
        series.append(_item(objects))
    return _item({"StudyInstanceUID": frames[0].header.StudyInstanceUID, "ReferencedSeriesSequence": series})


def _description(result: SequenceResult) -> dict[str, object]:
    """MR Image Description macro (C.8.13.3.1), of the image and of its frames."""
    return {
        "PixelPresentation": "MONOCHROME",
        "VolumetricProperties": "VOLUME",
        "VolumeBasedCalculationTechnique": "NONE",
        "ComplexImageComponent": "MAGNITUDE",
        "AcquisitionContrast": _CONTRAST[result.sequence],
    }


def _dimensions(image: Dataset, uid: UID) -> None:
    indices = []
    for keyword, label in _DIMENSIONS:
        values = {
            "DimensionOrganizationUID": uid,
            "DimensionIndexPointer": Tag(keyword),
            "FunctionalGroupPointer": Tag("FrameContentSequence"),
            "DimensionDescriptionLabel": label,
        }
        indices.append(_item(values))
    put(image, "DimensionOrganizationSequence", [_item({"DimensionOrganizationUID": uid})])
    put(image, "DimensionIndexSequence", indices)
    put(image, "DimensionOrganizationType", "3D")


def _shared(
    image: Dataset,
    result: SequenceResult,
    frames: Sequence[SourceFrame],
    identity: Identity,
    planes: ImagePlanes,
    stored: StoredValues,
) -> Dataset:
    """What holds for every frame; every one is derived from the whole acquired stack."""
    low, high = grey_range(stored.array)
    slope = stored.slope
    spacing = [decimal(value) for value in planes.pixel_spacing]
    step = decimal(planes.step_mm)
    groups: dict[str, dict[str, object]] = {
        "PixelMeasuresSequence": {"PixelSpacing": spacing, "SliceThickness": step, "SpacingBetweenSlices": step},
        "PlaneOrientationSequence": {"ImageOrientationPatient": [decimal(value) for value in planes.orientation]},
        "FrameAnatomySequence": {
            "FrameLaterality": "U",
            "AnatomicRegionSequence": [CodedConcept.from_code(codes.SCT.Pelvis)],
        },
        "MRImageFrameTypeSequence": {"FrameType": list(image.ImageType), **_description(result)},
        "PixelValueTransformationSequence": {
            "RescaleIntercept": "0",
            "RescaleSlope": decimal(slope),
            "RescaleType": "US",
        },
        "FrameVOILUTSequence": {
            "WindowCenter": decimal(round((low + high) / 2 * slope, 4)),
            "WindowWidth": decimal(round(max(high - low, 1.0) * slope, 4)),
        },
        "DerivationImageSequence": {
            **derived_mr.derivation(result, identity),
            "SourceImageSequence": source_image_items(frames, preserved=False),
        },
    }
    return _item({keyword: [_item(values)] for keyword, values in groups.items()})


def _of_frame(index: int, planes: ImagePlanes) -> Dataset:
    content = {"StackID": _STACK, "InStackPositionNumber": index + 1, "DimensionIndexValues": [1, index + 1]}
    position = {"ImagePositionPatient": [decimal(value) for value in planes.positions[index]]}
    return _item({"FrameContentSequence": [_item(content)], "PlanePositionSequence": [_item(position)]})


def _pixel_module(image: Dataset, planes: ImagePlanes) -> None:
    values: dict[str, object] = {
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": planes.rows,
        "Columns": planes.columns,
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 1,
    }
    put_all(image, values)


def _item(values: Mapping[str, object]) -> Dataset:
    item = Dataset()
    put_all(item, values)
    return item
