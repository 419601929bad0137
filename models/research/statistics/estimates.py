"""A figure with its interval, and the intervals that need no model: normal theory and bootstrap.

The bootstrap never copies cases: a draw is a row of counts, how often each case is in it, so that every statistic that
is a sum over cases is one product of matrices for all draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its interval."""

    value: float
    low: float
    high: float


def wald(value: float, error: float, level: float = 0.95) -> Estimate:
    """The value with its normal-theory interval; `error` is its standard error."""
    reach = float(norm.ppf(0.5 + level / 2)) * error
    return Estimate(value, value - reach, value + reach)


def two_sided(value: float, error: float) -> tuple[float, float]:
    """z and two-sided p of `value` against 0. A zero with no error is z = 0, p = 1."""
    z = value / error if error > 0 else (0.0 if value == 0 else math.copysign(math.inf, value))
    return z, float(2 * norm.sf(abs(z)))


def resample(groups: ArrayLike, draws: int, seed: int) -> Floats:
    """Counts (draws, cases) of a bootstrap that draws within each group, so that each keeps its size."""
    members = np.asarray(groups)
    generator = np.random.default_rng(seed)
    counts = np.zeros((draws, members.size))
    for group in np.unique(members):
        inside = np.flatnonzero(members == group)
        counts[:, inside] = generator.multinomial(inside.size, np.full(inside.size, 1 / inside.size), draws)
    return counts


def percentile(value: float, samples: Floats, level: float = 0.95) -> Estimate:
    """The value with the percentile interval of its bootstrap samples. `samples`: (draws,)."""
    low, high = np.quantile(samples, (0.5 - level / 2, 0.5 + level / 2))
    return Estimate(value, float(low), float(high))
