"""A study of the prediction: which models, evidence that is kept, figures and report of the run."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import typer

from models.research.evaluation.discrimination import delong_test
from models.research.evaluation.predictions import Resolution
from models.research.training.prediction.figures import BEST_INFORMED, Results, cards, metrics, shipped_keys
from models.research.training.prediction.fitting.classifiers import AFTER_COMBAT
from models.research.training.prediction.fitting.feature_table import FeatureTable
from models.research.training.prediction.report import report
from models.research.training.prediction.sources import TARGET
from models.research.training.prediction.study import (
    TrainingPlan,
    classifiers_of,
    models_after_combat,
    models_of,
    study,
)
from models.research.training.prediction.tables import SHIPPED
from models.research.training.prediction.train import classifiers_named
from models.sequence import ANALYSED

NAMES = tuple(f"{s}|{r}|{name}" for s in ANALYSED for r in ("normal", "super", "cubic") for name in ("signal", "noise"))
PLAN = TrainingPlan(seed=3, folds=3, search=False)
AFTER_COMBAT_KEY = BEST_INFORMED._replace(classifier=AFTER_COMBAT)
WITH_CUBIC = (*SHIPPED, Resolution.CUBIC)


def table(seed: int, count: int) -> FeatureTable:
    """Cases on two scanners; `signal` follows the oracle with an error, at super-resolution with a smaller one."""
    random = np.random.default_rng(seed)
    oracle = random.uniform(size=count)
    values = random.normal(size=(count, len(NAMES)))
    for column, name in enumerate(NAMES):
        if name.endswith("signal"):
            values[:, column] = 4 * oracle + values[:, column] * (0.5 if "super" in name else 2)
    return FeatureTable(
        cases=tuple(f"{seed}-{number}" for number in range(count)),
        values=values,
        names=NAMES,
        labels=(random.uniform(size=count) < oracle).astype(int),
        scanners=np.array(["Siemens Skyra", "GE MR750"])[np.arange(count) % 2],
        patients=np.array([f"{seed}-{number}" for number in range(count)]),
        oracle=oracle,
    )


@pytest.fixture(scope="module")
def evidence(tmp_path_factory):
    return tmp_path_factory.mktemp("evidence")


@pytest.fixture(scope="module")
def results(evidence) -> Results:
    """Boosted trees with one control, and logistic regression; 60 cases and 20 held out."""
    keys = list(models_of(WITH_CUBIC, ("catboost", "logistic-regression")))
    fitted, held_out = table(1, 60), table(2, 20)
    found = dict(study(fitted, held_out, keys, PLAN, evidence, workers=1))
    return Results(fitted, 2, held_out, found, PLAN.folds)


@pytest.fixture(scope="module")
def with_combat(results, evidence) -> Results:
    """The same and All-sequence after ComBat."""
    found = dict(study(results.table, results.held_out, models_after_combat(), PLAN, evidence, workers=1))
    return replace(results, study=results.study | found)


def test_controls_are_for_the_main_classifier_alone():
    keys = list(models_of(WITH_CUBIC, ("catboost", "svm")))
    assert sum(key.classifier == "catboost" for key in keys) == 12
    assert {key.resolution for key in keys if key.classifier == "svm"} == set(SHIPPED)


def test_evidence_that_is_kept_is_read_and_not_made_again(results, evidence):
    key = BEST_INFORMED
    (path,) = evidence.glob(f"{key.file}-*.json")
    kept = path.read_text()
    path.write_text(kept.replace('"cutoff": ', '"cutoff": 9'))
    ((_, again),) = study(results.table, results.held_out, [key], PLAN, evidence, workers=1)
    path.write_text(kept)
    assert again.cutoff > 9
    assert np.array_equal(again.out_of_fold, results.study[key].out_of_fold)
    assert again.features == results.study[key].features


@pytest.mark.parametrize("change", ["a label", "a value", "the folds"])
def test_a_change_of_labels_features_or_folds_makes_the_model_anew(results, tmp_path, change):
    key = next(key for key in results.study if key.classifier == "logistic-regression")
    list(study(results.table, None, [key], PLAN, tmp_path, workers=1))
    labels, values = results.table.labels.copy(), results.table.values.copy()
    if change == "a label":
        labels[0] = 1 - labels[0]
    if change == "a value":
        values[0] += 1
    plan = replace(PLAN, folds=4) if change == "the folds" else PLAN
    list(study(replace(results.table, labels=labels, values=values), None, [key], plan, tmp_path, workers=1))
    assert len(list(tmp_path.glob("*.json"))) == 2


def test_the_bundle_is_the_model_whose_evidence_is_kept(results, evidence):
    trees = classifiers_of(results.table, results.held_out, shipped_keys(), PLAN, evidence)
    card = cards(results, trees)[-1]
    names = [feature.name for feature in card.features]
    assert card.name == "All-sequence super"
    columns = [NAMES.index(name) for name in names]
    raw = trees[-1].predict(results.held_out.values[:, columns], prediction_type="RawFormulaVal")
    expected = 1 / (1 + np.exp(-(card.intercept + card.slope * raw)))
    assert results.study[BEST_INFORMED].held_out == pytest.approx(expected, abs=1e-6)


def test_the_oracle_is_compared_with_the_models_of_all_sequences_on_the_same_cases(results):
    expected = delong_test(results.table.labels, results.table.oracle, results.study[BEST_INFORMED].across_scanners)
    tests = results.against_oracle()
    assert {key.input for key in tests} == {"All-sequence"}
    assert tests[BEST_INFORMED] == expected
    figures = metrics(results)["oracle_minus_model"][BEST_INFORMED.name]
    assert figures["difference"] == pytest.approx(expected.difference, abs=1e-4)
    assert figures["low"] < figures["difference"] < figures["high"]
    assert "oracle_auc" not in metrics(replace(results, table=replace(results.table, oracle=None)))


def test_the_report_holds_every_model_the_oracle_and_what_was_not_done(results, evidence):
    models = cards(results, classifiers_of(results.table, results.held_out, shipped_keys(), PLAN, evidence))
    text = report(results, models, TARGET, PLAN, "simulated patients", "a command")
    for key in results.study:
        area = results.area(key)
        assert f"| {key.name} | {key.classifier} | {area.auc:.3f} ({area.low:.3f}-{area.high:.3f}) |" in text
    for key, test in results.against_oracle().items():
        assert f"| {key.name} | {test.first_auc:.3f} | {test.second_auc:.3f} | {test.difference:+.3f} (" in text
        verdict = "reaches it" if test.difference <= 0.05 else f"misses it by {test.difference - 0.05:.3f}"
        assert (f"{key.name} {verdict}" in text) == (key in shipped_keys())
    assert "Classifiers not run: svm, nearest-neighbours" in text
    assert "Controls not run or not measured: none" in text
    assert "Stability under other masks was not judged" in text
    assert "| All-sequence super | `T2WI super signal` |" in text
    assert text.startswith("# Prediction: Simulated histologic grade")


def test_the_report_says_what_combat_changed_and_how_many_cases_it_passed_over(with_combat, evidence, reads_as_before):
    models = cards(with_combat, classifiers_of(with_combat.table, with_combat.held_out, shipped_keys(), PLAN, evidence))
    text = report(with_combat, models, TARGET, PLAN, "simulated patients", "a command")
    before, after = with_combat.study[BEST_INFORMED], with_combat.study[AFTER_COMBAT_KEY]
    for part, probabilities in (("in folds", "out_of_fold"), ("scanner left out", "across_scanners")):
        test = delong_test(with_combat.table.labels, getattr(after, probabilities), getattr(before, probabilities))
        passed = "60 of 60" if part == "scanner left out" else "0 of 60"
        changed = f"{test.difference:+.3f} ({test.low:+.3f} to {test.high:+.3f})"
        assert f"| All-sequence super | {part} | {changed} | {test.p:.3f} | {passed} |" in text
    assert "| held out |" in text
    for key in models_after_combat():
        assert f"| {key.name} | catboost after ComBat | {with_combat.area(key).auc:.3f} (" in text
    assert "was not tried" not in text
    # Boosted trees may differ between processors; what is said around their figures does not.
    reads_as_before("prediction", re.sub(r"\d", "0", text))


def test_a_report_without_combat_says_that_it_was_not_tried(results, evidence):
    models = cards(results, classifiers_of(results.table, results.held_out, shipped_keys(), PLAN, evidence))
    text = report(results, models, TARGET, PLAN, "simulated patients", "a command")
    assert "ComBat across scanners was not tried" in text
    assert "## ComBat" not in text


def test_models_after_combat_are_kept_apart_and_never_shipped(with_combat, results, evidence):
    ((_, again),) = study(results.table, results.held_out, [AFTER_COMBAT_KEY], PLAN, evidence, workers=1)
    assert again.unharmonised == with_combat.study[AFTER_COMBAT_KEY].unharmonised
    assert np.array_equal(again.out_of_fold, with_combat.study[AFTER_COMBAT_KEY].out_of_fold)
    assert len(list(evidence.glob("all-sequence-super-*.cbm"))) == 1
    assert set(with_combat.probabilities()) == set(results.probabilities())
    assert metrics(with_combat) == metrics(results)


def test_another_scanner_of_a_held_out_case_makes_a_model_after_combat_anew(with_combat, tmp_path):
    scanners = with_combat.held_out.scanners.copy()
    scanners[0] = "Philips Ingenia"
    moved = replace(with_combat.held_out, scanners=scanners)
    for held_out in (with_combat.held_out, moved):
        ((_, found),) = study(with_combat.table, held_out, [AFTER_COMBAT_KEY], PLAN, tmp_path, workers=1)
    assert len(list(tmp_path.glob("*.json"))) == 2
    assert found.unharmonised.held_out == 1
    assert found.held_out[1:] == pytest.approx(with_combat.study[AFTER_COMBAT_KEY].held_out[1:])


def test_a_classifier_that_is_not_known_is_refused():
    assert classifiers_named("svm,mlp") == ("catboost", "svm", "mlp")
    assert len(classifiers_named("all")) == 7
    with pytest.raises(typer.BadParameter, match="forest: known are catboost"):
        classifiers_named("forest")
