"""The classifiers of a study: each with its small grid of hyper-parameters, behind one interface of scikit-learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from catboost import CatBoostClassifier
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.class_weight import compute_sample_weight

from models.prediction.calibration import bounded_log_odds
from models.research.training.prediction.fitting.feature_table import FeatureTable
from models.research.training.prediction.fitting.harmonisation import HarmonisedFeatures
from models.research.training.prediction.fitting.selection import LEADING, Method, selection_steps

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

#: The one that bundles hold.
MAIN = "catboost"
#: The same after ComBat: for comparison, never in a bundle, whose node meets scanners by name that no training knew.
AFTER_COMBAT = "catboost after ComBat"
HARMONISATION = "harmonisation"
_COUNTS = (6, 16)


@dataclass(frozen=True, slots=True)
class ClassifierRecipe:
    """How one classifier is made.

    Attributes:
        build: from a seed.
        grid: values by parameter of the pipeline; the first of each is taken where nothing is better.
        scaled: whether features are brought to mean 0 and standard deviation 1 before.
        combat: whether the effects of the scanners are taken out of the features before the selection.
    """

    name: str
    build: Callable[[int], BaseEstimator]
    grid: Mapping[str, tuple[Any, ...]]
    scaled: bool
    combat: bool = False

    @property
    def without_search(self) -> ClassifierRecipe:
        """The same with the first value of each hyper-parameter alone."""
        return replace(self, grid={name: values[:1] for name, values in self.grid.items()})


class BalancedMLP(MLPClassifier):
    """A multi-layer perceptron that gives both classes the same weight."""

    def fit(self, features: Floats, labels: Labels) -> Self:
        """`features` is (cases, columns), `labels` 0 or 1."""
        super().fit(features, labels, sample_weight=compute_sample_weight("balanced", labels))
        return self


def pipeline(recipe: ClassifierRecipe, table: FeatureTable, seed: int, method: Method = "lasso") -> Pipeline:
    """Harmonisation, selection and classifier as one estimator for rows of `table.numbered`."""
    harmonising = [(HARMONISATION, HarmonisedFeatures(table.scanners))] if recipe.combat else []
    scaling = [("scaling", StandardScaler())] if recipe.scaled else []
    selecting = selection_steps(table.perturbed, method)
    return Pipeline([*harmonising, *selecting, *scaling, ("classifier", recipe.build(seed))])


def log_odds(estimator: BaseEstimator, features: Floats) -> Floats:
    """Log odds of each case (cases,) before calibration: the estimator's decision function, else its log odds."""
    if hasattr(estimator, "decision_function"):
        return np.asarray(estimator.decision_function(features), dtype=np.float64)
    probability = np.asarray(estimator.predict_proba(features), dtype=np.float64)[:, 1]
    return bounded_log_odds(probability)


def _catboost(seed: int) -> CatBoostClassifier:
    """One thread, so that a fit is repeatable."""
    return CatBoostClassifier(
        iterations=150,
        learning_rate=0.04,
        rsm=0.7,
        auto_class_weights="Balanced",
        random_seed=seed,
        thread_count=1,
        allow_writing_files=False,
        verbose=False,
    )


#: Nearest neighbours know no class weights: what their imbalance shifts, the calibration shifts back.
CLASSIFIERS: dict[str, ClassifierRecipe] = {
    recipe.name: recipe
    for recipe in (
        ClassifierRecipe(
            MAIN,
            _catboost,
            {f"{LEADING}__count": _COUNTS, "classifier__depth": (2, 4), "classifier__l2_leaf_reg": (6.0, 20.0)},
            scaled=False,
        ),
        ClassifierRecipe(
            "logistic-regression",
            lambda seed: LogisticRegression(class_weight="balanced", max_iter=1000),
            {f"{LEADING}__count": _COUNTS, "classifier__C": (0.1, 0.01, 1.0)},
            scaled=True,
        ),
        ClassifierRecipe(
            "svm",
            lambda seed: SVC(class_weight="balanced"),
            {f"{LEADING}__count": _COUNTS, "classifier__C": (1.0, 0.1), "classifier__gamma": ("scale", 0.01)},
            scaled=True,
        ),
        ClassifierRecipe(
            "nearest-neighbours",
            lambda seed: KNeighborsClassifier(weights="distance"),
            {f"{LEADING}__count": _COUNTS, "classifier__n_neighbors": (25, 11, 45)},
            scaled=True,
        ),
        ClassifierRecipe(
            "random-forest",
            lambda seed: RandomForestClassifier(100, class_weight="balanced", random_state=seed, n_jobs=1),
            {f"{LEADING}__count": _COUNTS, "classifier__min_samples_leaf": (5, 15)},
            scaled=False,
        ),
        ClassifierRecipe(
            "histogram-boosting",
            lambda seed: HistGradientBoostingClassifier(
                max_iter=80, learning_rate=0.05, class_weight="balanced", early_stopping=False, random_state=seed
            ),
            {f"{LEADING}__count": _COUNTS, "classifier__max_leaf_nodes": (4, 8)},
            scaled=False,
        ),
        ClassifierRecipe(
            "mlp",
            lambda seed: BalancedMLP((8,), learning_rate_init=0.01, max_iter=300, random_state=seed),
            {f"{LEADING}__count": _COUNTS, "classifier__alpha": (10.0, 1.0)},
            scaled=True,
        ),
    )
}

#: With what is never asked for by name.
RECIPES = CLASSIFIERS | {AFTER_COMBAT: replace(CLASSIFIERS[MAIN], name=AFTER_COMBAT, combat=True)}
