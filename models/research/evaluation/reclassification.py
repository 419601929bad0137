"""Whether a new model moves cases the right way: net reclassification (NRI) and integrated discrimination (IDI).

Definitions: Pencina et al., Statistics in Medicine 2008;27:157-172 and 2011;30:11-21; variance of the NRI as in R's
Hmisc improveProb (unconditional, not the null variance that drops a term). NRI p-values are known to come out small too
often (Pepe et al., JNCI 2014, dju041): the difference of the AUCs and the net benefit come first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.errors import ModelError
from models.research.statistics.estimates import Estimate, Floats, percentile, two_sided, wald

Booleans = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class NetReclassification:
    """NRI with its normal-theory interval, and its two parts, which the sum hides.

    Attributes:
        events: share of events that moved up minus share that moved down.
        others: share of non-events that moved down minus share that moved up.
    """

    nri: Estimate
    z: float
    p: float
    events: Estimate
    others: Estimate


@dataclass(frozen=True, slots=True)
class IntegratedDiscrimination:
    """IDI on raw probabilities with its normal-theory interval."""

    idi: Estimate
    z: float
    p: float


def movement(old: ArrayLike, new: ArrayLike) -> Floats:
    """Category-free: 1 where the new probability is higher, -1 where lower, 0 where the same. Both are (cases,)."""
    return np.sign(np.asarray(new, dtype=np.float64) - np.asarray(old, dtype=np.float64))


def category_movement(
    old: ArrayLike, new: ArrayLike, old_cutoffs: Sequence[float], new_cutoffs: Sequence[float] | None = None
) -> Floats:
    """1 where the new probability lies in a higher risk category, -1 where in a lower one, 0 where in the same.

    Both are (cases,).

    A category begins at its cut-off. Cut-offs are fixed beforehand, never on the cases judged; where each model has
    its own, `new_cutoffs` are those of the new one.
    """
    after = np.digitize(np.asarray(new, dtype=np.float64), np.asarray(new_cutoffs or old_cutoffs))
    return np.sign(after - np.digitize(np.asarray(old, dtype=np.float64), np.asarray(old_cutoffs))).astype(np.float64)


def net_reclassification(labels: ArrayLike, moved: Floats, counts: Floats) -> NetReclassification:
    """NRI of movements (1, 0, -1); the intervals of its parts come from bootstrap `counts` (draws, cases).

    Raises `ModelError` without both classes.
    """
    events = _events(labels)
    parts = [_part(moved, events, counts), _part(-moved, ~events, counts)]
    value = parts[0].value + parts[1].value
    error = float(np.sqrt(_variance(moved[events]) + _variance(moved[~events])))
    z, p = two_sided(value, error)
    return NetReclassification(wald(value, error), z, p, *parts)


def integrated_discrimination(labels: ArrayLike, old: ArrayLike, new: ArrayLike) -> IntegratedDiscrimination:
    """IDI: mean change of probability of the events minus that of the non-events. `ModelError` without both classes.

    All are (cases,).
    """
    events = _events(labels)
    change = np.asarray(new, dtype=np.float64) - np.asarray(old, dtype=np.float64)
    value = float(change[events].mean() - change[~events].mean())
    error = float(np.sqrt(sum(change[group].var(ddof=1) / group.sum() for group in (events, ~events))))
    z, p = two_sided(value, error)
    return IntegratedDiscrimination(wald(value, error), z, p)


def _events(labels: ArrayLike) -> Booleans:
    events = np.asarray(labels) == 1
    if min(events.sum(), (~events).sum()) < 2:
        raise ModelError(
            f"reclassification needs two cases of each class, there are {events.sum()} events and "
            f"{(~events).sum()} non-events"
        )
    return events


def _part(moved: Floats, group: Booleans, counts: Floats) -> Estimate:
    size = group.sum()
    return percentile(float(moved[group].mean()), counts[:, group] @ moved[group] / size)


def _variance(moved: Floats) -> float:
    """(up + down) / m^2 - (up - down)^2 / m^3."""
    size = moved.size
    return float(np.abs(moved).sum() / size**2 - moved.sum() ** 2 / size**3)
