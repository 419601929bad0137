"""Fitting one model: hyper-parameters by an inner cross-validation, calibrated on what its folds say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import ParameterGrid, StratifiedGroupKFold
from sklearn.pipeline import Pipeline

from models.errors import ModelError
from models.research.training.prediction.fitting.classifiers import ClassifierRecipe, log_odds, pipeline
from models.research.training.prediction.fitting.feature_table import FeatureTable
from models.research.training.prediction.fitting.selection import LEADING, Method

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Rows = NDArray[np.int64]
Folds = list[tuple[Rows, Rows]]

INNER_FOLDS = 3


@dataclass(frozen=True, slots=True)
class FittedModel:
    """A pipeline on some cases; `intercept` and `slope` calibrate its log odds, `chosen` are its hyper-parameters."""

    pipeline: Pipeline
    intercept: float
    slope: float
    chosen: dict[str, Any]

    def probability(self, numbered: Floats) -> Floats:
        """Calibrated probability (cases,) of a table as `FeatureTable.numbered` gives it."""
        return expit(self.intercept + self.slope * log_odds(self.pipeline, numbered))

    def selected(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Names of the chosen columns, in the order in which the classifier takes them."""
        columns = np.arange(1 + len(names))[None]
        for _, step in _selectors(self.pipeline):
            columns = columns[:, step.get_support()]
        return tuple(names[column - 1] for column in columns[0])


def fit(table: FeatureTable, rows: Rows, recipe: ClassifierRecipe, seed: int, method: Method = "lasso") -> FittedModel:
    """Search the grid of `recipe`, calibrate and fit on the cases `rows` of `table`; no other case is looked at.

    `rows`: (cases,) indices.

    The candidate with the best mean AUC over the inner folds is taken. Its log odds of cases that it has not seen make
    the calibration, so that this needs no cases of its own.
    """
    features, labels = table.numbered, table.labels
    model = pipeline(recipe, table, seed, method)
    inner = [(rows[train], rows[test]) for train, test in folds(labels[rows], table.patients[rows], INNER_FOLDS, seed)]
    candidates = list(ParameterGrid(dict(recipe.grid)))
    scores = _scores(model, candidates, features, labels, inner)
    areas = [np.mean([roc_auc_score(labels[test], score[test]) for _, test in inner]) for score in scores]
    best = int(np.argmax(areas))
    intercept, slope = calibration(labels[rows], scores[best][rows])
    whole = clone(model).set_params(**candidates[best]).fit(features[rows], labels[rows])
    return FittedModel(whole, intercept, slope, dict(candidates[best]))


def folds(labels: Labels, patients: NDArray[np.str_], count: int, seed: int) -> Folds:
    """Stratified folds (rows to train on, rows to test on) that keep the cases of a patient together.

    Raises `ModelError` when a class has fewer cases than there are folds.
    """
    classes = np.bincount(labels, minlength=2)
    if classes.min() < count:
        raise ModelError(f"{count} folds need {count} cases of each class, there are {classes.tolist()}")
    split = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    return list(split.split(labels, labels, patients))


def calibration(labels: Labels, scores: Floats) -> tuple[float, float]:
    """Intercept and slope of a logistic line through the log odds. Both are (cases,).

    Where higher log odds do not go with more cases of the class, the slope is 0 and all get the share of the class: a
    model that knows nothing is not turned round.
    """
    line = LogisticRegression(C=np.inf).fit(scores[:, None], labels)
    if line.coef_[0, 0] > 0:
        return float(line.intercept_[0]), float(line.coef_[0, 0])
    return float(logit(labels.mean())), 0.0


def _scores(
    model: Pipeline, candidates: list[dict[str, Any]], features: Floats, labels: Labels, inner: Folds
) -> Floats:
    """Log odds (candidates, cases) of the cases tested by `inner`, the others NaN.

    What of the selection no hyper-parameter changes is fitted once a fold. It is why this is no `GridSearchCV`, which
    would fit it for each candidate; its out-of-fold scores would be lost, too.
    """
    at = [name for name, _ in model.steps].index(LEADING)
    scores = np.full((len(candidates), len(labels)), np.nan)
    for train, test in inner:
        first = clone(model[:at])
        seen = first.fit_transform(features[train], labels[train])
        unseen = first.transform(features[test])
        for number, candidate in enumerate(candidates):
            rest = clone(model[at:]).set_params(**candidate).fit(seen, labels[train])
            scores[number, test] = log_odds(rest, unseen)
    return scores


def _selectors(model: Pipeline) -> list[tuple[str, Any]]:
    return [(name, step) for name, step in model.steps if hasattr(step, "get_support")]
