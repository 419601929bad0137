"""Frames of an Enhanced MR instance from its shared and per-frame functional groups (PS3.3 C.7.6.16)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pydicom import Dataset

from node.recognition.header import elements as read
from node.recognition.header.facts import (
    BValue,
    Diffusion,
    Directionality,
    FrameFacts,
    ImageKind,
    PulseSequence,
    Timing,
)
from node.recognition.header.kinds import image_kind, told_by_diffusion
from node.recognition.header.placement import acquired_matrix, placement
from node.recognition.header.words import Words


def frames(dataset: Dataset, image: Callable[[int], FrameFacts], vocabulary: Words) -> tuple[FrameFacts, ...]:
    """One set of facts a frame; `image` tells what is known of a 0-based frame beside its functional groups."""
    shared = read.item(dataset, "SharedFunctionalGroupsSequence")
    own_groups = enumerate(read.datasets(dataset, "PerFrameFunctionalGroupsSequence"))
    made = (_frame(dataset, image(index), shared, own, index, vocabulary) for index, own in own_groups)
    return tuple(made) or (image(0),)


def _frame(
    dataset: Dataset, instance: FrameFacts, shared: Dataset, own: Dataset, index: int, vocabulary: Words
) -> FrameFacts:
    def group(keyword: str) -> Dataset:
        return read.item(own if keyword in own else shared, keyword)

    content = group("FrameContentSequence")
    image_type = read.texts(group("MRImageFrameTypeSequence"), "FrameType") or instance.image_type
    diffusion = _diffusion(group("MRDiffusionSequence"), instance.diffusion)
    kind, kind_source = _kind(instance, image_type, group("MRImageFrameTypeSequence"), diffusion, vocabulary)
    transformation = group("PixelValueTransformationSequence")
    return replace(
        instance,
        frame=index,
        kind=kind,
        kind_source=kind_source,
        image_type=image_type,
        diffusion=diffusion,
        timing=_timing(content, instance.timing),
        sequence=_sequence(dataset, instance.sequence, group),
        scaling=read.scaling(transformation, instance.scaling.scale_slope) if transformation else instance.scaling,
        placement=placement(
            dataset,
            position=read.vector(group("PlanePositionSequence"), "ImagePositionPatient"),
            orientation=read.numbers(group("PlaneOrientationSequence"), "ImageOrientationPatient"),
            measures=group("PixelMeasuresSequence"),
            stack=read.text(content, "StackID"),
            acquired=acquired_matrix(group("MRFOVGeometrySequence"))
            or (instance.placement.acquired if instance.placement else acquired_matrix(dataset)),
        ),
        contrast_phase=read.text(group("ContrastBolusUsageSequence"), "ContrastBolusAgentPhase").upper(),
    )


def _kind(
    instance: FrameFacts, image_type: tuple[str, ...], group: Dataset, diffusion: Diffusion, vocabulary: Words
) -> tuple[ImageKind, str]:
    if instance.kind is ImageKind.OWN_RESULT:
        return instance.kind, instance.kind_source
    header = instance.header
    component = read.text(group, "ComplexImageComponent").upper()
    if component in {"PHASE", "REAL", "IMAGINARY"}:
        return ImageKind.NOT_MAGNITUDE, f"Complex Image Component {component}"
    kind, source = image_kind(header.vendor, image_type, header.description, instance.sequence.name, vocabulary)
    if kind is ImageKind.ACQUIRED and instance.kind is ImageKind.NOT_MAGNITUDE and component != "MAGNITUDE":
        return instance.kind, instance.kind_source
    return told_by_diffusion(kind, source, diffusion)


def _diffusion(group: Dataset, instance: Diffusion) -> Diffusion:
    b_value = read.number(group, "DiffusionBValue")
    if b_value is None:
        return instance
    return replace(
        instance,
        b_values=(BValue(b_value, "(0018,9087)"),),
        directionality=Directionality.of(read.text(group, "DiffusionDirectionality")),
        direction=read.vector(read.item(group, "DiffusionGradientDirectionSequence"), "DiffusionGradientOrientation"),
        declared=True if b_value > 0 else instance.declared,
    )


def _timing(content: Dataset, instance: Timing) -> Timing:
    started = read.datetime_s(content, "FrameAcquisitionDateTime")
    if started is None:
        started = read.datetime_s(content, "FrameReferenceDateTime")
    duration_ms = read.number(content, "FrameAcquisitionDuration")
    return replace(
        instance,
        acquisition_s=instance.acquisition_s if started is None else started,
        duration_s=instance.duration_s if duration_ms is None else duration_ms / 1000,
        temporal_index=read.integer(content, "TemporalPositionIndex"),
        acquisition_number=read.integer(content, "FrameAcquisitionNumber") or instance.acquisition_number,
    )


def _sequence(dataset: Dataset, top: PulseSequence, group: Callable[[str], Dataset]) -> PulseSequence:
    timing = group("MRTimingAndRelatedParametersSequence")
    modifier = group("MRModifierSequence")
    echo_pulse = read.text(dataset, "EchoPulseSequence").upper()
    suppression = read.text(modifier, "SpectrallySelectedSuppression").upper()
    inversion = read.text(modifier, "InversionRecovery").upper() == "YES"
    steady_state = read.text(dataset, "SteadyStatePulseSequence").upper()
    return replace(
        top,
        spin_echo=top.spin_echo or echo_pulse in {"SPIN", "BOTH"},
        gradient_echo="GRADIENT" in echo_pulse if echo_pulse else top.gradient_echo,
        inversion_recovery=top.inversion_recovery or inversion,
        balanced=top.balanced or steady_state not in {"", "NONE"},
        fat_suppressed=top.fat_suppressed or suppression in {"FAT", "FAT_AND_WATER"},
        echo_train=read.first(
            (read.number(timing, "RFEchoTrainLength"), read.number(timing, "EchoTrainLength"), top.echo_train)
        ),
        tr_ms=read.first((read.number(timing, "RepetitionTime"), top.tr_ms)),
        te_ms=read.first((read.number(group("MREchoSequence"), "EffectiveEchoTime"), top.te_ms)),
        ti_ms=read.first((*read.numbers(modifier, "InversionTimes")[:1], top.ti_ms)),
        flip_deg=read.first((read.number(timing, "FlipAngle"), top.flip_deg)),
    )
