"""Facts of a volume that the rules look at, gathered from its frames and from the series that it stands in."""

from __future__ import annotations

from dataclasses import dataclass, fields

from node.recognition.header.facts import (
    SOP_CLASS,
    Directionality,
    FrameFacts,
    ImageKind,
    SequenceParameters,
    Vendor,
)
from node.recognition.header.words import Words
from node.recognition.volumes.splitting import Frames
from node.recognition.volumes.stacks import Volume, diffusion_weighted, orientation_sizes
from storage.reopening import MR_IMAGES

# Fewer slices than this in one orientation are no stack to read.
LOCALIZER_SLICES = 6


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact as people call it, its unit, whether it is a text, and whether somebody typed that text."""

    label: str
    unit: str = ""
    text: bool = False
    typed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeFacts(SequenceParameters):
    """Facts that conditions compare: of the volume and of the series that it stands in.

    Those of its pulse sequence are inherited. Times are ms, angles degrees, lengths mm, b-values s/mm², field strength
    T; None where the header does not say.
    """

    damaged: bool
    mr_image: bool
    kind: ImageKind
    image_type: str
    sequence_name: str
    monochrome: bool
    vendor: Vendor
    model: str
    field_strength_t: float | None
    plane: str
    slices: float
    thickness_mm: float | None
    diffusion_weighted: bool
    diffusion_named: bool
    b_value: float | None
    highest_b_value: float | None
    directional: bool
    localizer: bool
    contrast_agent: bool
    description: str
    protocol: str


FACTS: dict[str, Fact] = {
    "damaged": Fact("damaged header (no SOP Class UID)"),
    "mr_image": Fact("MR image (SOP Class UID)"),
    "kind": Fact("kind of image"),
    "image_type": Fact("Image Type", text=True),
    "sequence_name": Fact("sequence name", text=True),
    "monochrome": Fact("monochrome"),
    "vendor": Fact("vendor"),
    "model": Fact("model", text=True, typed=True),
    "field_strength_t": Fact("field strength", "T"),
    "plane": Fact("plane"),
    "slices": Fact("slices"),
    "thickness_mm": Fact("slice thickness", "mm"),
    "acquisition_type": Fact("2D or 3D"),
    "tr_ms": Fact("repetition time", "ms"),
    "te_ms": Fact("echo time", "ms"),
    "ti_ms": Fact("inversion time", "ms"),
    "flip_deg": Fact("flip angle", "°"),
    "echo_train": Fact("echo train length"),
    "spin_echo": Fact("spin echo"),
    "gradient_echo": Fact("gradient echo"),
    "inversion_recovery": Fact("inversion recovery"),
    "echo_planar": Fact("echo planar"),
    "single_shot": Fact("single shot"),
    "balanced": Fact("balanced steady state"),
    "fat_suppressed": Fact("fat suppressed"),
    "diffusion_weighted": Fact("diffusion-weighted series"),
    "diffusion_named": Fact("called diffusion"),
    "b_value": Fact("b-value", "s/mm²"),
    "highest_b_value": Fact("highest b-value of the series", "s/mm²"),
    "directional": Fact("single diffusion direction"),
    "localizer": Fact("localizer (planes, slices, name)"),
    "contrast_agent": Fact("contrast agent stated"),
    "description": Fact("Series Description", text=True, typed=True),
    "protocol": Fact("Protocol Name", text=True, typed=True),
}


@dataclass(frozen=True, slots=True)
class SeriesContext:
    """The series that a volume stands in; `orientations` has the number of slice positions of each."""

    diffusion_weighted: bool
    highest_b_value: float | None
    orientations: tuple[int, ...]


def facts_of_series(frames: Frames) -> SeriesContext:
    """Gathered once: a dynamic run has hundreds of volumes."""
    highest = max((frame.diffusion.b_value or 0 for frame in frames), default=None)
    return SeriesContext(diffusion_weighted(frames), highest, orientation_sizes(frames))


def describe(volume: Volume, series: SeriesContext, vocabulary: Words) -> VolumeFacts:
    """The facts of a volume that the table looks at."""
    frame = volume.first
    header, sequence, placement = frame.header, frame.sequence, frame.placement
    parameters = {field.name: getattr(sequence, field.name) for field in fields(SequenceParameters)}
    parameters |= {
        "ti_ms": sequence.ti_ms or None,
        "gradient_echo": sequence.gradient_echo and not sequence.spin_echo,
    }
    return VolumeFacts(
        **parameters,
        damaged=SOP_CLASS in header.missing,
        mr_image=header.sop_class_uid in MR_IMAGES,
        kind=frame.kind,
        image_type="\\".join(frame.image_type),
        sequence_name=sequence.name,
        monochrome=header.samples_per_pixel == 1,
        vendor=header.vendor,
        model=header.model,
        field_strength_t=header.field_strength_t,
        plane=volume.plane,
        slices=float(len(volume.frames)),
        thickness_mm=placement.thickness_mm if placement else None,
        diffusion_weighted=series.diffusion_weighted,
        diffusion_named=vocabulary.say("diffusion", names(frame)),
        b_value=frame.diffusion.b_value,
        highest_b_value=series.highest_b_value,
        directional=_directional(frame),
        localizer=_localizer(frame, series, vocabulary),
        contrast_agent=header.contrast_agent is True,
        description=header.description,
        protocol=header.protocol,
    )


def sources(volume: Volume) -> dict[str, str]:
    """Where facts were read that can stand in several elements."""
    frame = volume.first
    found = {"kind": frame.kind_source}
    if frame.diffusion.b_values:
        found["b_value"] = frame.diffusion.b_values[0].source
    return {fact: source for fact, source in found.items() if source}


def names(frame: FrameFacts) -> str:
    """Series Description and Protocol Name; GE's Protocol Name is that of the whole examination and left out."""
    header = frame.header
    return header.description if header.vendor is Vendor.GE else f"{header.description} {header.protocol}"


def _directional(frame: FrameFacts) -> bool:
    """A single gradient direction, or an image of a tensor run; the combined images are what is wanted."""
    if frame.kind is ImageKind.TRACE or not (frame.diffusion.b_value or 0) > 0:
        return False
    if frame.diffusion.directionality is Directionality.DIRECTIONAL or frame.diffusion.tensor:
        return True
    return bool(frame.diffusion.direction and any(frame.diffusion.direction))


def _localizer(frame: FrameFacts, series: SeriesContext, vocabulary: Words) -> bool:
    if frame.header.three_planes:
        return True
    sizes = series.orientations
    few = max(sizes, default=0) < LOCALIZER_SLICES
    named = vocabulary.say("localizer", names(frame)) or "AAHSCOUT" in frame.sequence.name.upper()
    return (len(sizes) > 1 and (few or named)) or (few and named)
