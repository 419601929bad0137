"""Figures of a study: what its manifest, the screen and the written report all say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from catboost import CatBoostClassifier

from models.prediction.records import FeatureCard, ModelCard
from models.research.evaluation.discrimination import AucInterval, DeLongTest, auc_interval, delong_test
from models.research.evaluation.predictions import Resolution
from models.research.training.prediction.fitting.classifiers import MAIN
from models.research.training.prediction.fitting.feature_table import FeatureTable, Floats
from models.research.training.prediction.study import INPUTS, ModelKey, Study
from models.research.training.prediction.tables import SHIPPED

#: Super-resolution of every sequence.
BEST_INFORMED = ModelKey("All-sequence", Resolution.SUPER, MAIN)


@dataclass(frozen=True, slots=True)
class CombatEffect:
    """A model after ComBat (first) against the same without (second).

    `judged` is the field of `Evidence` whose probabilities are compared; `unharmonised` of its `cases` passed ComBat as
    they were measured.
    """

    model: str
    judged: str
    test: DeLongTest
    unharmonised: int
    cases: int


@dataclass(frozen=True, slots=True)
class Results:
    """A study and its cases; `left_out` more were incomplete, `held_out` are cases that nothing was fitted on."""

    table: FeatureTable
    left_out: int
    held_out: FeatureTable | None
    study: Study
    folds: int

    @property
    def resolutions(self) -> tuple[Resolution, ...]:
        """Of the models, controls last."""
        return tuple(resolution for resolution in Resolution if any(key.resolution == resolution for key in self.study))

    @property
    def classifiers(self) -> tuple[str, ...]:
        """Of the models, the main one first."""
        return tuple(dict.fromkeys(key.classifier for key in self.study))

    def area(self, key: ModelKey) -> AucInterval:
        """Cross-validated AUC."""
        return auc_interval(self.table.labels, self.study[key].out_of_fold)

    def area_across_scanners(self, key: ModelKey) -> AucInterval:
        """AUC over all cases, each judged by a model that has not seen its scanner."""
        return auc_interval(self.table.labels, self.study[key].across_scanners)

    def area_held_out(self, key: ModelKey) -> AucInterval | None:
        """AUC on the held-out cases; None where there are fewer than two of a class."""
        if self.held_out is None or not _both_classes(self.held_out):
            return None
        return auc_interval(self.held_out.labels, self.study[key].held_out)

    def compare(self, label: str, first: Resolution, second: Resolution) -> DeLongTest:
        """Out-of-fold probabilities of the main classifier at two resolutions."""
        one, other = (self.study[ModelKey(label, resolution, MAIN)].out_of_fold for resolution in (first, second))
        return delong_test(self.table.labels, one, other)

    def combat(self) -> Iterator[CombatEffect]:
        """The effect of ComBat, model by model; nothing where the study has none after it."""
        judged = {"out_of_fold": self.table, "across_scanners": self.table, "held_out": self.held_out}
        for key, after in self.study.items():
            if after.unharmonised is None:
                continue
            before = self.study[key._replace(classifier=MAIN)]
            for name, table in judged.items():
                if table is not None and _both_classes(table):
                    test = delong_test(table.labels, getattr(after, name), getattr(before, name))
                    yield CombatEffect(key.name, name, test, getattr(after.unharmonised, name), len(table.cases))

    def against_oracle(self) -> dict[ModelKey, DeLongTest]:
        """The label's probability given what it was drawn with, against the main classifier on all sequences at each
        resolution; nothing of a cohort.

        Each case is judged by a model that has not seen its scanner. No reading of the images can do better than the
        oracle, but for the chance of a sample.
        """
        if self.table.oracle is None:
            return {}
        keys = [key for key in self.study if (key.input, key.classifier) == (BEST_INFORMED.input, MAIN)]
        return {key: delong_test(self.table.labels, self.table.oracle, self.study[key].across_scanners) for key in keys}

    def probabilities(self, held_out: bool = False) -> dict[str, Floats]:
        """Of the main classifier, by the name of the model: out of fold, or of the held-out cases."""
        found = {key.name: evidence for key, evidence in self.study.items() if key.classifier == MAIN}
        return {name: it.held_out if held_out else it.out_of_fold for name, it in found.items()}


def shipped_keys() -> tuple[ModelKey, ...]:
    """The eight models of a bundle."""
    return tuple(ModelKey(label, resolution, MAIN) for label in INPUTS for resolution in SHIPPED)


def cards(results: Results, trees: Iterable[CatBoostClassifier]) -> tuple[ModelCard, ...]:
    """The bundle's card of each of its models; `trees` in the order of `shipped_keys`."""
    return tuple(_card(results, key, classifier) for key, classifier in zip(shipped_keys(), trees, strict=True))


