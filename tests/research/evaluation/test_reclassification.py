"""NRI and IDI against the documented example of R's PredictABEL (data set mtcars)."""

from __future__ import annotations

import numpy as np
import pytest

from models.errors import ModelError
from models.research.evaluation.reclassification import (
    category_movement,
    integrated_discrimination,
    movement,
    net_reclassification,
)
from models.research.statistics.estimates import resample


def rounded(estimate):
    return tuple(round(value, 3) for value in (estimate.value, estimate.low, estimate.high))


@pytest.fixture
def counts(mtcars):
    return resample(mtcars["outcome"], 500, seed=1)


def test_the_category_free_nri_is_the_printed_one(mtcars, counts):
    result = net_reclassification(mtcars["outcome"], movement(mtcars["p_old"], mtcars["p_new"]), counts)
    assert rounded(result.nri) == (1.413, 0.943, 1.882)


def test_the_categorical_nri_is_the_printed_one(mtcars, counts):
    moved = category_movement(mtcars["p_old"], mtcars["p_new"], (0.20, 0.40))
    assert rounded(net_reclassification(mtcars["outcome"], moved, counts).nri) == (0.754, 0.341, 1.167)


def test_the_idi_is_the_printed_one(mtcars):
    result = integrated_discrimination(mtcars["outcome"], mtcars["p_old"], mtcars["p_new"])
    assert rounded(result.idi) == (0.532, 0.356, 0.709)
    assert result.p == pytest.approx(3.4e-9, rel=0.02)


def test_the_nri_is_the_sum_of_its_parts_and_each_lies_in_its_interval(mtcars, counts):
    result = net_reclassification(mtcars["outcome"], movement(mtcars["p_old"], mtcars["p_new"]), counts)
    assert result.nri.value == pytest.approx(result.events.value + result.others.value)
    for part in (result.events, result.others):
        assert part.low <= part.value <= part.high
        assert part.low < part.high


def test_a_part_is_up_minus_down_for_events_and_down_minus_up_for_the_others():
    labels, moved = np.array([1, 1, 1, 1, 0, 0]), np.array([1.0, 1.0, 1.0, -1.0, -1.0, 0.0])
    result = net_reclassification(labels, moved, np.ones((2, 6)))
    assert (result.events.value, result.others.value) == (0.5, 0.5)


def test_each_model_may_have_its_own_cutoff():
    assert category_movement([0.3, 0.3], [0.5, 0.7], (0.2,), (0.6,)).tolist() == [-1.0, 0.0]


def test_a_case_on_the_cutoff_is_in_the_higher_category():
    assert category_movement([0.19, 0.2], [0.2, 0.19], (0.2,)).tolist() == [1.0, -1.0]


def test_identical_models_reclassify_nobody(mtcars, counts):
    same = net_reclassification(mtcars["outcome"], movement(mtcars["p_old"], mtcars["p_old"]), counts)
    assert (same.nri.value, same.z, same.p) == (0.0, 0.0, 1.0)
    assert integrated_discrimination(mtcars["outcome"], mtcars["p_old"], mtcars["p_old"]).p == 1.0


def test_one_class_alone_is_refused():
    with pytest.raises(ModelError, match="0 events"):
        integrated_discrimination([0, 0, 0], [0.1, 0.2, 0.3], [0.1, 0.2, 0.3])
