"""Selection, cross-validation and calibration: what is fitted sees the training fold only."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from models.errors import ModelError
from models.prediction.fit import calibrate, fit, pipeline, youden
from models.prediction.selection import FeatureSelector

SCANNERS = np.array(list("abcde") * 24)


def cohort(signal: float, columns: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """120 cases; the first two columns carry the label and repeat each other, the last is constant."""
    random = np.random.default_rng(5)
    labels = np.tile([0, 0, 1, 1, 0, 1], 20)
    features = random.normal(size=(120, columns))
    features[:, 0] += signal * labels
    features[:, 1] = np.exp(features[:, 0]) + 0.01 * random.normal(size=120)
    features[:, -1] = 4.0
    return features, labels


def test_selection_takes_the_informative_column_once_and_never_the_constant_one():
    features, labels = cohort(signal=2.0)
    chosen = FeatureSelector(count=5).fit(features, labels).columns_.tolist()
    assert chosen[0] in (0, 1)
    assert len({0, 1} & set(chosen)) == 1
    assert 59 not in chosen
    assert len(chosen) == 5


def test_selection_ignores_a_monotone_change_of_a_feature():
    features, labels = cohort(signal=2.0)
    stretched = features.copy()
    stretched[:, 7] = np.exp(3 * features[:, 7])
    first, second = (FeatureSelector(count=8).fit(table, labels) for table in (features, stretched))
    assert first.columns_.tolist() == second.columns_.tolist()


def test_shuffled_labels_leave_an_auc_of_one_half_when_selection_sits_inside_the_folds():
    features, labels = cohort(signal=0.0, columns=400)
    honest, leaking = [], []
    for seed in range(8):
        shuffled = np.random.default_rng(seed).permutation(labels)
        folds = StratifiedKFold(5, shuffle=True, random_state=seed)
        estimator = pipeline(seed).set_params(trees__iterations=30)
        selected = FeatureSelector().fit_transform(features, shuffled)
        for table, areas in ((features, honest), (selected, leaking)):
            probability = cross_val_predict(estimator, table, shuffled, cv=folds, method="predict_proba")
            areas.append(roc_auc_score(shuffled, probability[:, 1]))
    assert np.mean(honest) == pytest.approx(0.5, abs=0.07)
    assert np.mean(leaking) > 0.7  # the mistake that the folds prevent, made on purpose


def test_a_real_signal_survives_cross_validation_and_a_left_out_scanner():
    features, labels = cohort(signal=2.0)
    fitted = fit(features, tuple(f"f{i}" for i in range(60)), labels, SCANNERS, seed=1, folds=5)
    assert roc_auc_score(labels, fitted.out_of_fold) > 0.8
    assert roc_auc_score(labels, fitted.across_scanners) > 0.75
    assert fitted.names[0] in ("f0", "f1")
    assert fitted.classifier.feature_names_ == list(fitted.names)


def test_calibrated_probabilities_have_the_frequency_of_the_class():
    features, labels = cohort(signal=1.0)
    fitted = fit(features, tuple(f"f{i}" for i in range(60)), labels, SCANNERS, seed=1, folds=5)
    assert fitted.out_of_fold.mean() == pytest.approx(labels.mean(), abs=1e-3)
    assert 0 < fitted.cutoff < 1


def test_calibration_keeps_the_order_and_bounds():
    raw = np.array([0.0, 0.2, 0.5, 0.9, 1.0])
    calibrated = calibrate(raw, intercept=-0.5, slope=0.7)
    assert np.all(np.diff(calibrated) > 0)
    assert calibrated.min() > 0
    assert calibrated.max() < 1


def test_the_cutoff_is_the_point_of_youden():
    assert youden(np.array([0, 0, 0, 1, 1]), np.array([0.1, 0.2, 0.6, 0.5, 0.9])) == 0.5


def test_too_few_cases_for_the_folds_are_refused():
    features, labels = cohort(signal=1.0)
    with pytest.raises(ModelError, match="10 folds need 10 cases of each class"):
        fit(features[:15], tuple("abc"), labels[:15], SCANNERS[:15], seed=0)
