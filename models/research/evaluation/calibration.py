"""Whether predicted probabilities are the observed ones: intercept, slope, Brier score, calibration error, curve.

Terms as in Van Calster et al., BMC Medicine 2019;17:230. Probabilities of exactly 0 or 1 have no log odds and count as
1e-6 from there; the Brier score and the curve take them as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from models.prediction.calibration import bounded_log_odds
from models.research.evaluation.discrimination import auc_interval
from models.research.evaluation.operating_point import share
from models.research.statistics.estimates import Estimate, Floats, percentile, wald

#: Share of the cases that each point of the smooth curve looks at.
SPAN = 0.75
#: Groups of equal size that the calibration error and the points of the plot are taken over; fewer cases, fewer groups.
GROUPS = 10
LEAST_A_GROUP = 10


@dataclass(frozen=True, slots=True)
class Calibration:
    """How well probabilities are calibrated.

    Attributes:
        intercept: of the log odds with slope 1 (calibration in the large), 0 is right; above 0 the risk is predicted
            too low.
        slope: of the log odds with its own intercept, 1 is right, below 1 the predictions are too extreme; None where
            it cannot be estimated: constant predictions, or classes that do not overlap.
        brier: mean squared error of the probability.
        calibration_error: expected calibration error over groups of equal size.
    """

    intercept: Estimate
    slope: Estimate | None
    brier: Estimate
    calibration_error: float


@dataclass(frozen=True, slots=True)
class Group:
    """Cases of similar predicted probability: its mean, and the observed share of events with its Wilson interval."""

    predicted: float
    observed: Estimate


def calibration(labels: ArrayLike, probabilities: ArrayLike, counts: Floats) -> Calibration:
    """Calibration of `probabilities` for `labels` (0 or 1); the Brier score's interval is of bootstrap `counts`.

    `labels` and `probabilities`: (cases,); `counts`: (draws, cases).
    """
    events = (np.asarray(labels) == 1).astype(np.float64)
    predicted = np.asarray(probabilities, dtype=np.float64)
    squared = (events - predicted) ** 2
    groups = list(calibration_groups(labels, predicted))
    sizes = np.array([len(part) for part in _parts(predicted)])
    errors = np.array([abs(group.predicted - group.observed.value) for group in groups])
    return Calibration(
        intercept=_intercept(events, bounded_log_odds(predicted)),
        slope=_slope(events, bounded_log_odds(predicted)),
        brier=percentile(float(squared.mean()), counts @ squared / counts.sum(axis=1)),
        calibration_error=float(errors @ sizes / events.size),
    )


def calibration_groups(labels: ArrayLike, probabilities: ArrayLike) -> Iterator[Group]:
    """Up to `GROUPS` groups of equal size in the order of their probability, none below `LEAST_A_GROUP` cases.

    Both are (cases,).
    """
    events, predicted = np.asarray(labels) == 1, np.asarray(probabilities, dtype=np.float64)
    for part in _parts(predicted):
        observed = share(int(events[part].sum()), part.size)
        assert observed is not None
        yield Group(float(predicted[part].mean()), observed)


def smooth_curve(labels: ArrayLike, probabilities: ArrayLike, at: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """Observed share of events as a smooth function of the predicted probability, at `at` (points,).

    Local straight lines with tricube weights over the nearest `SPAN` of the cases (loess of degree 1, without
    robustness: the outcomes are 0 and 1). Returns (points,) and the same in every bootstrap draw (draws, points); the
    neighbourhoods are those of all cases. Clipped to [0, 1].
    """
    events = (np.asarray(labels) == 1).astype(np.float64)
    predicted = np.asarray(probabilities, dtype=np.float64)
    distance = np.abs(predicted[:, None] - at[None, :])
    nearest = int(SPAN * predicted.size + 1e-10)
    reach = np.maximum(np.sort(distance, axis=0)[nearest - 1], 1e-9)
    weights = np.clip(1 - (distance / reach) ** 3, 0, None) ** 3
    offset = predicted[:, None] - at[None, :]
    once = np.ones((1, predicted.size))
    return _local_lines(weights, offset, events, once)[0], _local_lines(weights, offset, events, counts)


def _local_lines(weights: Floats, offset: Floats, events: Floats, counts: Floats) -> Floats:
    """Weighted straight lines at offset 0, for every row of `counts`; their mean where all cases stand in one place."""
    s0, s1, s2 = (counts @ (weights * offset**power) for power in (0, 1, 2))
    t0, t1 = (counts @ (weights * offset**power * events[:, None]) for power in (0, 1))
    determinant = s0 * s2 - s1**2
    flat = determinant <= 1e-12 * np.maximum(s0, 1e-12) ** 2
    line = (s2 * t0 - s1 * t1) / np.where(flat, 1.0, determinant)
    return np.clip(np.where(flat, t0 / np.maximum(s0, 1e-12), line), 0.0, 1.0)


def _parts(predicted: Floats) -> list[np.ndarray[tuple[int], np.dtype[np.intp]]]:
    """Indices of the cases of each group."""
    groups = max(1, min(GROUPS, predicted.size // LEAST_A_GROUP))
    return list(np.array_split(np.argsort(predicted, kind="stable"), groups))


def _intercept(events: Floats, odds: Floats) -> Estimate:
    value = float(brentq(lambda shift: float((events - expit(odds + shift)).sum()), -60, 60, xtol=1e-12))
    expected = expit(odds + value)
    return wald(value, float(1 / np.sqrt((expected * (1 - expected)).sum())))


def _slope(events: Floats, odds: Floats) -> Estimate | None:
    if np.ptp(odds) < 1e-9 or auc_interval(events, odds).auc in (0.0, 1.0):
        return None
    fitted = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10).fit(odds[:, None], events)
    design = np.column_stack([np.ones_like(odds), odds])
    expected = fitted.predict_proba(odds[:, None])[:, 1]
    information = design.T @ (design * (expected * (1 - expected))[:, None])
    return wald(float(fitted.coef_[0, 0]), float(np.sqrt(np.linalg.inv(information)[1, 1])))
