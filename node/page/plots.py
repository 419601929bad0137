"""Plots as shapes of SVG, in pixels of a fixed picture; words and colours are those of the templates.

A plot never stands alone: the same numbers are in a table beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

WIDTH, HEIGHT = 720, 180
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 10, 24
_TICKS = 4
#: Of the whole time: a longer one without a point leaves a gap in the line.
_GAP = 0.03


@dataclass(frozen=True, slots=True)
class Tick:
    """A line across, at a place in pixels, and the value that it is at."""

    at: float
    value: float


@dataclass(frozen=True, slots=True)
class TimeTick:
    """A line upwards, at a place in pixels, and the moment that it is at."""

    at: float
    moment: datetime


@dataclass(frozen=True, slots=True)
class LinePlot:
    """A value over time: the line as a path of SVG, or single points where lines would say too much."""

    path: str
    points: tuple[tuple[float, float], ...]
    across: tuple[Tick, ...]
    upwards: tuple[TimeTick, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: float = _LEFT
    right: float = WIDTH - _RIGHT
    bottom: float = HEIGHT - _BOTTOM


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar from the bottom, with a part of it from there; all in pixels."""

    x: float
    width: float
    top: float
    height: float
    part_top: float
    part_height: float


@dataclass(frozen=True, slots=True)
class BarPlot:
    """Bars beside each other, on a common scale."""

    bars: tuple[Bar, ...]
    across: tuple[Tick, ...]
    width: int
    height: int
    left: float
    right: float
    bottom: float


def line(values: Sequence[tuple[datetime, float]], joined: bool = True) -> LinePlot:
    """A plot of at least one value, in the order of time, from 0 upwards; as a line where they are `joined`."""
    ticks = steps(max(value for _, value in values))
    first, last = values[0][0], values[-1][0]
    span = max((last - first).total_seconds(), 1.0)

    def place(moment: datetime, value: float) -> tuple[float, float]:
        x = _LEFT + (moment - first).total_seconds() / span * (WIDTH - _LEFT - _RIGHT)
        return round(x, 1), _upwards(value, ticks[-1], HEIGHT)

    points = tuple(place(*it) for it in values)
    widest = _GAP * (WIDTH - _LEFT - _RIGHT)
    drawn = [
        f"{'L' if number and x - points[number - 1][0] <= widest else 'M'}{x:g} {y:g}"
        for number, (x, y) in enumerate(points)
    ]
    moments = [first + (last - first) * part / _TICKS for part in range(_TICKS + 1)]
    return LinePlot(
        path=" ".join(drawn) if joined else "",
        points=() if joined else points,
        across=tuple(Tick(_upwards(value, ticks[-1], HEIGHT), value) for value in ticks),
        upwards=tuple(TimeTick(place(moment, 0)[0], moment) for moment in moments),
    )


def bars(values: Sequence[tuple[float, float]], width: int = 360, height: int = 110) -> BarPlot:
    """A plot of bars, each with a part of it: (whole, part)."""
    ticks = steps(max(whole for whole, _ in values))
    each = (width - _LEFT / 2 - _RIGHT) / max(len(values), 8)
    bottom = height - _BOTTOM

    def bar(number: int, whole: float, part: float) -> Bar:
        top, part_top = (_upwards(it, ticks[-1], height) for it in (whole, part))
        x = _LEFT / 2 + number * each
        return Bar(round(x + 1, 1), round(each - 2, 1), top, bottom - top, part_top, bottom - part_top)

    return BarPlot(
        bars=tuple(bar(number, *it) for number, it in enumerate(values)),
        across=tuple(Tick(_upwards(value, ticks[-1], height), value) for value in (ticks[0], ticks[-1])),
        width=width,
        height=height,
        left=_LEFT / 2,
        right=width - _RIGHT,
        bottom=bottom,
    )


def steps(most: float) -> tuple[float, ...]:
    """Round values from 0 up to one that is not below `most`, a few of them."""
    if most <= 0:
        return 0.0, 1.0
    raw = most / _TICKS
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * times for times in (1, 2, 5, 10) if unit * times >= raw * (1 - 1e-9))
    return tuple(step * number for number in range(math.ceil(most / step * (1 - 1e-9)) + 1))


def _upwards(value: float, most: float, height: int) -> float:
    return round(height - _BOTTOM - value / most * (height - _TOP - _BOTTOM), 1)
