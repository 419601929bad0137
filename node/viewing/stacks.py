"""The volumes of a stored series, as its headers part them: by b-value, phase, echo and whatever else repeats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from node.recognition.header.facts import FrameFacts, Timing
from node.recognition.header.frames import read_frames, unreadable
from node.recognition.header.words import words
from node.recognition.volumes.stacks import Volume, diffusion_weighted, split_series
from node.viewing.lattice import Lattice


@dataclass(frozen=True, slots=True)
class Slice:
    """A frame of a file, 0-based, that is one slice; of a sheet the part of it: row, column, rows, columns."""

    path: Path
    frame: int
    tile: tuple[int, int, int, int] | None


@dataclass(frozen=True, slots=True)
class ImageStack:
    """One volume of a series.

    Attributes:
        number: among those of the series, from 0, in the order in which they are stepped through.
        key: as in the record of the study (`Stack.key`).
        b_value: s/mm²; None where the images are not diffusion-weighted.
        time_s: from the first volume of the series on; None where the headers do not tell.
    """

    number: int
    key: str
    slices: tuple[Slice, ...]
    lattice: Lattice
    b_value: float | None
    time_s: float | None


@dataclass(frozen=True, slots=True)
class SeriesStacks:
    """The volumes of a series that can be looked at, and why others cannot.

    `complete`: the operating system gave every file; where it did not, another reading may find more.
    """

    series_instance_uid: str
    stacks: tuple[ImageStack, ...]
    faults: tuple[str, ...]
    complete: bool


def read_series(series_instance_uid: str, files: Iterable[Path]) -> SeriesStacks:
    """Part a series into its volumes; what cannot be read is told in `faults`."""
    frames: list[FrameFacts] = []
    faults: list[str] = []
    vocabulary, complete = words(), True
    for file in files:
        try:
            found = read_frames(file, vocabulary)
        except (OSError, MemoryError) as error:
            found, complete = unreadable(file, error), False
        if isinstance(found, tuple):
            frames += [frame for frame in found if frame.header.series_instance_uid == series_instance_uid]
        else:
            faults.append(found.sentence)
    volumes = split_series(tuple(frames)) if frames else ()
    faults += [volume.fault.sentence for volume in volumes if volume.fault is not None]
    regular = [volume for volume in volumes if volume.geometry is not None]
    return SeriesStacks(series_instance_uid, tuple(_stacks(regular)), tuple(dict.fromkeys(faults)), complete)


def _stacks(volumes: Sequence[Volume]) -> Iterable[ImageStack]:
    weighted = diffusion_weighted([frame for volume in volumes for frame in volume.frames])
    begins = {volume.number: _begin_s(volume) for volume in volumes}
    known = [begin for begin in begins.values() if begin is not None]
    zero = min(known) if len(known) > 1 else None

    def place(volume: Volume) -> tuple[float, float, int]:
        begin = begins[volume.number]
        return (volume.first.diffusion.b_value or 0.0) if weighted else 0.0, begin or 0.0, volume.number

    for number, volume in enumerate(sorted(volumes, key=place)):
        begin = begins[volume.number]
        yield ImageStack(
            number=number,
            key=volume.stack_key,
            slices=tuple(map(_slice, volume.frames)),
            lattice=_lattice(volume),
            b_value=volume.first.diffusion.b_value if weighted else None,
            time_s=None if zero is None or begin is None else begin - zero,
        )


def _slice(frame: FrameFacts) -> Slice:
    tile = frame.tile
    part = None if tile is None else (tile.row, tile.column, tile.rows, tile.columns)
    return Slice(frame.header.path, frame.frame, part)


def _lattice(volume: Volume) -> Lattice:
    geometry, placement = volume.geometry, volume.first.placed
    assert geometry is not None
    rows_apart, columns_apart = geometry.pixel_spacing
    return Lattice(
        origin=geometry.origin,
        axes=(geometry.row_direction, geometry.column_direction, geometry.normal),
        spacing=(columns_apart, rows_apart, geometry.slice_step_mm),
        size=(placement.columns, placement.rows, len(volume.frames)),
        frame_of_reference_uid=placement.frame_of_reference_uid,
    )


def _begin_s(volume: Volume) -> float | None:
    """When the first slice was acquired, by the first clock that the headers have; comparable within a series."""
    for clock in (_dynamic_s, _trigger_s, _acquisition_s):
        times = [clock(frame.timing) for frame in volume.frames]
        known = [time for time in times if time is not None]
        if len(known) == len(times):
            return min(known)
    return None


def _dynamic_s(timing: Timing) -> float | None:
    return timing.dynamic_s


def _trigger_s(timing: Timing) -> float | None:
    return None if timing.trigger_ms is None else timing.trigger_ms / 1000


def _acquisition_s(timing: Timing) -> float | None:
    return None if timing.to_the_minute else timing.acquisition_s
