"""The evidence of one model: what it says of cases that it has not seen, by folds and by scanners."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import LeaveOneGroupOut

from models.research.evaluation.operating_point import youden
from models.research.training.prediction.fitting.classifiers import HARMONISATION, ClassifierRecipe
from models.research.training.prediction.fitting.feature_table import FeatureTable
from models.research.training.prediction.fitting.fit import FittedModel, Folds, fit, folds
from models.research.training.prediction.fitting.selection import LEADING, Method

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ChosenFeature:
    """A feature of the model on all cases; `weight` in the selection (signed by LASSO), `folds` that chose it, too."""

    name: str
    weight: float
    folds: int


@dataclass(frozen=True, slots=True)
class Unharmonised:
    """Cases that ComBat left as they were when they were tested, because the training cases lacked their scanner."""

    out_of_fold: int
    across_scanners: int
    held_out: int


@dataclass(frozen=True, slots=True)
class ModelEvidence:
    """Evidence of one model on one table.

    Attributes:
        out_of_fold: (cases,) calibrated probability from a model that has not seen the case.
        across_scanners: (cases,) the same from a model that has not seen the case's scanner.
        held_out: (held-out cases,) probability by the model on all cases.
        intercept: of the calibration of the model on all cases.
        slope: of the same.
        cutoff: Youden's, on `out_of_fold`.
        chosen: hyper-parameters of the model on all cases.
        features: of the same.
        stable: columns that are stable under other masks in all cases; None where no case was measured again.
        unharmonised: None of a model without ComBat.
    """

    out_of_fold: Floats
    across_scanners: Floats
    held_out: Floats
    intercept: float
    slope: float
    cutoff: float
    chosen: dict[str, Any]
    features: tuple[ChosenFeature, ...]
    stable: int | None
    unharmonised: Unharmonised | None = None


def cross_validate(
    table: FeatureTable,
    recipe: ClassifierRecipe,
    seed: int,
    count: int,
    held_out: FeatureTable | None = None,
    method: Method = "lasso",
) -> tuple[ModelEvidence, FittedModel]:
    """The model on all cases of `table` with its evidence from `count` folds and from leaving out a scanner at a time.

    Harmonisation, selection, search of hyper-parameters and calibration are done anew in every fold. `held_out`, with
    the columns of `table`, are cases that nothing is fitted on. Raises `ModelError` when a class has fewer cases than
    there are folds.
    """
    outer = folds(table.labels, table.patients, count, seed)
    out_of_fold, models = unseen_probability(table, outer, recipe, seed, method)
    by_scanner = _by_scanner(table)
    across, others = unseen_probability(table, by_scanner, recipe, seed, method)
    chosen_by_folds = Counter(name for model in models for name in model.selected(table.names))
    every = table if held_out is None else table.followed_by(held_out)
    rows = np.arange(len(every.labels))
    fitted, rest = rows[: len(table.labels)], rows[len(table.labels) :]
    whole = fit(every, fitted, recipe, seed, method)
    weights = zip(whole.selected(table.names), whole.pipeline[LEADING].weights_, strict=True)
    evidence = ModelEvidence(
        out_of_fold=out_of_fold,
        across_scanners=across,
        held_out=whole.probability(every.numbered[rest]) if len(rest) else np.empty(0),
        intercept=whole.intercept,
        slope=whole.slope,
        cutoff=youden(table.labels, out_of_fold),
        chosen=whole.chosen,
        features=tuple(ChosenFeature(name, float(weight), chosen_by_folds[name]) for name, weight in weights),
        stable=None if table.perturbed is None else int(whole.pipeline["stability"].get_support().sum()),
        unharmonised=Unharmonised(
            _unharmonised(table, outer, models),
            _unharmonised(table, by_scanner, others),
            _unharmonised(every, [(fitted, rest)], [whole]),
        )
        if recipe.combat
        else None,
    )
    return evidence, whole


def unseen_probability(
    table: FeatureTable, split: Folds, recipe: ClassifierRecipe, seed: int, method: Method = "lasso"
) -> tuple[Floats, list[FittedModel]]:
    """Calibrated probability (cases,) of each case by the model of the fold that tests it, and these models."""
    probability = np.empty(len(table.labels))
    models = []
    for train, test in split:
        models.append(fit(table, train, recipe, seed, method))
        probability[test] = models[-1].probability(table.numbered[test])
    return probability, models


def _unharmonised(table: FeatureTable, split: Folds, models: list[FittedModel]) -> int:
    """Of the cases that `split` tests, with the model of each fold."""
    tested = zip(models, split, strict=True)
    return sum(int(it.pipeline[HARMONISATION].unharmonised(table.numbered[test]).sum()) for it, (_, test) in tested)


def _by_scanner(table: FeatureTable) -> Folds:
    return list(LeaveOneGroupOut().split(table.values, table.labels, table.scanners))
