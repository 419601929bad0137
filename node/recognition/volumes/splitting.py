"""Elements that tell frames at the same slice position apart, tried in order where positions repeat."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import numpy as np

from node.recognition.header.facts import FrameFacts, Vendor
from node.recognition.volumes.geometry import SAME_POSITION_MM, along_normal

Frames = tuple[FrameFacts, ...]
Split = Callable[[Frames, tuple[int, ...]], list[Frames] | None]

_VOLATILE_TOKENS = frozenset({"NORM", "ND", "DIS2D", "DIS3D", "DISTORTED"})


def split_repeated(frames: Frames, slots: tuple[int, ...]) -> tuple[str, list[Frames]] | None:
    """The first element that explains why positions repeat, and the parts that it makes; None without one."""
    for name, split in _SPLITS:
        parts = split(frames, slots)
        if parts is not None and _explains(parts, slots, frames):
            return name, parts
    return None


def slice_slots(frames: Frames) -> tuple[int, ...]:
    """The number of the slice position of each frame, counted along the normal."""
    along = along_normal(tuple(frame.placement for frame in frames if frame.placement))
    ordered = np.sort(along)
    gaps = np.diff(ordered)
    real = gaps[gaps > SAME_POSITION_MM]
    tolerance = max(SAME_POSITION_MM, 0.05 * float(np.median(real))) if len(real) else SAME_POSITION_MM
    starts = ordered[np.concatenate(([True], gaps > tolerance))]
    return tuple(int(slot) for slot in np.searchsorted(starts, along + tolerance / 2, side="right") - 1)


def _explains(parts: list[Frames], slots: tuple[int, ...], frames: Frames) -> bool:
    """Parts repeat less than the whole, and all but one of them (an aborted phase) cover the positions.

    Or one of them covers all positions, and the others are single slices that were acquired again.
    """
    positions = dict(zip(map(id, frames), slots, strict=True))
    wanted = len(set(slots))
    most = Counter(slots).most_common(1)[0][1]
    covered = [len({positions[id(frame)] for frame in part}) for part in parts]
    deepest = [Counter(positions[id(frame)] for frame in part).most_common(1)[0][1] for part in parts]
    short = sum(wanted - count > max(1, wanted // 10) for count in covered)
    if max(covered) == wanted and max(deepest) == 1:
        return True
    return 2 <= len(parts) <= most and max(deepest) < most and short <= 1


def _by_value(read: Callable[[FrameFacts], float | None], tolerance: float) -> Split:
    """Parts by a number that stays the same within a volume."""

    def split(frames: Frames, slots: tuple[int, ...]) -> list[Frames] | None:
        values = [read(frame) for frame in frames]
        if any(value is None for value in values):
            return None
        numbers = np.asarray(values, dtype=float)
        ordered = np.sort(numbers)
        starts = ordered[np.concatenate(([True], np.diff(ordered) > tolerance))]
        labels = np.searchsorted(starts, numbers, side="right") - 1
        return _parts(frames, labels.tolist())

    return split


def _by_tokens(frames: Frames, slots: tuple[int, ...]) -> list[Frames] | None:
    """Parts by image type, at first without the tokens of corrections that both twins may carry."""
    full = [tuple(sorted(set(frame.image_type))) for frame in frames]
    plain = [tuple(token for token in tokens if token not in _VOLATILE_TOKENS) for tokens in full]
    chosen = plain if len(set(plain)) > 1 else full
    names = sorted(set(chosen))
    return _parts(frames, [names.index(tokens) for tokens in chosen])


def _by_rank(read: Callable[[FrameFacts], float | None], interleaved: bool = False) -> Split:
    """Parts by order at each position; the order must be the same at all positions.

    The k-th frame of every position belongs to part k when the parts do not overlap in `read`, or, where
    `interleaved` is allowed, when the values of each position are consecutive.
    """

    def split(frames: Frames, slots: tuple[int, ...]) -> list[Frames] | None:
        columns: dict[int, list[tuple[float, int]]] = defaultdict(list)
        for index, (frame, slot) in enumerate(zip(frames, slots, strict=True)):
            value = read(frame)
            if value is None:
                return None
            columns[slot].append((value, index))
        ranks = {index: rank for column in columns.values() for rank, (_, index) in enumerate(sorted(column))}
        values = {index: value for column in columns.values() for value, index in column}
        if not (_blocks(ranks, values) or (interleaved and _consecutive(columns.values()))):
            return None
        return _parts(frames, [ranks[index] for index in range(len(frames))])

    return split


def _blocks(ranks: dict[int, int], values: dict[int, float]) -> bool:
    spans: dict[int, tuple[float, float]] = {}
    for index, rank in ranks.items():
        low, high = spans.get(rank, (values[index], values[index]))
        spans[rank] = min(low, values[index]), max(high, values[index])
    ordered = [spans[rank] for rank in sorted(spans)]
    return all(before[1] < after[0] for before, after in pairwise(ordered))


def _consecutive(columns: Iterable[list[tuple[float, int]]]) -> bool:
    return all(
        all(after[0] - before[0] == 1 for before, after in pairwise(ordered))
        for ordered in (sorted(column) for column in columns)
    )


def _instance_number(frame: FrameFacts) -> float | None:
    """Philips numbers instances neither in space nor in time."""
    return None if frame.header.vendor is Vendor.PHILIPS else frame.timing.instance_number


_SPLITS: tuple[tuple[str, Split], ...] = (
    ("echo time", _by_value(lambda frame: frame.sequence.te_ms, 0.05)),
    ("image type", _by_tokens),
    ("inversion time", _by_value(lambda frame: frame.sequence.ti_ms, 1.0)),
    ("flip angle", _by_value(lambda frame: frame.sequence.flip_deg, 0.5)),
    ("temporal position", _by_value(lambda frame: frame.timing.temporal_index, 0.5)),
    ("dynamic scan begin time", _by_value(lambda frame: frame.timing.dynamic_s, 0.01)),
    ("acquisition number", _by_value(lambda frame: frame.timing.acquisition_number, 0.5)),
    ("raw run number", _by_value(lambda frame: frame.timing.run_number, 0.5)),
    ("acquisition time", _by_value(lambda frame: frame.timing.acquisition_s, 0.01)),
    ("trigger time", _by_value(lambda frame: frame.timing.trigger_ms, 1.0)),
    ("content time", _by_value(lambda frame: frame.timing.content_s, 0.01)),
    ("order of acquisition time", _by_rank(lambda frame: frame.timing.acquisition_s)),
    ("order of content time", _by_rank(lambda frame: frame.timing.content_s)),
    ("order of instance number", _by_rank(_instance_number, interleaved=True)),
)

# What tells one acquisition of the same slices from another, as against one contrast from another.
REPETITIONS = frozenset(name for name, _ in _SPLITS) - {"echo time", "image type", "inversion time", "flip angle"}


def _parts(frames: Frames, labels: Sequence[int]) -> list[Frames]:
    groups: dict[int, list[FrameFacts]] = defaultdict(list)
    for frame, label in zip(frames, labels, strict=True):
        groups[label].append(frame)
    return [tuple(groups[label]) for label in sorted(groups)]
