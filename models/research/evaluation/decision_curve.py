"""Net benefit of acting on a prediction: Vickers & Elkin, Medical Decision Making 2006;26:565-574."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from models.research.statistics.estimates import Floats


def net_benefit(
    labels: ArrayLike, probabilities: ArrayLike, thresholds: ArrayLike, counts: Floats | None = None
) -> Floats:
    """TP/N - FP/N x t/(1 - t) at every threshold t below 1; a case is acted on from the threshold on.

    Returns (thresholds,); with bootstrap `counts` (draws, cases) the same in every draw, (draws, thresholds).
    """
    gain = _gain(labels, thresholds)
    acted = np.asarray(probabilities, dtype=np.float64)[:, None] >= np.asarray(thresholds, dtype=np.float64)
    if counts is None:
        return (gain * acted).mean(axis=0)
    return counts @ (gain * acted) / counts.sum(axis=1, keepdims=True)


def treat_all(labels: ArrayLike, thresholds: ArrayLike) -> Floats:
    """Net benefit of acting on every case; that of acting on none is 0.

    `labels`: (cases,); `thresholds`: (thresholds,).
    """
    return _gain(labels, thresholds).mean(axis=0)


def _gain(labels: ArrayLike, thresholds: ArrayLike) -> Floats:
    """(cases, thresholds): what acting on a case brings."""
    chosen = np.asarray(thresholds, dtype=np.float64)
    odds = chosen / (1 - chosen)
    return np.where((np.asarray(labels) == 1)[:, None], 1.0, -odds[None, :])
