"""What an evaluation finds in the example table of docs/evaluation.md, whose resolutions are equally good."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from models.research.errors import CohortError
from models.research.evaluation.discrimination import delong_test
from models.research.evaluation.prediction_table import read_predictions
from models.research.evaluation.predictions import CohortPart, Model, Predictions, Resolution
from models.research.evaluation.results import Evaluation, Options
from models.research.evaluation.study import PAIRS, evaluate

EXAMPLE = Path(__file__).parents[3] / "docs" / "evaluation-example.csv"
OPTIONS = Options(
    draws=300, seed=1, threshold=None, categories=(), groups={"560 and 570": ("UIH uMR 560", "UIH uMR 570")}
)
SUPER = Model("All-sequence", Resolution.SUPER)
NORMAL = Model("All-sequence", Resolution.NORMAL)


@pytest.fixture(scope="module")
def predictions() -> Predictions:
    return read_predictions(EXAMPLE)


@pytest.fixture(scope="module")
def found(predictions: Predictions) -> Evaluation:
    return evaluate(predictions, OPTIONS)


@pytest.fixture(scope="module")
def few(predictions: Predictions) -> Predictions:
    """Two models of the sixteen: All-sequence at normal and super resolution."""
    chosen = [predictions.models.index(model) for model in (NORMAL, SUPER)]
    return replace(predictions, models=(NORMAL, SUPER), probabilities=predictions.probabilities[chosen])


@pytest.fixture(scope="module")
def found_of_few(few: Predictions) -> Evaluation:
    return evaluate(few, OPTIONS)


def test_every_model_is_judged_on_every_cohort(found: Evaluation):
    assert len(found.performances) == 16 * 3
    assert {(row.cohort, row.cases) for row in found.performances} == {
        (CohortPart.TRAINING, 150),
        (CohortPart.VALIDATION, 50),
        (CohortPart.TEST, 90),
    }


def test_a_comparison_is_super_minus_its_reference(found: Evaluation, predictions: Predictions):
    test = predictions.cohort(CohortPart.TEST)
    expected = delong_test(test.labels, test.of(SUPER), test.of(NORMAL))
    row = next(r for r in found.comparisons if r.cohort is CohortPart.TEST and r.input == "All-sequence")
    assert (row.resolution, row.reference) == (Resolution.SUPER, Resolution.NORMAL)
    assert (row.difference.value, row.p) == (expected.difference, expected.p)
    assert row.bootstrap.low == pytest.approx(expected.low, abs=0.02)
    assert row.bootstrap.high == pytest.approx(expected.high, abs=0.02)


def test_a_better_super_resolution_is_above_zero_in_every_measure(few: Predictions):
    better = few.probabilities.copy()
    right_way = np.where(few.labels == 1, 0.15, -0.15)
    better[few.models.index(SUPER)] = np.clip(few.of(NORMAL) + right_way, 0, 1)
    found = evaluate(replace(few, probabilities=better), replace(OPTIONS, categories=(0.5,)))
    row = next(r for r in found.comparisons if r.cohort is CohortPart.TEST and r.input == "All-sequence")
    assert row.difference.value > 0
    assert row.net_benefit.low > 0
    assert row.category_free.nri.value == 2
    assert row.categorical.nri.value > 0
    assert row.idi.idi.low > 0


def test_the_controls_stand_beside_super_resolution(found: Evaluation):
    assert {(row.resolution, row.reference) for row in found.comparisons} == set(PAIRS)


def test_cutoffs_and_threshold_see_the_training_cohort_alone(found_of_few: Evaluation, few: Predictions):
    other = few.cohorts != CohortPart.TRAINING
    turned = replace(
        few,
        labels=np.where(other, 1 - few.labels, few.labels),
        probabilities=np.where(other, 1 - few.probabilities, few.probabilities),
    )
    again = evaluate(turned, OPTIONS)
    assert again.cutoffs == found_of_few.cutoffs
    assert again.threshold == found_of_few.threshold == few.cohort(CohortPart.TRAINING).labels.mean()
    for row in again.performances:
        assert row.point.cutoff == found_of_few.cutoffs[row.model]


def test_the_categorical_nri_has_the_cutoffs_of_training(found: Evaluation, predictions: Predictions):
    test = predictions.cohort(CohortPart.TEST)
    higher = (test.of(SUPER) >= found.cutoffs[SUPER]).astype(int) - (test.of(NORMAL) >= found.cutoffs[NORMAL])
    row = next(r for r in found.comparisons if r.cohort is CohortPart.TEST and r.input == "All-sequence")
    assert row.categorical.events.value == pytest.approx(higher[test.labels == 1].mean())
    assert row.categorical.others.value == pytest.approx(-higher[test.labels == 0].mean())


def test_categories_that_are_asked_for_are_the_same_for_both_models(few: Predictions):
    row = evaluate(few, replace(OPTIONS, categories=(0.3, 0.6))).comparisons[0]
    training = few.cohort(CohortPart.TRAINING)
    new, old = (training.of(Model("All-sequence", resolution)) for resolution in PAIRS[0])
    moved = np.sign(np.digitize(new, (0.3, 0.6)) - np.digitize(old, (0.3, 0.6)))
    assert row.categorical.events.value == pytest.approx(moved[training.labels == 1].mean())


def test_a_subgroup_holds_the_cases_of_its_scanners(found: Evaluation, predictions: Predictions):
    test = predictions.cohort(CohortPart.TEST)
    inside = np.isin(test.scanners, ["UIH uMR 560", "UIH uMR 570"])
    row = next(r for r in found.subgroups if (r.cohort, r.group, r.model) == (CohortPart.TEST, "560 and 570", SUPER))
    assert row.cases == inside.sum() == 30
    assert row.auc is not None
    assert row.auc.value == pytest.approx(roc_auc_score(test.labels[inside], test.of(SUPER)[inside]))


def test_a_scanner_without_training_cases_is_marked(found: Evaluation):
    assert {row.group for row in found.subgroups if not row.trained_on} == {"Siemens Skyra"}


def test_a_subgroup_with_few_of_a_class_has_counts_but_no_area(found: Evaluation):
    few = [row for row in found.subgroups if min(row.events, row.cases - row.events) < 5]
    assert few
    assert all(row.auc is None for row in few)


def test_a_group_of_a_scanner_that_is_not_there_is_one_line(predictions: Predictions):
    with pytest.raises(CohortError) as caught:
        evaluate(predictions, replace(OPTIONS, groups={"old": ("GE Signa",)}))
    assert str(caught.value) == (
        "subgroup old: GE Signa is no scanner of the table; known are GE MR750, Philips Multiva, Siemens Skyra, "
        "UIH uMR 560, UIH uMR 570, UIH uMR 770"
    )


def test_the_oracle_is_compared_with_every_model(found: Evaluation, predictions: Predictions):
    assert len(found.oracle_gaps) == 16 * 3
    training = predictions.cohort(CohortPart.TRAINING)
    assert found.oracle_gaps[0].oracle_auc == pytest.approx(roc_auc_score(training.labels, training.oracle))
    assert found.oracle_gaps[0].difference.value == pytest.approx(
        found.oracle_gaps[0].oracle_auc - found.oracle_gaps[0].auc
    )


def test_a_table_without_an_oracle_has_no_gap(few: Predictions):
    assert evaluate(replace(few, oracle=None), OPTIONS).oracle_gaps == ()


def test_the_curves_start_and_end_where_they_must(found: Evaluation):
    curves = found.curves_of(CohortPart.TEST, SUPER)
    assert (curves.false_positive[0], curves.sensitivity[0]) == (0, 0)
    assert (curves.false_positive[-1], curves.sensitivity[-1]) == (1, 1)
    assert (curves.decision.low <= curves.decision.high).all()
    assert sum(1 for _ in curves.groups) == 9


def test_the_same_options_give_the_same_figures(found_of_few: Evaluation, few: Predictions):
    again = evaluate(few, OPTIONS)
    assert again.comparisons == found_of_few.comparisons
    assert again.performances == found_of_few.performances


def test_another_seed_moves_bootstrap_intervals_and_nothing_else(found_of_few: Evaluation, few: Predictions):
    again, before = evaluate(few, replace(OPTIONS, seed=2)).comparisons[0], found_of_few.comparisons[0]
    assert again.difference == before.difference
    assert again.bootstrap != before.bootstrap
