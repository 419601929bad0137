"""Fitting one model on a table of features: every fitted thing sits inside the training fold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from catboost import CatBoostClassifier
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_curve
from sklearn.model_selection import (
    BaseCrossValidator,
    LeaveOneGroupOut,
    StratifiedGroupKFold,
    StratifiedKFold,
    cross_val_predict,
)
from sklearn.pipeline import Pipeline

from models.errors import ModelError
from models.prediction.selection import FeatureSelector

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

_EDGE = 1e-6


@dataclass(frozen=True, slots=True)
class FittedModel:
    """A model on all cases, with the out-of-fold evidence beside it.

    Attributes:
        classifier: trained on the selected columns only, in the order of `names`.
        names: selected feature names.
        out_of_fold: calibrated probability of each case from a model that has not seen it.
        across_scanners: the same with a whole scanner left out at a time.
            intercept: of the calibration of log odds.
        slope: of the same.
        cutoff: on the calibrated scale.
    """

    classifier: CatBoostClassifier
    names: tuple[str, ...]
    out_of_fold: Floats
    across_scanners: Floats
    intercept: float
    slope: float
    cutoff: float


def pipeline(seed: int) -> Pipeline:
    """Selection and boosted trees as one estimator; one thread, so that a fit is repeatable."""
    trees = CatBoostClassifier(
        iterations=150,
        depth=2,
        learning_rate=0.04,
        l2_leaf_reg=6.0,
        rsm=0.7,
        auto_class_weights="Balanced",
        random_seed=seed,
        thread_count=1,
        allow_writing_files=False,
        verbose=False,
    )
    return Pipeline([("selection", FeatureSelector()), ("trees", trees)])


def fit(
    features: Floats,
    names: tuple[str, ...],
    labels: Labels,
    scanners: NDArray[np.str_],
    seed: int,
    folds: int = 10,
    patients: NDArray[np.str_] | None = None,
) -> FittedModel:
    """Cross-validate and fit one model.

    `features` is (cases, columns) without gaps, columns as `names`; `labels` 0 or 1; `scanners` the device of each
    case. Calibration (a logistic line through the log odds) and cut-off (Youden) come from out-of-fold
    probabilities of these cases. `patients` keeps the cases of one patient in one fold; None: each case is a patient.
    Raises `ModelError` when a class has fewer cases than there are folds.
    """
    classes = np.bincount(labels, minlength=2)
    if classes.min() < folds:
        raise ModelError(f"{folds} folds need {folds} cases of each class, there are {classes.tolist()}")
    split: BaseCrossValidator = StratifiedKFold(folds, shuffle=True, random_state=seed)
    if patients is not None and len(set(patients)) < len(patients):
        split = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    raw = _out_of_fold(features, labels, split, seed, patients)
    across = _out_of_fold(features, labels, LeaveOneGroupOut(), seed, scanners)
    line = LogisticRegression(C=np.inf).fit(logit(raw)[:, None], labels)
    intercept, slope = float(line.intercept_[0]), float(line.coef_[0, 0])
    calibrated = calibrate(raw, intercept, slope)
    whole = pipeline(seed).fit(features, labels)
    selected = tuple(names[column] for column in whole["selection"].columns_)
    whole["trees"].set_feature_names(list(selected))
    return FittedModel(
        classifier=whole["trees"],
        names=selected,
        out_of_fold=calibrated,
        across_scanners=calibrate(across, intercept, slope),
        intercept=intercept,
        slope=slope,
        cutoff=youden(labels, calibrated),
    )


def calibrate(probability: Floats, intercept: float, slope: float) -> Floats:
    """Logistic calibration of log odds; keeps the order of cases as long as the slope is positive."""
    return expit(intercept + slope * logit(np.clip(probability, _EDGE, 1 - _EDGE)))


def youden(labels: Labels, probability: Floats) -> float:
    """The probability from which on a case counts as positive: largest sensitivity + specificity - 1."""
    false_positive, sensitivity, thresholds = roc_curve(labels, probability)
    return float(np.clip(thresholds[np.argmax(sensitivity - false_positive)], 0.0, 1.0))


def _out_of_fold(
    features: Floats,
    labels: Labels,
    split: BaseCrossValidator,
    seed: int,
    groups: NDArray[np.str_] | None = None,
) -> Floats:
    probability = cross_val_predict(pipeline(seed), features, labels, cv=split, groups=groups, method="predict_proba")
    return np.clip(probability[:, 1], _EDGE, 1 - _EDGE)
