"""Whether sequences show a finding at one place.

A network that reads all sequences together puts its masks at one place in all of them even where there is nothing:
masks of one reading agree by construction, but for motion. What a sequence shows when the network sees it alone is
another witness.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from models.volume import Float32, Grid

NEAR_MM = 5.0
"""Bowel and patient move between sequences: parts of a mask this near to another one count as overlapping."""
LEAST_OVERLAP = 0.2
"""Share of the smaller mask that must lie at the larger one."""
LEAST_CONFIRMED = 0.1
"""Share of a finding that a sequence must show by itself."""

Mask = npt.NDArray[np.bool_]


def overlap(one: Mask, other: Mask, grid: Grid) -> float:
    """Share of the smaller of two masks (z, y, x) that lies within `NEAR_MM` of the larger one."""
    smaller, larger = sorted((one, other), key=np.count_nonzero)
    if not smaller.any():
        return 0.0
    distance = ndimage.distance_transform_edt(~larger, sampling=grid.spacing[::-1])
    return float((distance[smaller] <= NEAR_MM).mean())


def agreeing(masks: Mapping[str, Mask], grid: Grid) -> frozenset[str]:
    """The sequences whose masks agree with most others, themselves included: all, some, or, where each lies elsewhere
    or as many contradict, none. One mask alone agrees with itself. Masks are (z, y, x) on one grid."""
    groups = {
        frozenset(other for other in masks if overlap(masks[name], masks[other], grid) >= LEAST_OVERLAP)
        for name in masks
    }
    largest = max(map(len, groups), default=0)
    winners = [group for group in groups if len(group) == largest]
    return winners[0] if len(winners) == 1 and 2 * largest > len(masks) else frozenset()


def confirmed(inside: Mask, alone: Float32, threshold: float) -> bool:
    """Whether a sequence shows a finding by itself: `alone` is its probability (z, y, x) when it is read alone."""
    return bool((alone[inside] >= threshold).mean() >= LEAST_CONFIRMED)
