"""Why a model says what it says: exact values that add up, on the scale of the probability that is reported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from catboost import CatBoostClassifier
from scipy.special import logit

import models
from models.prediction.explanation import explain, shapley_values
from models.prediction.predictor import load_predictor, predict
from models.prediction.records import FeatureCard, ModelCard
from models.sequence import Sequence

SHIPPED = Path(models.__file__).parent / "weights" / "prediction"
NAMES = tuple(f"T2WI|super|original_firstorder_{name}" for name in ("Mean", "Median", "Range"))


@pytest.fixture(scope="module")
def shipped():
    return load_predictor(SHIPPED)


@pytest.fixture(scope="module")
def trees() -> CatBoostClassifier:
    """A model that the first feature raises strongly, the second lowers a little, and the third does not move."""
    random = np.random.default_rng(5)
    table = random.uniform(size=(300, 3))
    labels = (3 * table[:, 0] - table[:, 1] + 0.3 * random.normal(size=300) > 1).astype(int)
    classifier = CatBoostClassifier(
        iterations=60, depth=2, random_seed=1, thread_count=1, verbose=False, allow_writing_files=False
    )
    classifier.fit(table, labels)
    classifier.set_feature_names(list(NAMES))
    return classifier


def card(slope: float, intercept: float = 0.3) -> ModelCard:
    return ModelCard(
        name="T2WI super",
        file="t2wi-super.cbm",
        inputs=(Sequence.T2WI,),
        resolution="super",
        features=tuple(FeatureCard(name=name, low=0.1, high=0.9, weight=1 / 3) for name in NAMES),
        intercept=intercept,
        slope=slope,
        cutoff=0.5,
        cross_validated_auc=0.7,
        cross_validated_auc_interval=(0.6, 0.8),
        leave_one_scanner_out_auc=0.6,
        cases=300,
    )


def rows_of(cards: ModelCard, count: int = 20) -> np.ndarray:
    """Cases between and beyond the limits of the training cohort."""
    low, high = (np.array([getattr(it, limit) for it in cards.features]) for limit in ("low", "high"))
    return low + (high - low) * np.random.default_rng(3).uniform(-0.3, 1.3, size=(count, len(low)))


def test_shapley_values_and_expected_value_are_the_raw_log_odds_of_every_shipped_model(shipped):
    for cards, classifier in zip(shipped.catalogue.models, shipped.classifiers, strict=True):
        for row in rows_of(cards):
            expected, values = shapley_values(row, classifier)
            raw = classifier.predict(row[None], prediction_type="RawFormulaVal")[0]
            assert expected + values.sum() == pytest.approx(raw, abs=1e-12), cards.name


def test_base_and_contributions_are_the_log_odds_of_the_reported_probability(shipped):
    features = {
        feature.name: (feature.low + 2 * feature.high) / 3
        for cards in shipped.catalogue.models
        for feature in cards.features
    }
    prediction = predict(features, shipped)
    selected = {cards.name: len(cards.features) for cards in shipped.catalogue.models}
    for model in (prediction.main, *prediction.others):
        total = model.base + sum(it.log_odds for it in model.contributions)
        assert total == pytest.approx(logit(model.probability), abs=1e-12), model.name
        assert len(model.contributions) == selected[model.name]


def test_features_come_with_value_and_training_range_the_strongest_first(trees):
    _, found = explain(np.array([0.8, 0.7, 0.95]), card(slope=1.0), trees)
    assert [it.name for it in found] == list(NAMES)
    assert [it.value for it in found] == [0.8, 0.7, 0.95]
    assert {(it.low, it.high) for it in found} == {(0.1, 0.9)}
    assert found[0].log_odds > 0 > found[1].log_odds
    assert abs(found[2].log_odds) < 0.2 * abs(found[1].log_odds)
    assert [it.outside for it in found] == [False, False, True]


def test_the_calibration_scales_what_a_feature_adds_and_turns_it_round_where_its_slope_is_negative(trees):
    row = np.array([0.8, 0.7, 0.5])
    _, plain = explain(row, card(slope=1.0), trees)
    _, turned = explain(row, card(slope=-0.5), trees)
    assert [it.log_odds for it in turned] == pytest.approx([-0.5 * it.log_odds for it in plain], abs=1e-15)


def test_the_same_case_is_explained_the_same_again(trees):
    row = np.array([0.35, 0.6, 0.2])
    assert explain(row, card(slope=0.8), trees) == explain(row.copy(), card(slope=0.8), trees)
