"""Operating point at a fixed cut-off: sensitivity, specificity and predictive values with Wilson intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest
from sklearn.metrics import roc_curve

from models.research.statistics.estimates import Estimate, Floats


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """Counts at a cut-off, and their shares; a share of nothing is None."""

    cutoff: float
    true_positive: int
    false_positive: int
    true_negative: int
    false_negative: int
    sensitivity: Estimate | None
    specificity: Estimate | None
    positive_predictive_value: Estimate | None
    negative_predictive_value: Estimate | None


def youden(labels: NDArray[np.int64], probability: Floats) -> float:
    """The probability from which on a case counts as positive: largest sensitivity + specificity - 1.

    Both are (cases,).
    """
    false_positive, sensitivity, thresholds = roc_curve(labels, probability)
    return float(np.clip(thresholds[np.argmax(sensitivity - false_positive)], 0.0, 1.0))


def at_cutoff(labels: ArrayLike, probabilities: ArrayLike, cutoff: float) -> OperatingPoint:
    """The operating point; a case is positive from the cut-off on. The cut-off was fixed on other (training) cases.

    Both are (cases,).
    """
    events = np.asarray(labels) == 1
    positive = np.asarray(probabilities, dtype=np.float64) >= cutoff
    tp, fp = int((events & positive).sum()), int((~events & positive).sum())
    tn, fn = int((~events & ~positive).sum()), int((events & ~positive).sum())
    return OperatingPoint(
        cutoff=cutoff,
        true_positive=tp,
        false_positive=fp,
        true_negative=tn,
        false_negative=fn,
        sensitivity=share(tp, tp + fn),
        specificity=share(tn, tn + fp),
        positive_predictive_value=share(tp, tp + fp),
        negative_predictive_value=share(tn, tn + fn),
    )


def share(found: int, of: int) -> Estimate | None:
    """A share with its Wilson interval; None of nothing."""
    if of == 0:
        return None
    interval = binomtest(found, of).proportion_ci(method="wilson")
    return Estimate(found / of, float(interval.low), float(interval.high))
