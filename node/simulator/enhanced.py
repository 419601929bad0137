"""The slices of one or several volumes as one Enhanced MR Image instance (PS3.3 A.36)."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.uid import EnhancedMRImageStorage

from node.simulator.elements import standard

# What classic images have at the top level and an Enhanced one in its functional groups, or not at all.
_MOVED = (
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "SliceLocation",
    "RepetitionTime",
    "EchoTime",
    "EchoTrainLength",
    "FlipAngle",
    "DiffusionBValue",
    "DiffusionGradientOrientation",
    "DiffusionDirectionality",
    "ScanningSequence",
    "SequenceVariant",
    "ScanOptions",
    "EchoNumbers",
    "AcquisitionTime",
    "TriggerTime",
    "TemporalPositionIdentifier",
    "RescaleSlope",
    "RescaleIntercept",
)


@dataclass(frozen=True, slots=True)
class FrameTiming:
    """When a frame was measured: start as DT value, duration in s."""

    start: str
    duration_s: float


def enhanced(slices: Sequence[Dataset], b_values: Sequence[float | None], timing: Sequence[FrameTiming]) -> Dataset:
    """One instance with a frame a slice, in the order given; the slices are not changed.

    Args:
        slices: images of one series with the same matrix and physics. The instance takes the identifiers of the first.
        b_values: of each slice in s/mm², None for images that are not diffusion-weighted; weighted ones are taken as
            trace-weighted.
        timing: of each slice.
    """
    first = slices[0]
    instance = deepcopy(first)
    for keyword in _MOVED:
        instance.pop(keyword, None)
    instance.remove_private_tags()
    instance.SOPClassUID = EnhancedMRImageStorage
    instance.NumberOfFrames = len(slices)
    instance.update(_physics(first))
    instance.SharedFunctionalGroupsSequence = [_shared(first)]
    instance.PerFrameFunctionalGroupsSequence = [
        _frame(each, b_value, when) for each, b_value, when in zip(slices, b_values, timing, strict=True)
    ]
    instance.PixelData = b"".join(each.PixelData for each in slices)
    return instance


def _physics(first: Dataset) -> Dataset:
    names = first.ScanningSequence if isinstance(first.ScanningSequence, str) else list(first.ScanningSequence)
    planar = "EP" in names
    return standard(
        {
            "EchoPulseSequence": "GRADIENT" if "GR" in names else "SPIN",
            "EchoPlanarPulseSequence": "YES" if planar else "NO",
            "MultipleSpinEcho": "NO" if planar or "GR" in names else "YES",
        }
    )


def _shared(first: Dataset) -> Dataset:
    measures = {
        "PixelSpacing": first.PixelSpacing,
        "SliceThickness": first.SliceThickness,
        "SpacingBetweenSlices": first.get("SpacingBetweenSlices"),
    }
    timing = {
        "RepetitionTime": first.RepetitionTime,
        "FlipAngle": first.FlipAngle,
        "RFEchoTrainLength": int(first.get("EchoTrainLength") or 1),
    }
    return _groups(
        PixelMeasuresSequence=standard({name: value for name, value in measures.items() if value is not None}),
        PlaneOrientationSequence=standard({"ImageOrientationPatient": first.ImageOrientationPatient}),
        MRTimingAndRelatedParametersSequence=standard(timing),
        MREchoSequence=standard({"EffectiveEchoTime": float(first.EchoTime)}),
        MRImageFrameTypeSequence=standard({"FrameType": list(first.ImageType)}),
    )


def _frame(source: Dataset, b_value: float | None, when: FrameTiming) -> Dataset:
    content = {"FrameAcquisitionDateTime": when.start, "FrameAcquisitionDuration": when.duration_s * 1000}
    groups = _groups(
        PlanePositionSequence=standard({"ImagePositionPatient": source.ImagePositionPatient}),
        FrameContentSequence=standard(content),
    )
    if b_value is not None:
        directionality = "ISOTROPIC" if b_value else "NONE"
        weighting = {"DiffusionBValue": float(b_value), "DiffusionDirectionality": directionality}
        groups.MRDiffusionSequence = [standard(weighting)]
    return groups


def _groups(**macros: Dataset) -> Dataset:
    return standard({keyword: [macro] for keyword, macro in macros.items()})
