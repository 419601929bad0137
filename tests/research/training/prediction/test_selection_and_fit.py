"""Selection, hyper-parameters and calibration: what is fitted sees the training fold only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from models.errors import ModelError
from models.prediction.calibration import calibrate
from models.research.evaluation.operating_point import youden
from models.research.training.prediction.fitting.classifiers import CLASSIFIERS, MAIN, pipeline
from models.research.training.prediction.fitting.cross_validation import cross_validate
from models.research.training.prediction.fitting.feature_table import FeatureTable, Perturbed
from models.research.training.prediction.fitting.fit import calibration, fit, folds
from models.research.training.prediction.fitting.selection import (
    DistinctFeatures,
    LeadingFeatures,
    RelevantFeatures,
    StableFeatures,
    selection_steps,
)

QUICK = CLASSIFIERS["logistic-regression"]
TREES = CLASSIFIERS[MAIN].without_search


def cohort(signal: float, columns: int = 60) -> FeatureTable:
    """120 cases; the first two columns carry the label and repeat each other, the last is constant."""
    random = np.random.default_rng(5)
    labels = np.tile([0, 0, 1, 1, 0, 1], 20)
    features = random.normal(size=(120, columns))
    features[:, 0] += signal * labels
    features[:, 1] = np.exp(features[:, 0]) + 0.01 * random.normal(size=120)
    features[:, -1] = 4.0
    return FeatureTable(
        cases=tuple(f"C{number}" for number in range(120)),
        values=features,
        names=tuple(f"T2WI|super|f{number}" for number in range(columns)),
        labels=labels,
        scanners=np.array(list("abcde") * 24),
        patients=np.array([f"P{number}" for number in range(120)]),
    )


def perturbed(table: FeatureTable, unstable: list[int], rows: range = range(30)) -> FeatureTable:
    """`rows` measured under three more masks that change the `unstable` columns much and the others little."""
    random = np.random.default_rng(2)
    values = np.repeat(table.values[list(rows), None], 4, axis=1)
    spread = np.full(len(table.names), 0.1)
    spread[unstable] = 30.0
    values[:, 1:] += random.normal(size=values[:, 1:].shape) * spread
    return replace(table, perturbed=Perturbed(np.array(rows), values))


def chosen(selector, features: np.ndarray, labels: np.ndarray) -> list[int]:
    return np.flatnonzero(selector.fit(features, labels).get_support()).tolist()


def test_columns_that_change_with_the_mask_are_dropped_and_the_row_number_always():
    table = perturbed(cohort(0.0), unstable=[3, 7])
    kept = chosen(StableFeatures(table.perturbed), table.numbered, table.labels)
    assert kept == [1 + column for column in range(59) if column not in (3, 7)]  # 59 differs by the masks alone
    assert chosen(StableFeatures(None), table.numbered, table.labels) == list(range(1, 61))


def test_stability_is_judged_by_the_perturbed_cases_of_the_fold_alone():
    table = perturbed(cohort(0.0), unstable=[])
    table.perturbed.values[15:, 1:, 5] += 40  # a feature that is unstable in cases 15 to 29 only
    first, last = np.arange(15), np.arange(15, 120)
    assert 6 in chosen(StableFeatures(table.perturbed), table.numbered[first], table.labels[first])
    assert 6 not in chosen(StableFeatures(table.perturbed), table.numbered[last], table.labels[last])
    without = np.arange(40, 120)
    assert len(chosen(StableFeatures(table.perturbed), table.numbered[without], table.labels[without])) == 60


def test_a_feature_that_another_mask_could_not_give_is_not_stable():
    table = perturbed(cohort(0.0), unstable=[])
    table.perturbed.values[4, 2, 9] = np.nan
    assert 10 not in chosen(StableFeatures(table.perturbed), table.numbered, table.labels)


def test_a_table_keeps_the_columns_of_its_input_and_forgets_masks_that_never_measured_them():
    table = perturbed(cohort(0.0, columns=4), unstable=[])
    names = ("T2WI|super|a", "DWI|super|a", "T2WI|cubic|a", "T2WI|super|b")
    table = replace(table, names=names)
    table.perturbed.values[:, 1:, 2] = np.nan
    own = table.of(["T2WI"], "super")
    assert own.names == ("T2WI|super|a", "T2WI|super|b")
    assert np.array_equal(own.values, table.values[:, [0, 3]])
    assert np.array_equal(own.perturbed.values, table.perturbed.values[:, :, [0, 3]])
    assert table.of(["T2WI"], "cubic").perturbed is None


def test_columns_that_tell_nothing_go_but_never_all():
    table = cohort(signal=2.0, columns=400)
    features = table.values[:, :-1]
    kept = chosen(RelevantFeatures(level=0.001, least=3), features, table.labels)
    assert {0, 1} <= set(kept)
    assert 3 <= len(kept) < 10
    assert len(chosen(RelevantFeatures(level=1e-300, least=20), features, table.labels)) == 20


def test_of_columns_that_repeat_each_other_the_better_one_stays():
    table = cohort(signal=2.0)
    features = table.values[:, :-1].copy()
    features[:, 1] = features[:, 0] + 0.5 * np.random.default_rng(1).normal(size=120)
    kept = chosen(DistinctFeatures(most=0.8), features, table.labels)
    assert 0 in kept
    assert 1 not in kept
    assert len(kept) == 58


@pytest.mark.parametrize("method", ["lasso", "mrmr"])
def test_the_leading_columns_are_those_that_add_to_each_other(method):
    table = cohort(signal=0.0)
    features = table.values[:, :8].copy()
    random = np.random.default_rng(4)
    for column in (2, 5):
        features[:, column] = table.labels + random.normal(size=120)
    features[:, 6] = features[:, 2] + 0.3 * random.normal(size=120)  # knows less than column 2 and nothing else
    selector = LeadingFeatures(count=2, method=method)
    assert chosen(selector, features, table.labels) == [2, 5]
    assert (selector.weights_ > 0).all()
    assert len(chosen(LeadingFeatures(count=5, method=method), features, table.labels)) == 5


def test_selection_ignores_a_monotone_change_of_a_feature():
    table = cohort(signal=2.0)
    stretched = replace(table, values=table.values.copy())
    stretched.values[:, 7] = np.exp(3 * table.values[:, 7])
    rows = np.arange(120)
    first, second = (fit(it, rows, QUICK.without_search, seed=1) for it in (table, stretched))
    assert first.selected(table.names) == second.selected(table.names)


def test_shuffled_labels_leave_an_auc_of_one_half_when_selection_sits_inside_the_folds():
    table = cohort(signal=0.0, columns=400)
    honest, leaking = [], []
    for seed in range(8):
        shuffled = replace(table, labels=np.random.default_rng(seed).permutation(table.labels))
        selected = shuffled.values
        for _, step in selection_steps(None)[1:]:
            selected = step.fit_transform(selected, shuffled.labels)
        names = tuple(f"f{column}" for column in range(selected.shape[1]))
        for given, areas in ((shuffled, honest), (replace(shuffled, values=selected, names=names), leaking)):
            estimator, probability = QUICK.without_search, np.empty(120)
            for train, test in folds(given.labels, given.patients, 5, seed):
                model = pipeline(estimator, given, seed).fit(given.numbered[train], given.labels[train])
                probability[test] = model.decision_function(given.numbered[test])
            areas.append(roc_auc_score(given.labels, probability))
    assert np.mean(honest) == pytest.approx(0.5, abs=0.07)
    assert np.mean(leaking) > 0.7  # the mistake that the folds prevent, made on purpose


def test_what_is_said_of_a_case_does_not_depend_on_its_label():
    table = cohort(signal=1.0)
    turned = replace(table, labels=table.labels.copy())
    turned.labels[:20] = 1 - turned.labels[:20]
    rest = np.arange(20, 120)
    first, second = (fit(it, rest, QUICK, seed=1).probability(it.numbered[:20]) for it in (table, turned))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_classifier_finds_a_real_signal_and_is_calibrated_by_cases_it_has_not_seen(name):
    table = cohort(signal=2.0)
    model = fit(table, np.arange(60), CLASSIFIERS[name].without_search, seed=1)
    probability = model.probability(table.numbered[60:])
    assert roc_auc_score(table.labels[60:], probability) > 0.75
    assert probability.mean() == pytest.approx(0.5, abs=0.1)


def test_the_hyper_parameters_are_those_with_the_best_inner_area():
    random = np.random.default_rng(9)
    table = cohort(signal=0.0, columns=21)
    values = table.values.copy()
    values[:, :12] = 0.5 * table.labels[:, None] + random.normal(size=(120, 12))
    model = fit(replace(table, values=values), np.arange(120), QUICK, seed=1)
    assert model.chosen["leading__count"] == 16  # twelve weak columns: six are too few


def test_a_real_signal_survives_cross_validation_and_a_left_out_scanner():
    table = perturbed(cohort(signal=2.0), unstable=[1])
    held_out = cohort(signal=2.0)
    evidence, model = cross_validate(table, TREES, seed=1, count=4, held_out=held_out)
    assert roc_auc_score(table.labels, evidence.out_of_fold) > 0.8
    assert roc_auc_score(table.labels, evidence.across_scanners) > 0.75
    assert evidence.stable == 58
    strongest = max(evidence.features, key=lambda feature: feature.weight)
    assert (strongest.name, strongest.folds) == ("T2WI|super|f0", 4)
    assert np.allclose(evidence.held_out, model.probability(table.followed_by(held_out).numbered[120:]))
    assert 0 < evidence.cutoff < 1


def test_cases_of_one_patient_stay_in_one_fold():
    table = cohort(signal=0.0)
    patients = np.array([f"P{number // 3}" for number in range(120)])
    for train, test in folds(table.labels, patients, 4, seed=1):
        assert not set(patients[train]) & set(patients[test])
        assert table.labels[test].mean() == pytest.approx(0.5, abs=0.1)


def test_a_score_that_goes_against_the_labels_is_not_turned_round():
    labels = np.array([0, 0, 0, 1, 1] * 4)
    intercept, slope = calibration(labels, np.where(labels == 1, -1.0, 1.0) + np.linspace(-2, 2, 20))
    assert slope == 0
    assert calibrate(np.array([0.1, 0.9]), intercept, slope) == pytest.approx(0.4)


def test_calibration_keeps_the_order_and_bounds():
    raw = np.array([0.0, 0.2, 0.5, 0.9, 1.0])
    calibrated = calibrate(raw, intercept=-0.5, slope=0.7)
    assert np.all(np.diff(calibrated) > 0)
    assert calibrated.min() > 0
    assert calibrated.max() < 1


def test_the_cutoff_is_the_point_of_youden():
    assert youden(np.array([0, 0, 0, 1, 1]), np.array([0.1, 0.2, 0.6, 0.5, 0.9])) == 0.5


def test_too_few_cases_for_the_folds_are_refused():
    with pytest.raises(ModelError, match="10 folds need 10 cases of each class"):
        folds(np.array([0, 1] * 7), np.arange(14).astype(str), 10, seed=0)
