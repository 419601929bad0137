"""Whether something grows: the slope of what was sampled, whatever goes up and down in it."""

from __future__ import annotations

from collections.abc import Sequence

from scipy.stats import theilslopes

#: The first part of the samples says nothing: a process fills its caches, and meets its first rush.
_SETTLING = 1 / 3


def growth(values: Sequence[float]) -> float:
    """How much is gained from the end of the first third to the end, in the unit of the values.

    By the median of the slopes between all pairs of samples (Theil and Sen), which a few high samples do not move.
    Values are sampled at equal distances.
    """
    settled = list(values)[int(len(values) * _SETTLING) :]
    if len(settled) < 2:
        raise ValueError(f"{len(values)} samples say nothing about growth")
    slope, *_ = theilslopes(settled)
    return float(slope) * (len(settled) - 1)
