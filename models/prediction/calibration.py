"""Calibration as serving applies it. It stands alone: the node need not load what fits models."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from models.prediction.log_odds import bounded_log_odds


def calibrate(probability: NDArray[np.float64], intercept: float, slope: float) -> NDArray[np.float64]:
    """Logistic calibration of log odds; keeps the order of cases as long as the slope is positive.

    `probability`: (cases,).
    """
    return expit(intercept + slope * bounded_log_odds(probability))
