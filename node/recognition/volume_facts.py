"""Facts of a volume that the rules look at, gathered from its frames and from the series that it stands in."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydicom.uid import EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage, MRImageStorage

from node.recognition.facts import Directionality, FrameFacts, ImageKind
from node.recognition.splitting import Frames
from node.recognition.stacks import Volume, diffusion_weighted, orientation_sizes

MR_IMAGES = frozenset({MRImageStorage, EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage})
# Fewer slices than this in one orientation are no stack to read.
LOCALIZER_SLICES = 6
_LOCALIZER_WORDS = frozenset({"localizer", "localiser", "scout", "survey", "3-pl", "aahscout", "loc", "定位"})
_DIFFUSION_WORDS = ("dwi", "ddwi", "cdwi", "edwi", "dti", "diff", "ep2d", "弥散", "扩散")


@dataclass(frozen=True, slots=True)
class VolumeFacts:
    """What the conditions look at: facts of the volume and of the series that it stands in."""

    mr_image: bool
    kind: ImageKind
    monochrome: bool
    acquisition_type: str
    tr_ms: float | None
    te_ms: float | None
    ti_ms: float | None
    flip_deg: float | None
    echo_train: float | None
    spin_echo: bool
    gradient_echo: bool
    inversion_recovery: bool
    echo_planar: bool
    single_shot: bool
    balanced: bool
    diffusion_weighted: bool
    diffusion_named: bool
    b_value: float | None
    highest_b_value: float | None
    directional: bool
    localizer: bool


def describe(volume: Volume, series: Frames) -> VolumeFacts:
    """The facts of a volume that the table looks at; `series` holds all frames of its series."""
    frame = volume.first
    sequence = frame.sequence
    return VolumeFacts(
        mr_image=frame.header.sop_class_uid in MR_IMAGES,
        kind=frame.kind,
        monochrome=frame.header.samples_per_pixel == 1,
        acquisition_type=sequence.acquisition_type,
        tr_ms=sequence.tr_ms,
        te_ms=sequence.te_ms,
        ti_ms=sequence.ti_ms or None,
        flip_deg=sequence.flip_deg,
        echo_train=sequence.echo_train,
        spin_echo=sequence.spin_echo,
        gradient_echo=sequence.gradient_echo and not sequence.spin_echo,
        inversion_recovery=sequence.inversion_recovery,
        echo_planar=sequence.echo_planar,
        single_shot=sequence.single_shot,
        balanced=sequence.balanced,
        diffusion_weighted=diffusion_weighted(series),
        diffusion_named=any(word.startswith(_DIFFUSION_WORDS) for word in _words(frame)),
        b_value=frame.diffusion.b_value,
        highest_b_value=max((entry.diffusion.b_value or 0 for entry in series), default=None),
        directional=_directional(frame),
        localizer=_localizer(frame, series),
    )


def _directional(frame: FrameFacts) -> bool:
    """A single gradient direction, or an image of a tensor run; the combined images are what is wanted."""
    if frame.kind is ImageKind.TRACE or not (frame.diffusion.b_value or 0) > 0:
        return False
    if frame.diffusion.directionality is Directionality.DIRECTIONAL or frame.diffusion.tensor:
        return True
    return bool(frame.diffusion.direction and any(frame.diffusion.direction))


def _localizer(frame: FrameFacts, series: Frames) -> bool:
    if frame.header.three_planes:
        return True
    sizes = orientation_sizes(series)
    few = max(sizes, default=0) < LOCALIZER_SLICES
    named = bool(_words(frame) & _LOCALIZER_WORDS) or "AAHSCOUT" in frame.sequence.name.upper()
    return (len(sizes) > 1 and (few or named)) or (few and named)


def _words(frame: FrameFacts) -> set[str]:
    """Whole words of the texts, in lower case: `loc` also sits in `block`."""
    return set(re.split(r"[\s_\-]+", f"{frame.header.description} {frame.header.protocol}".lower()))
