"""A series split into volumes: by lattice, orientation, kind, b-value and direction, then by what repeats.

A key that is needed only where slice positions repeat (echo, flip angle, time) is tried only there, so a value
that happens to vary from slice to slice never tears a volume apart. The first key that explains the repetition
consistently at every position is taken and named; without one the frames are E-SPLIT-UNEXPLAINED. Slices of one
acquisition stay together: a slice that was acquired again makes a volume of its own and replaces none.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from node.codes import Code
from node.recognition.header.facts import Fault, FrameFacts, ImageKind
from node.recognition.volumes.geometry import StackGeometry, check_stack, plane_of
from node.recognition.volumes.lattices import SAME_B_VALUE, SAME_SPACING_MM, Clusters, Lattices
from node.recognition.volumes.splitting import Frames, slice_slots, split_repeated

_DIFFUSION_KINDS = frozenset({ImageKind.ACQUIRED, ImageKind.TRACE, ImageKind.CALCULATED})
_ORIENTATION_TOLERANCE = 1e-3
_DIRECTION_TOLERANCE = 0.02
_PARALLEL_TOLERANCE = 0.01
_REPEATED_SHARE = 0.3
_STRAY_SHARE = 0.3
# A volume that ends this share of a step before another has lost a slice there.
_LOST_SHARE = 0.75


@dataclass(frozen=True, slots=True)
class VolumeKey:
    """A volume within its study: its series, and its number among the volumes of the series, from 0."""

    series_instance_uid: str
    number: int


@dataclass(frozen=True, slots=True)
class Volume:
    """Frames that make one stack, sorted along the normal where the geometry holds; else `fault` says why.

    `number` counts the volumes of a series in the order of `split_series`.
    """

    frames: Frames
    plane: str = ""
    angle_deg: float = 0.0
    geometry: StackGeometry | None = None
    fault: Fault | None = None
    split_by: tuple[str, ...] = ()
    number: int = 0

    @property
    def first(self) -> FrameFacts:
        """The first frame, which speaks for the volume where all frames agree."""
        return self.frames[0]

    @property
    def key(self) -> VolumeKey:
        """Its key among all volumes that are planned together."""
        return VolumeKey(self.first.header.series_instance_uid, self.number)

    @property
    def stack_key(self) -> str:
        """The key in records, `Stack.key` and `DynamicPhase.key`: its first frame, which no other volume has."""
        return f"{self.first.header.key}#{self.first.frame}"

    @property
    def former_stack_key(self) -> str:
        """Its key in records from before a SOP Instance UID could stand in several series."""
        return f"{self.first.header.sop_instance_uid}#{self.first.frame}"

    @property
    def slices(self) -> int:
        """How many slice positions there are; one that repeats counts once."""
        return len(self.frames) if self.geometry or self.first.placement is None else len(set(slice_slots(self.frames)))


def diffusion_weighted(frames: Sequence[FrameFacts]) -> bool:
    """Whether b-values count in these frames: b = 0 alone, without a declaration, proves nothing."""
    return any(
        frame.diffusion.declared or frame.kind is ImageKind.TRACE or (frame.diffusion.b_value or 0) > 0
        for frame in frames
        if frame.kind in _DIFFUSION_KINDS
    )


def split_series(frames: Frames) -> tuple[Volume, ...]:
    """All volumes of one series, in an order that does not depend on the order of the files."""
    ordered = tuple(sorted(frames, key=lambda frame: (frame.header.sop_instance_uid, frame.frame)))
    located = tuple(frame for frame in ordered if frame.placement and frame.header.sheet_fault is None)
    lost = tuple(frame for frame in ordered if frame.placement is None or frame.header.sheet_fault is not None)
    groups = _hard_groups(located)
    volumes = [volume for group in groups for volume in _volumes(group, ())]
    unmixed = [_unless(_strayed(volume, volumes), volume) for volume in volumes]
    numbered = enumerate(_incomplete(unmixed) + _unlocated(lost))
    return tuple(replace(volume, number=number) for number, volume in numbered)


def lost_ends(volume: Volume, others: Sequence[Volume], among: str) -> Fault | None:
    """E-SLICE-MISSING for a volume that ends before one of `others`, which share its lattice; `among` names them.

    Slice positions are compared, so that images stored twice or averaged at each position are no measure of what
    a volume lacks; nor is a volume whose slices do not lie evenly.
    """
    if volume.geometry is None:
        return None
    normal = np.asarray(volume.geometry.normal)
    measures = [other for other in others if other is volume or _lies_evenly(other)]
    spans = [_span(other, normal) for other in measures]
    # One slice has no step, a hole makes it look longer.
    steps = [(high - low) / (m.slices - 1) for m, (low, high) in zip(measures, spans, strict=True) if m.slices > 1]
    step_mm = min(steps, default=volume.geometry.slice_step_mm)
    own = _span(volume, normal)
    before, behind = own[0] - min(low for low, _ in spans), max(high for _, high in spans) - own[1]
    lost = sum(math.floor(gap / step_mm + 1 - _LOST_SHARE) for gap in (before, behind))
    if not lost:
        return None
    return Fault(Code.SLICE_MISSING, f"{volume.slices} of {volume.slices + lost} slices, compared with {among}")


def _span(volume: Volume, normal: np.ndarray) -> tuple[float, float]:
    """The first and the last slice position along a unit vector (3,), LPS; mm."""
    along = np.asarray([frame.placement.position for frame in volume.frames if frame.placement]) @ normal
    return float(along.min()), float(along.max())


def _lies_evenly(volume: Volume) -> bool:
    """Whether the slice positions make a stack, if with holes, however often each of them repeats."""
    if volume.geometry is not None:
        return True
    single = {slot: frame.placement for slot, frame in zip(slice_slots(volume.frames), volume.frames, strict=True)}
    checked = check_stack(tuple(placement for placement in single.values() if placement))
    return isinstance(checked, StackGeometry) or checked.code == Code.SLICE_MISSING


def orientation_sizes(frames: Frames) -> tuple[int, ...]:
    """How many slice positions each orientation has, to about a degree."""
    clusters = Clusters(_DIRECTION_TOLERANCE)
    groups: dict[tuple[float, ...], list[FrameFacts]] = defaultdict(list)
    for frame in frames:
        if frame.placement:
            groups[clusters.centre((*frame.placement.row_direction, *frame.placement.column_direction))].append(frame)
    return tuple(len(set(slice_slots(tuple(group)))) for group in groups.values())


def _hard_groups(frames: Frames) -> list[Frames]:
    weighted = diffusion_weighted(frames)
    lattices = Lattices(_ORIENTATION_TOLERANCE)
    b_values, directions = Clusters(SAME_B_VALUE), Clusters(_DIRECTION_TOLERANCE)
    groups: dict[tuple[object, ...], list[FrameFacts]] = defaultdict(list)
    for frame in frames:
        placement = frame.placed
        lattice = lattices.key(placement, (*placement.row_direction, *placement.column_direction))
        diffusion = _diffusion_key(frame, b_values, directions) if weighted else ()
        groups[(*lattice, frame.kind.name, *diffusion)].append(frame)
    return [tuple(groups[key]) for key in sorted(groups, key=str)]


def _diffusion_key(frame: FrameFacts, b_values: Clusters, directions: Clusters) -> tuple[object, ...]:
    """b-value and direction; by its number where only that is known."""
    if frame.kind not in _DIFFUSION_KINDS:
        return ()
    diffusion = frame.diffusion
    if diffusion.b_value is None:
        return (-1,)
    b_value = b_values.centre((diffusion.b_value,))
    if frame.kind is not ImageKind.ACQUIRED or not diffusion.b_value > 0:
        return (b_value,)
    if diffusion.direction is None:
        return b_value, diffusion.direction_number
    return b_value, directions.centre(diffusion.direction) if any(diffusion.direction) else None


def _volumes(frames: Frames, split_by: tuple[str, ...]) -> list[Volume]:
    """One volume when no position repeats, else the parts that a key explains."""
    slots = slice_slots(frames)
    counts = Counter(slots)
    repeated = sum(count > 1 for count in counts.values())
    if not repeated:
        return [_volume(frames, split_by)]
    found = split_repeated(frames, slots)
    if found is not None:
        name, parts = found
        return [volume for part in parts for volume in _volumes(part, (*split_by, name))]
    if repeated <= _REPEATED_SHARE * len(counts):
        return [_volume(frames, split_by)]
    spread = ", ".join(f"{number} positions x {count}" for count, number in sorted(Counter(counts.values()).items()))
    return [
        _broken(
            frames, Fault(Code.SPLIT_UNEXPLAINED, f"no element parts the repeated slices into whole sets: {spread}")
        )
    ]


def _volume(frames: Frames, split_by: tuple[str, ...]) -> Volume:
    placements = tuple(frame.placement for frame in frames if frame.placement)
    checked = check_stack(placements)
    if isinstance(checked, Fault):
        return replace(_broken(frames, checked), split_by=split_by)
    plane, angle = plane_of(placements[0])
    ordered = tuple(frames[index] for index in checked.order)
    return Volume(ordered, plane, angle, geometry=checked, split_by=split_by)


def _broken(frames: Frames, fault: Fault) -> Volume:
    placement = frames[0].placement
    plane, angle = plane_of(placement) if placement else ("", 0.0)
    return Volume(frames, plane, angle, fault=fault)


def _strayed(volume: Volume, others: list[Volume]) -> Fault | None:
    """A few stray frames beside a stack: the stack has lost them, and which is right cannot be told."""
    frame = volume.first
    few = [
        it
        for it in others
        if it.slices < _STRAY_SHARE * volume.slices
        and it.first.kind is frame.kind
        and it.first.diffusion.b_value == frame.diffusion.b_value
    ]
    faults = [fault for other in few if (fault := _stray_fault(volume, other)) is not None]
    return faults[-1] if faults else None


def _unless(fault: Fault | None, volume: Volume) -> Volume:
    """The volume, of which a fault leaves no geometry."""
    return volume if fault is None else replace(volume, geometry=None, fault=fault)


def _stray_fault(volume: Volume, other: Volume) -> Fault | None:
    """The difference that parts the frames of two volumes; None where they lie on one lattice."""
    one, two = volume.first.placed, other.first.placed
    count = f"{len(other.frames)} of {len(volume.frames) + len(other.frames)} frames"
    if one.frame_of_reference_uid != two.frame_of_reference_uid:
        return Fault(Code.FOR, f"{count} lie in another frame of reference")
    apart_mm = max(abs(a - b) for a, b in zip(one.spacing, two.spacing, strict=True))
    if (one.rows, one.columns) != (two.rows, two.columns) or apart_mm > SAME_SPACING_MM:
        return Fault(Code.MIXED_MATRIX, f"{count} have another matrix or pixel spacing")
    if one.stack != two.stack:
        return Fault(Code.STACK_OVERLAP, f"{count} belong to another stack")
    directions = (*one.row_direction, *one.column_direction), (*two.row_direction, *two.column_direction)
    if np.allclose(*directions, rtol=0, atol=_ORIENTATION_TOLERANCE):
        return None
    return Fault(Code.MIXED_ORIENT, f"{count} have another orientation")


def _incomplete(volumes: list[Volume]) -> list[Volume]:
    """Volumes of one lattice in one series have the same slices; one with fewer lost some at its ends."""
    lattices = Lattices(_PARALLEL_TOLERANCE)
    siblings: dict[tuple[object, ...], list[Volume]] = defaultdict(list)
    keys = []
    for volume in volumes:
        placement = volume.first.placed
        keys.append((*lattices.key(placement, np.abs(placement.normal).tolist()), volume.first.kind.name))
        siblings[keys[-1]].append(volume)
    return [
        _unless(lost_ends(volume, siblings[key], "other volumes of the series"), volume)
        for volume, key in zip(volumes, keys, strict=True)
    ]


def _unlocated(frames: Frames) -> list[Volume]:
    groups: dict[tuple[object, ...], list[FrameFacts]] = defaultdict(list)
    for frame in frames:
        groups[(frame.header.sheet_fault, frame.kind.name, frame.diffusion.b_value)].append(frame)
    nowhere = Fault(Code.IOP, "no position, orientation or pixel spacing")
    return [
        _broken(tuple(group), group[0].header.sheet_fault or nowhere)
        for _, group in sorted(groups.items(), key=lambda e: str(e[0]))
    ]
