"""AUC and DeLong's test against stored values of pROC."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from models.errors import ModelError
from models.research.evaluation.discrimination import auc_difference_samples, auc_interval, delong_test
from models.research.statistics.estimates import resample


@pytest.mark.parametrize(
    ("first", "second", "z", "p"),
    [
        ("wfns", "s100b", 2.20898359144091, 0.0271757822291882),
        ("wfns", "ndka", 2.79777591868904, 0.00514557970691098),
        ("ndka", "s100b", -1.39077002573558, 0.164295175223054),
    ],
)
def test_delong_equals_the_stored_values_of_proc(asah, first, second, z, p):
    result = delong_test(asah["event"], asah[first], asah[second])
    assert result.z == pytest.approx(z, abs=1e-9)
    assert result.p == pytest.approx(p, abs=1e-9)


@pytest.mark.parametrize("name", ["wfns", "s100b", "ndka"])
def test_the_area_is_that_of_scikit_learn_inside_its_interval(asah, name):
    interval = auc_interval(asah["event"], asah[name])
    assert interval.auc == pytest.approx(roc_auc_score(asah["event"], asah[name]), abs=1e-12)
    assert 0 <= interval.low < interval.auc < interval.high <= 1


def test_identical_scores_do_not_differ(asah):
    result = delong_test(asah["event"], asah["ndka"], asah["ndka"])
    assert (result.z, result.p, result.difference) == (0.0, 1.0, 0.0)


def test_a_perfect_score_has_an_interval_without_width():
    interval = auc_interval([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])
    assert (interval.auc, interval.low, interval.high) == (1.0, 1.0, 1.0)


def test_one_class_alone_is_refused():
    with pytest.raises(ModelError, match="0 events"):
        auc_interval([0, 0, 0], [0.1, 0.2, 0.3])


def test_a_bootstrap_draw_of_every_case_once_gives_the_difference_of_the_areas(asah):
    once = np.ones((1, asah["event"].size))
    samples = auc_difference_samples(asah["event"], asah["wfns"], asah["ndka"], once)
    whole = delong_test(asah["event"], asah["wfns"], asah["ndka"])
    assert samples[0] == pytest.approx(whole.difference, abs=1e-12)


def test_a_bootstrap_draw_gives_the_difference_on_the_cases_copied_so_often(asah):
    counts = resample(asah["event"], 3, seed=5)
    samples = auc_difference_samples(asah["event"], asah["wfns"], asah["s100b"], counts)
    for draw, sample in zip(counts.astype(int), samples, strict=True):
        event, wfns, s100b = (np.repeat(asah[name], draw) for name in ("event", "wfns", "s100b"))
        assert sample == pytest.approx(roc_auc_score(event, wfns) - roc_auc_score(event, s100b), abs=1e-12)


def test_the_bootstrap_and_delong_agree_on_how_sure_a_difference_is(asah):
    counts = resample(asah["event"], 4000, seed=5)
    samples = auc_difference_samples(asah["event"], asah["wfns"], asah["s100b"], counts)
    whole = delong_test(asah["event"], asah["wfns"], asah["s100b"])
    assert samples.std() == pytest.approx(whole.difference / whole.z, rel=0.05)
