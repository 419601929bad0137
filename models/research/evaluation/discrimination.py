"""Area under the ROC curve, its interval, and the DeLong test for two scores of the same cases.

Fast form of DeLong's method: Sun & Xu, IEEE Signal Processing Letters 2014;21:1389-1393.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from models.errors import ModelError
from models.research.statistics.estimates import Floats, two_sided, wald


@dataclass(frozen=True, slots=True)
class AucInterval:
    """Area under the curve with a normal-theory interval, clipped to [0, 1]."""

    auc: float
    low: float
    high: float
    standard_error: float


@dataclass(frozen=True, slots=True)
class DeLongTest:
    """Two correlated areas compared; `difference` is first minus second with its interval, `p` two-sided."""

    first_auc: float
    second_auc: float
    difference: float
    low: float
    high: float
    z: float
    p: float


def auc_interval(labels: ArrayLike, scores: ArrayLike, level: float = 0.95) -> AucInterval:
    """AUC of `scores` for `labels` (0 or 1), DeLong's variance. Raises `ModelError` without both classes.

    Both are (cases,).
    """
    areas, covariance = _areas(labels, np.asarray(scores, dtype=np.float64)[None, :])
    error = float(np.sqrt(covariance[0, 0]))
    area = wald(float(areas[0]), error, level)
    return AucInterval(area.value, max(0.0, area.low), min(1.0, area.high), error)


def delong_test(labels: ArrayLike, first: ArrayLike, second: ArrayLike, level: float = 0.95) -> DeLongTest:
    """Test whether two scores of the same cases have the same AUC. Identical scores give z = 0, p = 1.

    All are (cases,).
    """
    scores = np.stack([np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)])
    areas, covariance = _areas(labels, scores)
    contrast = np.array([1.0, -1.0])
    difference = float(contrast @ areas)
    error = float(np.sqrt(max(contrast @ covariance @ contrast, 0.0)))
    interval = wald(difference, error, level)
    z, p = two_sided(difference, error)
    return DeLongTest(
        first_auc=float(areas[0]),
        second_auc=float(areas[1]),
        difference=difference,
        low=interval.low,
        high=interval.high,
        z=z,
        p=p,
    )


def auc_difference_samples(labels: ArrayLike, first: ArrayLike, second: ArrayLike, counts: Floats) -> Floats:
    """AUC of `first` minus AUC of `second` in every bootstrap draw; `counts` (draws, cases) draw within the classes.

    Both scores are seen on the same draw: the interval of their percentiles is that of a paired difference.
    """
    events = np.asarray(labels) == 1
    wins = _wins(np.asarray(first, dtype=np.float64), events) - _wins(np.asarray(second, dtype=np.float64), events)
    return ((counts[:, events] @ wins) * counts[:, ~events]).sum(axis=1) / wins.size


def _wins(scores: Floats, events: NDArray[np.bool_]) -> Floats:
    """(events, non-events): 1 where the event has the higher score, 0.5 where both have the same."""
    return (np.sign(scores[events][:, None] - scores[~events][None, :]) + 1) / 2


def _areas(labels: ArrayLike, scores: Floats) -> tuple[Floats, Floats]:
    """AUCs (k,) and their covariance (k, k) for `scores` (k, cases), by midranks."""
    events = np.asarray(labels) == 1
    m, n = int(events.sum()), int((~events).sum())
    if scores.shape[1] != events.size:
        raise ModelError(f"{events.size} labels and {scores.shape[1]} scores")
    if min(m, n) < 2:
        raise ModelError(f"an AUC needs two cases of each class, there are {m} events and {n} non-events")
    overall = rankdata(scores, axis=1)
    among_events = rankdata(scores[:, events], axis=1)
    among_others = rankdata(scores[:, ~events], axis=1)
    areas = overall[:, events].sum(axis=1) / (m * n) - (m + 1) / (2 * n)
    v10 = (overall[:, events] - among_events) / n
    v01 = 1 - (overall[:, ~events] - among_others) / m
    covariance = np.atleast_2d(np.cov(v10)) / m + np.atleast_2d(np.cov(v01)) / n
    return areas, covariance
