"""When the volumes of a dynamic run were acquired: all sources in order of belief, each accepted by its values.

A source is accepted when it gives every volume a time of its own and the whole run lasts at most an hour.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from node.codes import Code
from node.recognition.header.elements import time_of_day
from node.recognition.header.facts import Fault, FrameFacts
from node.recognition.header.spelling import clock_in
from node.recognition.rules import site
from node.recognition.volumes.stacks import Volume
from node.settings import RecognitionSettings

Run = tuple[Volume, ...]
Read = Callable[[FrameFacts], float | None]

_DAY_S = 86400.0
_LONGEST_RUN_S = 3600.0
_SHORTEST_STEP_S = 0.5
# Reconstruction writes images faster than any scanner acquires 3D volumes.
_SHORTEST_CONTENT_STEP_S = 2.0
_LONGEST_VOLUME_S = 30.0
_LARGEST_CREATION_LAG_S = 30.0
# These say when images were made or a series was begun rather than when a volume was measured.
WEAK_CLOCKS = frozenset({"content time", "series time", "clock in Series Description"})


@dataclass(frozen=True, slots=True)
class Clock:
    """Start of each volume of a run in seconds; `absolute` when it can be compared with a time of day.

    `centred`: the times are those of the centre of k-space, not of the start. `from_site`: the clock of a site
    rule's pattern.
    """

    source: str
    starts_s: tuple[float, ...]
    duration_s: float
    absolute: bool = False
    centred: bool = False
    from_site: bool = False


def accepted_clocks(run: Run, settings: RecognitionSettings) -> tuple[Clock, ...]:
    """All accepted sources, the most believed first."""
    candidates = (
        _stated(run, "site rule", [site.phase_time_s(volume.first.header, settings) for volume in run], site=True),
        _of_day(run, "site rule", [site.phase_clock_s(volume.first.header, settings) for volume in run], centred=True),
        _stated(run, "TTC= in Series Description", [_centre_of_k_space(volume) for volume in run], relative=True),
        _relative(run, "dynamic scan begin time", lambda frame: frame.timing.dynamic_s),
        _absolute(run, "acquisition time", lambda frame: frame.timing.acquisition_s, _SHORTEST_STEP_S),
        _relative(run, "trigger time", lambda frame: _divided(frame.timing.trigger_ms, 1000)),
        _relative(run, "time after start", lambda frame: frame.timing.elapsed_s)
        # GE's RTIA timer counts seconds or 1/10000 s; in the wrong unit the run lasts longer than any.
        or _relative(run, "time after start, in 0.1 ms", lambda frame: _divided(frame.timing.elapsed_s, 10_000)),
        _absolute(run, "content time", _content_s, _SHORTEST_CONTENT_STEP_S),
        _absolute(run, "series time", lambda frame: frame.timing.series_s, _SHORTEST_CONTENT_STEP_S),
        _of_day(run, "clock in Series Description", [_described(volume) for volume in run]),
    )
    return tuple(clock for clock in candidates if clock is not None)


def order_conflict(run: Run, clocks: tuple[Clock, ...]) -> Fault | None:
    """E-DCE-ORDER when acquisition times and temporal positions put the volumes in different orders."""
    orders = {clock.source: tuple(np.argsort(clock.starts_s, kind="stable")) for clock in clocks[:2]}
    indices = [volume.first.timing.temporal_index for volume in run]
    known = [index for index in indices if index is not None]
    if len(run) > 1 and len(set(known)) == len(run):
        orders["temporal position"] = tuple(np.argsort(known, kind="stable"))
    names = list(orders)
    for name in names[1:]:
        if orders[name] != orders[names[0]]:
            return Fault(Code.DCE_ORDER, f"{names[0]} and {name} put the phases in different orders")
    return None


def _centre_of_k_space(volume: Volume) -> float | None:
    found = re.search(r"TTC=(\d+(?:\.\d+)?)", volume.first.header.description)
    return float(found.group(1)) if found else None


def _described(volume: Volume) -> float | None:
    return time_of_day(clock_in(volume.first.header.description))


def _divided(stated: float | None, by: float) -> float | None:
    return None if stated is None else stated / by


def _content_s(frame: FrameFacts) -> float | None:
    content, creation = frame.timing.content_s, frame.timing.creation_s
    if content is None or (creation is not None and abs(creation - content) > _LARGEST_CREATION_LAG_S):
        return None
    return content


def _stated(
    run: Run, source: str, times: list[float | None], relative: bool = False, site: bool = False
) -> Clock | None:
    bases = _bases(run) if relative else None
    starts = _since(bases, times)
    return _checked(run, source, starts, _SHORTEST_STEP_S, absolute=bases is not None, centred=True, from_site=site)


def _of_day(run: Run, source: str, times: list[float | None], centred: bool = False) -> Clock | None:
    """Times of day without a date; a run that seems to last more than half a day went over midnight."""
    known = [time for time in times if time is not None]
    if len(known) != len(run):
        return None
    over_midnight = max(known) - min(known) > _DAY_S / 2
    starts: list[float | None] = [time + _DAY_S if over_midnight and time < _DAY_S / 2 else time for time in known]
    return _checked(run, source, starts, _SHORTEST_STEP_S, absolute=True, centred=centred)


def _absolute(run: Run, source: str, read: Read, step_s: float) -> Clock | None:
    """The earliest time of the slices of each volume."""
    return _checked(run, source, [_earliest(volume, read) for volume in run], step_s, absolute=True)


def _relative(run: Run, source: str, read: Read) -> Clock | None:
    """A time from the start of the run; must be the same for all slices of a volume, else it is slice timing."""
    bases = _bases(run)
    starts = _since(bases, [_common(volume, read) for volume in run])
    return _checked(run, source, starts, _SHORTEST_STEP_S, absolute=bases is not None)


def _since(bases: list[float] | None, times: list[float | None]) -> list[float | None]:
    """Times counted from the base of each volume, where these are known."""
    return [
        None if time is None else time + base for time, base in zip(times, bases or [0.0] * len(times), strict=True)
    ]


def _bases(run: Run) -> list[float] | None:
    """The time of day from which relative times count: the start of the run.

    A combined series starts at its own earliest acquisition time, so that a mask taken before as a series of its
    own keeps its place; phases in series of their own count from the earliest of all.
    """
    starts = [_earliest(volume, lambda frame: frame.timing.acquisition_s) for volume in run]
    known = [start for start in starts if start is not None]
    if len(known) != len(run):
        return None
    series = [volume.first.header.series_instance_uid for volume in run]
    if max(Counter(series).values()) == 1:
        return [min(known)] * len(run)
    return [min(start for start, uid in zip(known, series, strict=True) if uid == own) for own in series]


def _earliest(volume: Volume, read: Read) -> float | None:
    return min(_all(volume, read), default=None)


def _common(volume: Volume, read: Read) -> float | None:
    """The time that all slices of a volume have."""
    values = _all(volume, read)
    return values[0] if values and max(values) - min(values) <= 0.01 else None


def _all(volume: Volume, read: Read) -> list[float]:
    """The times of the slices; none where one has none."""
    values = [read(frame) for frame in volume.frames]
    known = [value for value in values if value is not None]
    return known if len(known) == len(values) else []


def _checked(
    run: Run,
    source: str,
    times: list[float | None],
    step_s: float,
    absolute: bool = False,
    centred: bool = False,
    from_site: bool = False,
) -> Clock | None:
    starts = tuple(time for time in times if time is not None)
    if len(starts) != len(run):
        return None
    steps = np.diff(np.sort(starts))
    if len(steps) and (float(steps.min()) < step_s or float(steps.sum()) > _LONGEST_RUN_S):
        return None
    return Clock(source, starts, _duration_s(run, steps), absolute, centred, from_site)


def _duration_s(run: Run, steps: np.ndarray) -> float:
    """The duration of one volume, s: as stated where that fits between two volumes, else estimated.

    `steps` (volumes - 1,) are s from start to start.

    The estimate is the shortest step, or half the time of all lines (parallel imaging and partial Fourier save at
    least that much) where breath-hold pauses make the steps longer.
    """
    longest = min(float(steps.min()), _LONGEST_VOLUME_S) if len(steps) else _LONGEST_VOLUME_S
    timing = run[0].first.timing
    if timing.duration_s is not None and 0 < timing.duration_s <= longest * 1.2:
        return timing.duration_s
    if timing.partition_s is not None:
        return min(longest, timing.partition_s * len(run[0].frames) / 2)
    return longest if len(steps) else 0.0
