"""The border of a mask in the pixel coordinates of its image."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import numpy.typing as npt

_Point = tuple[int, int]


def borders(mask: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.float64]]:
    """Closed lines (n, 2; column, row) along the edges of the pixels of a mask (rows, columns), the first point last.

    Coordinates are those of PS3.3 C.10.5: the upper left corner of the first pixel is 0, 0, its centre 0.5, 0.5. Each
    4-connected part has one line around it, clockwise, and one around each hole, counter-clockwise.
    """
    onward = _edges(mask)
    lines = []
    while onward:
        start = next(iter(onward))
        line, heading = [start], (0, 0)
        while True:
            here = line[-1]
            after = min(onward[here], key=lambda end, here=here, heading=heading: _turn(here, end, heading))  # type: ignore[misc]
            onward[here].remove(after)
            if not onward[here]:
                del onward[here]
            step = after[0] - here[0], after[1] - here[1]
            if step == heading:
                line[-1] = after
            else:
                line.append(after)
            heading = step
            if after == start:
                break
        lines.append(np.array(line, dtype=np.float64))
    return lines


def _turn(here: _Point, end: _Point, heading: _Point) -> int:
    """0 for a turn to the right, 1 for none, 2 for one to the left: where parts touch at a corner they stay apart."""
    step = end[0] - here[0], end[1] - here[1]
    return 1 - (heading[0] * step[1] - heading[1] * step[0])


def _edges(mask: npt.NDArray[np.bool_]) -> dict[_Point, list[_Point]]:
    """The edges between inside and outside by where they begin, the inside on their right."""
    onward: defaultdict[_Point, list[_Point]] = defaultdict(list)
    padded = np.pad(mask, 1)
    sides = (
        (padded[:-2, 1:-1], (0, 0), (1, 0)),
        (padded[1:-1, 2:], (1, 0), (1, 1)),
        (padded[2:, 1:-1], (1, 1), (0, 1)),
        (padded[1:-1, :-2], (0, 1), (0, 0)),
    )
    for beyond, begin, end in sides:
        for row, column in np.argwhere(mask & ~beyond).tolist():
            onward[column + begin[0], row + begin[1]].append((column + end[0], row + end[1]))
    return dict(onward)
