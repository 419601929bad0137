"""ComBat across scanners as a step of a pipeline before the selection, so that it only ever sees the training fold.

ComBat (Johnson et al., Biostatistics 2007;8:118-127) takes location and scale of each feature on each scanner back to
those of all scanners, shrunk by empirical Bayes; here parametric and as combatlearn has it, whose prior of an effect is
made of the same feature on every scanner, not, as in the paper, of every feature on the same scanner. The label is no
covariate, because nobody knows it of a case to be predicted.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted, validate_data

from models.research.errors import MissingPackageError

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

#: Training cases that a scanner needs for its effect to be estimated; ComBat itself asks for two.
LEAST_CASES = 5
#: Variance within scanners, as a share of that of the whole column, below which only the scanner makes it vary.
_LEAST_SPREAD = 1e-6


def load_combat() -> type[Any]:
    """`combatlearn.ComBat`, which only a study with ComBat needs.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        from combatlearn import ComBat
    except ImportError as error:
        raise MissingPackageError("ComBat needs combatlearn: pip install 'rectal-node[harmonisation]'") from error
    return ComBat


class HarmonisedFeatures(TransformerMixin, BaseEstimator):
    """Takes the effect of the scanner out of each feature; the row number in the first column stays.

    The row number tells the scanner of a case. A case of a scanner of which the training rows hold fewer than
    `LEAST_CASES` passes as it was measured, and so does every case where they hold fewer than two scanners with as
    many. That is what ComBat itself expects of an unknown scanner: it centres its effects on the grand mean, so that
    their mean over the training cases is a shift of zero and a scale of about one, and without a case of the scanner
    the shrunk effect is that mean.

    Features are standardised before and brought back to their units after, because ComBat adds a constant to their
    variances. A column that does not vary within scanners tells nothing but the scanner: it becomes constant in every
    case, so that the selection drops it.

    The selection judges stability by features under other masks (`Perturbed`) as they were measured. The step is a line
    on each scanner: there masks and cases spread in the same proportion before and after. Across scanners the offset
    counts as a difference between cases, which makes agreement look a little better; it does so without ComBat, too,
    and models with and without differ in nothing but the harmonisation.
    """

    def __init__(self, scanners: NDArray[np.str_]) -> None:
        """`scanners` (cases,) of every row number that can come."""
        self.scanners = scanners

    def fit(self, features: Floats, labels: Labels | None = None) -> Self:
        """`features` is (cases, 1 + columns), the row number of each case first; `labels` are not looked at.

        Raises `MissingPackageError` when combatlearn is not installed.
        """
        validate_data(self, features)
        names, counts = np.unique(self._scanners_of(features), return_counts=True)
        enough = names[counts >= LEAST_CASES]
        self.known_ = enough if len(enough) > 1 else enough[:0]
        if not len(self.known_):
            return self
        seen = features[~self.unharmonised(features)]
        self.scaling_ = StandardScaler().fit(seen[:, 1:])
        scaled = self._scaled(seen)
        offsets = scaled.groupby(self._scanners_of(seen)).transform("mean")
        self.varying_ = ((scaled - offsets).var(axis=0, ddof=0) > _LEAST_SPREAD).to_numpy()
        by_number = pd.Series(self.scanners)
        self.combat_ = load_combat()(batch=by_number).fit(scaled.loc[:, self.varying_])
        return self

    def transform(self, features: Floats) -> Floats:
        """The same shape: harmonised where the scanner is known."""
        check_is_fitted(self, "known_")
        validate_data(self, features, reset=False)
        if not len(self.known_):
            return features
        harmonised = features.copy()
        known = ~self.unharmonised(features)
        if known.any():
            scaled = self._scaled(features[known])
            scaled.loc[:, self.varying_] = self.combat_.transform(scaled.loc[:, self.varying_])
            harmonised[known, 1:] = self.scaling_.inverse_transform(scaled.to_numpy())
        harmonised[:, 1:][:, ~self.varying_] = self.scaling_.mean_[~self.varying_]
        return harmonised

    def unharmonised(self, features: Floats) -> NDArray[np.bool_]:
        """Which cases (cases,) pass as they were measured."""
        return ~np.isin(self._scanners_of(features), self.known_)

    def _scanners_of(self, features: Floats) -> NDArray[np.str_]:
        return np.asarray(self.scanners)[features[:, 0].astype(np.int64)]

    def _scaled(self, features: Floats) -> pd.DataFrame:
        """Under their row numbers, by which combatlearn finds the scanners."""
        return pd.DataFrame(self.scaling_.transform(features[:, 1:]), index=features[:, 0].astype(np.int64))