def metrics(results: Results) -> dict[str, Any]:
    """Figures of the manifest; areas with their 95 % intervals, by DeLong."""
    table = results.table
    shipped = shipped_keys()
    figures: dict[str, Any] = {
        "cases": len(table.labels),
        "cases_left_out_as_incomplete": results.left_out,
        "positive_cases": int(table.labels.sum()),
        "cases_measured_under_other_masks": 0 if table.perturbed is None else len(table.perturbed.rows),
        "cross_validated_auc": {key.name: round(results.area(key).auc, 4) for key in shipped},
        "leave_one_scanner_out_auc": {key.name: round(results.area_across_scanners(key).auc, 4) for key in shipped},
        "super_minus_normal": {label: _difference(results.compare(label, *SHIPPED[::-1])) for label in INPUTS},
    }
    if table.oracle is not None:
        area = auc_interval(table.labels, table.oracle)
        figures |= {"oracle_auc": round(area.auc, 4), "oracle_auc_interval": _interval(area)[1:]}
        tests = results.against_oracle()
        figures["oracle_minus_model"] = {key.name: _difference(tests[key]) for key in shipped if key in tests}
    if results.held_out is not None:
        figures["test_cohort"] = _held_out(results, results.held_out)
    return figures


def _both_classes(table: FeatureTable) -> bool:
    """Whether an area has an interval: two cases of each class."""
    return bool(np.bincount(table.labels, minlength=2).min() >= 2)


def _held_out(results: Results, held_out: FeatureTable) -> dict[str, Any]:
    """AUC of the shipped models on cases that no fold has seen; counts alone where a class is missing."""
    counts: dict[str, Any] = {"cases": len(held_out.labels), "positive_cases": int(held_out.labels.sum())}
    areas = {key.name: results.area_held_out(key) for key in shipped_keys()}
    return counts | {name: _interval(area) for name, area in areas.items() if area}


def _interval(area: AucInterval) -> list[float]:
    return [round(value, 4) for value in (area.auc, area.low, area.high)]


def _difference(test: DeLongTest) -> dict[str, float]:
    values = {"difference": test.difference, "low": test.low, "high": test.high, "p": test.p}
    return {name: round(value, 4) for name, value in values.items()}


def _card(results: Results, key: ModelKey, trees: CatBoostClassifier) -> ModelCard:
    table, evidence = results.table, results.study[key]
    area = results.area(key)
    names = list(trees.feature_names_)
    weights = np.asarray(trees.get_feature_importance()) / 100
    columns = [table.values[:, table.names.index(name)] for name in names]
    return ModelCard(
        name=key.name,
        file=f"{key.input.lower()}-{key.resolution}.cbm",
        inputs=INPUTS[key.input],
        resolution="super" if key.resolution == Resolution.SUPER else "normal",
        features=tuple(
            FeatureCard(name=name, low=float(column.min()), high=float(column.max()), weight=float(weight))
            for name, column, weight in zip(names, columns, weights, strict=True)
        ),
        intercept=evidence.intercept,
        slope=evidence.slope,
        cutoff=evidence.cutoff,
        cross_validated_auc=area.auc,
        cross_validated_auc_interval=(area.low, area.high),
        leave_one_scanner_out_auc=results.area_across_scanners(key).auc,
        cases=len(table.labels),
    )
