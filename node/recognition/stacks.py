"""A series split into volumes: by lattice, orientation, kind, b-value and direction, then by what repeats.

A key that is needed only where slice positions repeat (echo, flip angle, time) is tried only there, so a value
that happens to vary from slice to slice never tears a volume apart. The first key that explains the repetition
consistently at every position is taken and named; without one the frames are E-SPLIT-UNEXPLAINED.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from node.recognition.facts import Fault, FrameFacts, ImageKind, Placement
from node.recognition.geometry import Grid, check_stack, normal_of, plane_of
from node.recognition.splitting import Frames, slice_slots, split_repeated

_DIFFUSION_KINDS = frozenset({ImageKind.ACQUIRED, ImageKind.TRACE, ImageKind.CALCULATED})
_ORIENTATION_TOLERANCE = 1e-3
_DIRECTION_TOLERANCE = 0.02
_REPEATED_SHARE = 0.3
_STRAY_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Volume:
    """Frames that make one stack, sorted along the normal where the geometry holds; else `fault` says why."""

    frames: Frames
    plane: str = ""
    angle_deg: float = 0.0
    grid: Grid | None = None
    fault: Fault | None = None
    split_by: tuple[str, ...] = ()

    @property
    def first(self) -> FrameFacts:
        """The first frame, which speaks for the volume where all frames agree."""
        return self.frames[0]

    @property
    def key(self) -> str:
        """What tells this volume from every other: its first frame belongs to no other; as `Stack.key`."""
        return f"{self.first.header.key}#{self.first.frame}"

    @property
    def former_key(self) -> str:
        """Its key in records from before a SOP Instance UID could stand in several series."""
        return f"{self.first.header.sop_instance_uid}#{self.first.frame}"


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
    return tuple(_incomplete(_mixed(volumes)) + _unlocated(lost))


def orientation_sizes(frames: Frames) -> tuple[int, ...]:
    """How many frames each orientation has, to about a degree."""
    clusters = _Clusters(_DIRECTION_TOLERANCE)
    placed = (frame.placement for frame in frames if frame.placement)
    return tuple(Counter(clusters.index((*each.row_direction, *each.column_direction)) for each in placed).values())


def _hard_groups(frames: Frames) -> list[Frames]:
    weighted = diffusion_weighted(frames)
    orientations = _Clusters(_ORIENTATION_TOLERANCE)
    directions = _Clusters(_DIRECTION_TOLERANCE)
    groups: dict[tuple[object, ...], list[FrameFacts]] = defaultdict(list)
    for frame in frames:
        placement = frame.placement
        assert placement is not None
        orientation = orientations.index((*placement.row_direction, *placement.column_direction))
        groups[
            (
                orientation,
                _lattice(placement),
                frame.kind.name,
                *(_diffusion_key(frame, directions) if weighted else ()),
            )
        ].append(frame)
    return [tuple(groups[key]) for key in sorted(groups, key=str)]


def _lattice(placement: Placement) -> tuple[object, ...]:
    spacing = tuple(round(value, 4) for value in placement.spacing)
    return placement.rows, placement.columns, spacing, placement.frame_of_reference_uid, placement.stack


def _diffusion_key(frame: FrameFacts, directions: _Clusters) -> tuple[object, ...]:
    if frame.kind not in _DIFFUSION_KINDS:
        return ()
    b_value, direction = frame.diffusion.b_value, frame.diffusion.direction
    directional = frame.kind is ImageKind.ACQUIRED and (b_value or 0) > 0 and direction and any(direction)
    return (
        -1 if b_value is None else round(b_value),
        directions.index(direction) if directional and direction else -1,
    )


class _Clusters:
    """Numbers vectors so that vectors within a tolerance share a number."""

    def __init__(self, tolerance: float) -> None:
        self._tolerance = tolerance
        self._centres: list[np.ndarray] = []

    def index(self, vector: Sequence[float]) -> int:
        candidate = np.asarray(vector)
        for number, centre in enumerate(self._centres):
            if float(np.abs(candidate - centre).max()) <= self._tolerance:
                return number
        self._centres.append(candidate)
        return len(self._centres) - 1


def _volumes(frames: Frames, split_by: tuple[str, ...]) -> list[Volume]:
    """One volume when no position repeats, else the parts that a key explains."""
    slots = slice_slots(frames)
    counts = Counter(slots)
    repeated = sum(count > 1 for count in counts.values())
    if repeated <= _REPEATED_SHARE * len(counts):
        return [_volume(frames, split_by)]
    found = split_repeated(frames, slots)
    if found is not None:
        name, parts = found
        return [volume for part in parts for volume in _volumes(part, (*split_by, name))]
    spread = ", ".join(f"{number} positions x {count}" for count, number in sorted(Counter(counts.values()).items()))
    return [_broken(frames, Fault("E-SPLIT-UNEXPLAINED", f"no element tells repeated slices apart: {spread}"))]


def _volume(frames: Frames, split_by: tuple[str, ...]) -> Volume:
    placements = tuple(frame.placement for frame in frames if frame.placement)
    checked = check_stack(placements)
    if isinstance(checked, Fault):
        return replace(_broken(frames, checked), split_by=split_by)
    plane, angle = plane_of(placements[0])
    ordered = tuple(frames[index] for index in checked.order)
    return Volume(ordered, plane, angle, grid=checked, split_by=split_by)


def _broken(frames: Frames, fault: Fault) -> Volume:
    placement = frames[0].placement
    plane, angle = plane_of(placement) if placement else ("", 0.0)
    return Volume(frames, plane, angle, fault=fault)


def _mixed(volumes: list[Volume]) -> list[Volume]:
    """A few stray frames beside a stack: the stack has lost them, and which is right cannot be told."""
    strays: dict[int, Fault] = {}
    for number, volume in enumerate(volumes):
        for other in volumes:
            if len(other.frames) < _STRAY_SHARE * len(volume.frames) and _same_weighting(volume, other):
                strays[number] = _stray_fault(volume, other)
    return [
        replace(volume, grid=None, fault=strays[number]) if number in strays else volume
        for number, volume in enumerate(volumes)
    ]


def _same_weighting(one: Volume, other: Volume) -> bool:
    return one.first.kind is other.first.kind and one.first.diffusion.b_value == other.first.diffusion.b_value


def _stray_fault(volume: Volume, other: Volume) -> Fault:
    one, two = volume.first.placement, other.first.placement
    assert one is not None
    assert two is not None
    count = f"{len(other.frames)} of {len(volume.frames) + len(other.frames)} frames"
    if one.frame_of_reference_uid != two.frame_of_reference_uid:
        return Fault("E-FOR", f"{count} lie in another frame of reference")
    if (one.rows, one.columns, one.spacing) != (two.rows, two.columns, two.spacing):
        return Fault("E-MIXED-MATRIX", f"{count} have another matrix or pixel spacing")
    if one.stack != two.stack:
        return Fault("E-STACK-OVERLAP", f"{count} belong to another stack")
    return Fault("E-MIXED-ORIENT", f"{count} have another orientation")


def _incomplete(volumes: list[Volume]) -> list[Volume]:
    """Volumes of one lattice in one series have the same slices; one with fewer lost some at its ends."""
    most: dict[object, int] = defaultdict(int)
    for volume in volumes:
        most[_sibling_key(volume)] = max(most[_sibling_key(volume)], len(volume.frames))
    return [_compared(volume, most[_sibling_key(volume)]) for volume in volumes]


def _compared(volume: Volume, most: int) -> Volume:
    if volume.fault or len(volume.frames) == most:
        return volume
    reason = f"{len(volume.frames)} of {most} slices, compared with other volumes of the series"
    return replace(volume, grid=None, fault=Fault("E-SLICE-MISSING", reason))


def _sibling_key(volume: Volume) -> object:
    placement = volume.first.placement
    assert placement is not None
    normal = tuple(round(abs(component), 2) for component in normal_of(placement))
    return normal, _lattice(placement), volume.first.kind.name


def _unlocated(frames: Frames) -> list[Volume]:
    groups: dict[tuple[object, ...], list[FrameFacts]] = defaultdict(list)
    for frame in frames:
        groups[(frame.header.sheet_fault, frame.kind.name, frame.diffusion.b_value)].append(frame)
    return [
        _broken(tuple(group), _unlocated_fault(group[0]))
        for _, group in sorted(groups.items(), key=lambda e: str(e[0]))
    ]


def _unlocated_fault(frame: FrameFacts) -> Fault:
    return frame.header.sheet_fault or Fault("E-IOP", "no position, orientation or pixel spacing")
