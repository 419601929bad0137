"""Feature selection as scikit-learn selectors, so that it can only ever see the training fold.

In order: stable under other masks, varying, separating the classes, not repeating one another; then the leading few by
LASSO or by minimum redundancy and maximum relevance. From the third on they work on ranks: monotone changes of a
feature do not matter, outliers do not rule.
"""

from __future__ import annotations

import warnings
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import SelectorMixin, VarianceThreshold, f_classif
from sklearn.linear_model import lars_path
from sklearn.utils.validation import check_is_fitted, validate_data

from models.research.statistics.agreement import intraclass_correlations
from models.research.training.prediction.fitting.feature_table import Perturbed

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Method = Literal["lasso", "mrmr"]

#: Perturbed cases that a fold needs for its stability to be judged.
LEAST_PERTURBED = 5
#: The step from which on a selection depends on hyper-parameters.
LEADING = "leading"


def selection_steps(perturbed: Perturbed | None, method: Method = "lasso") -> list[tuple[str, BaseEstimator]]:
    """The selectors for tables as `FeatureTable.numbered` gives them, as steps of a pipeline."""
    return [
        ("stability", StableFeatures(perturbed)),
        ("variance", VarianceThreshold()),
        ("relevance", RelevantFeatures()),
        ("redundancy", DistinctFeatures()),
        (LEADING, LeadingFeatures(method=method)),
    ]


class _Selector(SelectorMixin, BaseEstimator):
    """A selector that keeps the columns where `support_` is true."""

    support_: NDArray[np.bool_]

    def _get_support_mask(self) -> NDArray[np.bool_]:
        check_is_fitted(self)
        return self.support_


class StableFeatures(_Selector):
    """Keeps columns with an intraclass correlation of at least `least_icc` between masks; drops the row number.

    Only perturbed cases of the training fold speak, which the row number in the first column tells. Where a fold has
    fewer than `LEAST_PERTURBED` of them nothing is dropped.
    """

    def __init__(self, perturbed: Perturbed | None = None, least_icc: float = 0.75) -> None:
        self.perturbed = perturbed
        self.least_icc = least_icc

    def fit(self, features: Floats, labels: Labels | None = None) -> Self:
        """`features` is (cases, 1 + columns), the row number of each case first."""
        validate_data(self, features)
        self.support_ = np.ones(features.shape[1], dtype=bool)
        self.support_[0] = False
        if self.perturbed is not None:
            inside = np.isin(self.perturbed.rows, features[:, 0].astype(np.int64))
            if inside.sum() >= LEAST_PERTURBED:
                agreement = intraclass_correlations(self.perturbed.values[inside])
                self.support_[1:] = np.nan_to_num(agreement, nan=-1.0) >= self.least_icc
        return self


class RelevantFeatures(_Selector):
    """Keeps columns whose ranks differ between the classes (one-way analysis of variance, p below `level`).

    Never fewer than the `least` best, so that there is something to go on with where nothing differs.
    """

    def __init__(self, level: float = 0.05, least: int = 20) -> None:
        self.level = level
        self.least = least

    def fit(self, features: Floats, labels: Labels) -> Self:
        """`features` is (cases, columns), none of them constant."""
        validate_data(self, features)
        score, p = f_classif(rankdata(features, axis=0), labels)
        self.support_ = p < self.level
        self.support_[np.argsort(-score, kind="stable")[: self.least]] = True
        return self


class DistinctFeatures(_Selector):
    """Passes over a column whose absolute Spearman correlation with a better one exceeds `most`; better by ranks.

    Stops at `count` columns: what follows looks at each pair.
    """

    def __init__(self, most: float = 0.9, count: int = 100) -> None:
        self.most = most
        self.count = count

    def fit(self, features: Floats, labels: Labels) -> Self:
        """`features` is (cases, columns), none of them constant."""
        validate_data(self, features)
        standard = _standard_ranks(features)
        taken: list[int] = []
        for column in np.argsort(-f_classif(standard, labels)[0], kind="stable"):
            correlation = np.abs(standard[:, taken].T @ standard[:, column]) / len(standard)
            if not taken or correlation.max() <= self.most:
                taken.append(int(column))
            if len(taken) == self.count:
                break
        self.support_ = np.isin(np.arange(features.shape[1]), taken)
        return self


class LeadingFeatures(_Selector):
    """Keeps up to `count` columns, the first to enter the path of a LASSO or of mRMR; `weights_` of those kept.

    LASSO (Tibshirani 1996) by least angle regression of the label on ranks: the weight is the coefficient when the
    last column enters. mRMR (Ding & Peng, J Bioinform Comput Biol 2005;3:185-205, F-test correlation quotient): F over
    the mean absolute correlation with those already taken.
    """

    def __init__(self, count: int = 8, method: Method = "lasso") -> None:
        self.count = count
        self.method = method

    def fit(self, features: Floats, labels: Labels) -> Self:
        """`features` is (cases, columns), none of them constant."""
        validate_data(self, features)
        standard = _standard_ranks(features)
        lead = _lasso if self.method == "lasso" else _mrmr
        weights = lead(standard, labels, min(self.count, features.shape[1]))
        self.support_ = weights != 0
        self.weights_ = weights[self.support_]
        return self


def _lasso(standard: Floats, labels: Labels, count: int) -> Floats:
    """Coefficients (columns,) at the end of the path's part with at most `count` columns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # with few cases the path ends early; what it has is taken
        _, _, path = lars_path(standard, labels - labels.mean(), method="lasso", max_iter=3 * count)
    within = np.count_nonzero(path, axis=0) <= count
    last = len(within) if within.all() else int(np.argmin(within))
    return path[:, max(last - 1, 1)]


def _mrmr(standard: Floats, labels: Labels, count: int) -> Floats:
    relevance = f_classif(standard, labels)[0]
    correlation = np.abs(standard.T @ standard) / len(standard)
    weights = np.zeros(len(relevance))
    taken: list[int] = []
    for _ in range(count):
        redundancy = correlation[taken].mean(axis=0) if taken else np.ones_like(relevance)
        score = relevance / redundancy
        score[taken] = -np.inf
        best = int(np.argmax(score))
        taken.append(best)
        weights[best] = score[best]
    return weights


def _standard_ranks(features: Floats) -> Floats:
    """Ranks with mean 0 and standard deviation 1 in each column."""
    ranks = rankdata(features, axis=0)
    return (ranks - ranks.mean(axis=0)) / ranks.std(axis=0)
