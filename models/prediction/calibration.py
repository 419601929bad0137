"""Calibration as serving applies it. It stands alone: the node need not load what fits models."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

#: Probabilities are kept this far from 0 and 1, so that their log odds are finite.
EDGE = 1e-6


def bounded_log_odds(probabilities: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Log odds, of the same shape, finite also at probability 0 and 1."""
    bounded: npt.NDArray[np.float64] = logit(np.clip(np.asarray(probabilities, dtype=np.float64), EDGE, 1 - EDGE))
    return bounded


def calibrate(probability: npt.NDArray[np.float64], intercept: float, slope: float) -> npt.NDArray[np.float64]:
    """Logistic calibration of log odds; keeps the order of cases as long as the slope is positive.

    `probability`: (cases,).
    """
    return expit(intercept + slope * bounded_log_odds(probability))
