"""Why a model says what it says of one case: exact Shapley values of boosted trees, on the calibrated scale."""

from __future__ import annotations

import numpy as np
from catboost import CatBoostClassifier, Pool
from numpy.typing import NDArray

from models.prediction.records import Contribution, ModelCard

Floats = NDArray[np.float64]


def shapley_values(row: Floats, classifier: CatBoostClassifier) -> tuple[float, Floats]:
    """Expected raw log odds of the model, and what each feature of `row` (features,) adds to them.

    TreeSHAP as CatBoost computes it (Lundberg et al. 2020, doi:10.1038/s42256-019-0138-9): exact, without sampling,
    so that the same row gives the same values. Both add up to the model's raw log odds.
    """
    pool = Pool(row[None], feature_names=list(classifier.feature_names_), thread_count=1)
    values = np.asarray(classifier.get_feature_importance(pool, type="ShapValues", thread_count=1))[0]
    return float(values[-1]), values[:-1]


def explain(row: Floats, card: ModelCard, classifier: CatBoostClassifier) -> tuple[float, tuple[Contribution, ...]]:
    """Base and contributions of a case, the strongest first, in calibrated log odds.

    Calibration is a line through the log odds, so its slope scales the Shapley values and turns them round where it is
    negative; its intercept belongs to the base. `row` is (features,), in the order of the card.
    """
    expected, values = shapley_values(row, classifier)
    contributions = [
        Contribution(feature.name, float(value), feature.low, feature.high, float(card.slope * added))
        for feature, value, added in zip(card.features, row, values, strict=True)
    ]
    strongest = sorted(contributions, key=lambda it: -abs(it.log_odds))
    return float(card.intercept + card.slope * expected), tuple(strongest)
