"""Whether a feature is measured alike twice: intraclass and concordance correlation.

ICC: McGraw & Wong, Psychological Methods 1996;1:30-46, two-way random effects, absolute agreement, single measurement;
ICC(2,1) of Shrout & Fleiss 1979. CCC: Lin, Biometrics 1989;45:255-268, its variance as corrected in 2000;56:324-325.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import f, norm

from models.errors import ModelError
from models.research.statistics.estimates import Estimate, Floats


def intraclass_correlation(values: ArrayLike, level: float = 0.95) -> Estimate:
    """ICC(2,1) of `values` (cases, measurements) with its interval. A feature that never varies has ICC 1.

    Raises `ModelError` with fewer than three cases, one measurement, or a gap.
    """
    table = _complete(values)
    n, k = table.shape
    between, systematic, error = (float(square) for square in _mean_squares(table))
    total = between + (k - 1) * error + k * (systematic - error) / n
    if total == 0:
        return Estimate(1.0, 1.0, 1.0)
    icc = float((between - error) / total)
    if icc == 1:  # but for rounding: no interval to divide by
        return Estimate(1.0, 1.0, 1.0)
    a = k * icc / (n * (1 - icc))
    b = 1 + k * icc * (n - 1) / (n * (1 - icc))
    freedom = (a * systematic + b * error) ** 2 / (
        (a * systematic) ** 2 / (k - 1) + (b * error) ** 2 / ((n - 1) * (k - 1))
    )
    tail = 0.5 + level / 2
    above, below = f.ppf(tail, n - 1, freedom), f.ppf(tail, freedom, n - 1)
    spread = k * systematic + (k * n - k - n) * error
    low = n * (between - above * error) / (above * spread + n * between)
    high = n * (below * between - error) / (spread + n * below * between)
    return Estimate(icc, float(low), float(high))


def intraclass_correlations(values: ArrayLike) -> Floats:
    """ICC(2,1) without interval of every column of `values` (cases, measurements, columns); NaN where one has a gap.

    Raises `ModelError` with fewer than three cases or one measurement.
    """
    table = np.asarray(values, dtype=np.float64)
    _require_twice(table[..., 0])
    n, k = table.shape[:2]
    between, systematic, error = _mean_squares(table)
    total = between + (k - 1) * error + k * (systematic - error) / n
    return np.where(total == 0, 1.0, (between - error) / np.where(total == 0, 1.0, total))


def concordance_correlation(first: ArrayLike, second: ArrayLike, level: float = 0.95) -> Estimate:
    """Lin's CCC of two measurements (cases,) with the interval of its z-transform.

    Raises `ModelError` as `intraclass_correlation` does.
    """
    x, y = _complete(np.stack([np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)], axis=1)).T
    if np.array_equal(x, y):
        return Estimate(1.0, 1.0, 1.0)
    covariance = float(((x - x.mean()) * (y - y.mean())).mean())
    ccc = 2 * covariance / float(x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    if covariance == 0:
        return Estimate(0.0, -1.0, 1.0)
    correlation = covariance / float(x.std() * y.std())
    shift = float((x.mean() - y.mean()) ** 2 / (x.std() * y.std()))
    variance = (
        (1 - correlation**2) * ccc**2 / ((1 - ccc**2) * correlation**2)
        + 2 * ccc**3 * (1 - ccc) * shift / (correlation * (1 - ccc**2) ** 2)
        - ccc**4 * shift**2 / (2 * correlation**2 * (1 - ccc**2) ** 2)
    ) / (x.size - 2)
    reach = float(norm.ppf(0.5 + level / 2)) * np.sqrt(max(variance, 0.0))
    return Estimate(ccc, float(np.tanh(np.arctanh(ccc) - reach)), float(np.tanh(np.arctanh(ccc) + reach)))


def _mean_squares(table: Floats) -> tuple[Floats, Floats, Floats]:
    """Two-way analysis of variance of `table` (cases, measurements, …): between cases, between measurements, rest."""
    n, k = table.shape[:2]
    rows, columns = table.mean(axis=1), table.mean(axis=0)
    residual = table - rows[:, None] - columns[None] + table.mean(axis=(0, 1))
    error = (residual**2).sum(axis=(0, 1)) / ((n - 1) * (k - 1))
    return k * rows.var(axis=0, ddof=1), n * columns.var(axis=0, ddof=1), error


def _complete(values: ArrayLike) -> Floats:
    table = np.asarray(values, dtype=np.float64)
    _require_twice(table)
    if not np.isfinite(table).all():
        raise ModelError(f"agreement needs complete cases, {int((~np.isfinite(table)).any(axis=1).sum())} have a gap")
    return table


def _require_twice(table: Floats) -> None:
    if table.ndim != 2 or table.shape[0] < 3 or table.shape[1] < 2:
        raise ModelError(
            f"agreement needs three cases measured twice, the values are {table.shape} (cases, measurements)"
        )
