"""ComBat as a step: offsets of scanners go, the signal stays, nothing is learnt from the cases that are tested."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import f_oneway
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score

from models.research.errors import MissingPackageError
from models.research.training.prediction.fitting.classifiers import AFTER_COMBAT, CLASSIFIERS, RECIPES
from models.research.training.prediction.fitting.cross_validation import Unharmonised, cross_validate
from models.research.training.prediction.fitting.feature_table import FeatureTable
from models.research.training.prediction.fitting.fit import fit
from models.research.training.prediction.fitting.harmonisation import LEAST_CASES, HarmonisedFeatures

COLUMNS = 8
SCANNERS = np.array(["GE MR750", "Siemens Skyra", "UIH uMR 770"])
TRAIN, TEST = np.arange(90), np.arange(90, 120)


def table(offset: float = 5.0, spread: float = 2.0, scanners: np.ndarray = SCANNERS) -> FeatureTable:
    """120 cases on the scanners in turn; each adds to every column and stretches it; column 0 knows the label."""
    random = np.random.default_rng(4)
    labels = random.permutation(np.tile([0, 1], 60))
    values = random.normal(size=(120, COLUMNS))
    values[:, 0] += 2 * labels
    which = np.arange(120) % len(scanners)
    effects = random.normal(size=(len(scanners), COLUMNS))
    values = values * spread ** effects[which] + offset * effects[::-1][which]
    return FeatureTable(
        cases=tuple(f"C{number}" for number in range(120)),
        values=values * 10.0 ** np.arange(-4, 4),  # features come in very different units
        names=tuple(f"T2WI|super|f{number}" for number in range(COLUMNS)),
        labels=labels,
        scanners=scanners[which],
        patients=np.array([f"P{number}" for number in range(120)]),
    )


def harmonised(given: FeatureTable, train: np.ndarray = TRAIN) -> tuple[HarmonisedFeatures, np.ndarray]:
    """The step fitted on the rows `train`, and the values of all rows after it."""
    step = HarmonisedFeatures(given.scanners).fit(given.numbered[train], given.labels[train])
    return step, step.transform(given.numbered)[:, 1:]


def differences(given: FeatureTable, values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """F of the scanner in each column."""
    return f_oneway(*(values[rows][given.scanners[rows] == name] for name in SCANNERS)).statistic


def spreads(given: FeatureTable, values: np.ndarray) -> float:
    """How much the log standard deviation differs between scanners, in the median over columns."""
    by_scanner = [np.log(values[given.scanners == name].std(axis=0)) for name in SCANNERS]
    return float(np.median(np.ptp(by_scanner, axis=0)))


def test_offsets_and_spreads_of_scanners_vanish_from_cases_that_it_has_and_has_not_seen():
    given = table()
    _, values = harmonised(given)
    assert differences(given, given.values, TRAIN).max() > 50
    assert differences(given, values, TRAIN).max() < 0.5
    assert differences(given, values, TEST).max() < 6
    assert spreads(given, given.values) > 0.9
    assert spreads(given, values) < 0.3


def test_the_order_of_cases_on_one_scanner_and_the_row_number_stay():
    given = table()
    step, values = harmonised(given)
    for name in SCANNERS:
        own = given.scanners == name
        assert np.array_equal(values[own].argsort(axis=0), given.values[own].argsort(axis=0))
    assert np.array_equal(step.transform(given.numbered[TEST])[:, 0], TEST)


def test_what_is_learnt_does_not_depend_on_the_cases_that_are_tested_nor_on_labels():
    given = table()
    changed = replace(given, values=given.values.copy(), labels=1 - given.labels)
    changed.values[TEST] *= 100
    assert np.array_equal(harmonised(given)[1][TRAIN], harmonised(changed)[1][TRAIN])


def test_a_case_is_harmonised_alone_as_among_others():
    given = table()
    step, values = harmonised(given)
    assert np.allclose(step.transform(given.numbered[[97]])[0, 1:], values[97], rtol=1e-12)


def test_a_scanner_that_the_training_rows_do_not_hold_passes_as_it_was_measured():
    given = table()
    train = np.flatnonzero(given.scanners != SCANNERS[0])
    step, values = harmonised(given, train)
    left = given.scanners == SCANNERS[0]
    assert np.array_equal(step.unharmonised(given.numbered), left)
    assert np.array_equal(values[left], given.values[left])
    assert (values[~left] != given.values[~left]).all()


@pytest.mark.parametrize(("cases", "passes"), [(1, True), (LEAST_CASES - 1, True), (LEAST_CASES, False)])
def test_a_scanner_with_too_few_cases_passes_as_it_was_measured_and_teaches_nothing(cases, passes):
    given = table()
    scanners = given.scanners.copy()
    rare = TRAIN[::7][:cases]
    scanners[rare] = "Philips Ingenia"
    step, values = harmonised(replace(given, scanners=scanners))
    assert step.unharmonised(given.numbered)[rare].tolist() == [passes] * cases
    assert np.array_equal(values[rare], given.values[rare]) == passes
    without = harmonised(replace(given, scanners=scanners), np.setdiff1d(TRAIN, rare))[1]
    assert np.array_equal(values[TEST], without[TEST]) == passes


def test_cases_of_one_scanner_pass_as_they_were_measured():
    given = table(scanners=SCANNERS[:1])
    step, values = harmonised(given)
    assert np.array_equal(values, given.values)
    assert step.unharmonised(given.numbered).all()


def test_a_column_that_only_the_scanner_makes_vary_becomes_constant_and_others_do_not_notice():
    given = table()
    values = given.values.copy()
    values[:, 2] = 7.0
    values[:, 5] = np.searchsorted(SCANNERS, given.scanners)
    values[110, [2, 5]] = 8.0
    step, found = harmonised(replace(given, values=values))
    assert not step.unharmonised(given.numbered).any()
    assert np.isfinite(found).all()
    assert (np.ptp(found[:, [2, 5]], axis=0) == 0).all()
    assert found[0, 2] == 7.0
    others = [0, 1, 3, 4, 6, 7]
    assert np.allclose(found[:, others], harmonised(given)[1][:, others], rtol=1e-6)


def test_such_a_column_is_constant_in_cases_that_pass_as_they_were_measured_too():
    given = table()
    scanners, values = given.scanners.copy(), given.values.copy()
    scanners[[5, 6]] = "Philips Ingenia"
    values[:, 2] = 7.0
    values[[5, 6], 2] = 8.0, 9.0
    step, found = harmonised(replace(given, scanners=scanners, values=values))
    assert step.unharmonised(given.numbered)[[5, 6]].all()
    assert np.ptp(found[:, 2]) == 0


def test_the_unit_of_a_feature_does_not_matter():
    given = table()
    small = replace(given, values=given.values * 1e-6)
    assert np.allclose(harmonised(small)[1], harmonised(given)[1] * 1e-6, rtol=1e-9)


def test_a_signal_that_scanners_hide_is_found_in_the_folds_and_passed_over_cases_are_counted():
    given = table(offset=30.0, spread=1.0, scanners=np.array(list("ABCDEFGH")))
    held_out = replace(given, scanners=np.where(np.arange(120) < 7, "Philips Ingenia", given.scanners))
    line = CLASSIFIERS["logistic-regression"].without_search
    before, after = (cross_validate(given, it, 1, 4, held_out)[0] for it in (line, replace(line, combat=True)))
    areas = [roc_auc_score(given.labels, it.out_of_fold) for it in (before, after)]
    assert areas[1] > areas[0] + 0.1
    assert before.unharmonised is None
    assert after.unharmonised == Unharmonised(out_of_fold=0, across_scanners=120, held_out=7)


def test_the_features_of_a_model_after_combat_keep_their_names():
    given = table(offset=0.0, spread=1.0)
    model = fit(given, TRAIN, RECIPES[AFTER_COMBAT].without_search, seed=1)
    assert "T2WI|super|f0" in model.selected(given.names)


def test_without_combatlearn_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "combatlearn", None)
    given = table()
    with pytest.raises(MissingPackageError, match=r"pip install 'rectal-node\[harmonisation\]'"):
        harmonised(given)


def test_a_step_that_is_not_fitted_transforms_nothing():
    given = table()
    with pytest.raises(NotFittedError):
        HarmonisedFeatures(given.scanners).transform(given.numbered)
