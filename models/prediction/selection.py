"""Feature selection as one scikit-learn step, so that it can only ever see the training fold."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_selection import f_classif
from sklearn.utils.validation import check_is_fitted

Floats = NDArray[np.float64]


class FeatureSelector(TransformerMixin, BaseEstimator):
    """Keeps up to `count` columns: varying, separating the classes, and not repeating one another.

    Columns are taken in the order of their one-way analysis of variance on ranks (monotone changes of a feature
    do not matter, outliers do not rule); a column is passed over when its absolute Spearman correlation with one
    already taken exceeds `max_correlation`.
    """

    def __init__(self, count: int = 8, max_correlation: float = 0.9) -> None:
        self.count = count
        self.max_correlation = max_correlation

    def fit(self, features: Floats, labels: NDArray[np.int64]) -> Self:
        """`features` is (cases, columns) without gaps; `labels` 0 or 1."""
        varying = np.flatnonzero(np.ptp(features, axis=0) > 0)
        ranks = rankdata(features[:, varying], axis=0)
        score = f_classif(ranks, labels)[0]
        order = np.argsort(-score, kind="stable")
        standard = (ranks - ranks.mean(axis=0)) / ranks.std(axis=0)
        taken: list[int] = []
        for column in order:
            if len(taken) == self.count:
                break
            correlation = standard[:, taken].T @ standard[:, column] / len(standard)
            if not taken or np.abs(correlation).max() <= self.max_correlation:
                taken.append(int(column))
        self.columns_ = varying[taken]
        return self

    def transform(self, features: Floats) -> Floats:
        """The kept columns, best first."""
        check_is_fitted(self)
        return np.asarray(features)[:, self.columns_]
