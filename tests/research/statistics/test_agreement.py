"""ICC against the example of Shrout & Fleiss, CCC against its own definition."""

from __future__ import annotations

import numpy as np
import pytest

from models.errors import ModelError
from models.research.statistics.agreement import (
    concordance_correlation,
    intraclass_correlation,
    intraclass_correlations,
)

#: Shrout & Fleiss, Psychological Bulletin 1979;86:420-428, table 2: six targets, four judges.
RATINGS = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])


def test_the_icc_is_that_of_shrout_and_fleiss():
    """Table 4: ICC(2,1) = .29; its interval as R's irr::icc prints it, 0.0188 to 0.761."""
    found = intraclass_correlation(RATINGS)
    assert found.value == pytest.approx(0.2897638, abs=1e-6)
    assert (found.low, found.high) == pytest.approx((0.0188, 0.7611), abs=1e-4)


def test_a_shift_of_all_values_lowers_agreement():
    values = np.linspace(0, 1, 12)
    noise = np.random.default_rng(0).normal(0, 0.05, 12)
    near, far = (np.stack([values, values + noise + shift], axis=1) for shift in (0, 0.5))
    assert intraclass_correlation(far).value < intraclass_correlation(near).value
    assert concordance_correlation(*far.T).value < concordance_correlation(*near.T).value


def test_equal_measurements_agree_wholly():
    values = np.array([1.0, 4.0, 2.0])
    for found in (intraclass_correlation(np.stack([values, values], axis=1)), concordance_correlation(values, values)):
        assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)


def test_a_feature_that_never_varies_agrees_with_itself():
    assert intraclass_correlation(np.ones((5, 2))).value == 1.0


def test_the_ccc_is_correlation_times_accuracy():
    generator = np.random.default_rng(3)
    x = generator.normal(size=40)
    y = 0.8 * x + 0.3 + generator.normal(0, 0.4, 40)
    accuracy = 2 / (x.std() / y.std() + y.std() / x.std() + (x.mean() - y.mean()) ** 2 / (x.std() * y.std()))
    found = concordance_correlation(x, y)
    assert found.value == pytest.approx(np.corrcoef(x, y)[0, 1] * accuracy)


def test_the_interval_of_the_ccc_is_as_wide_as_repeated_samples_say():
    generator = np.random.default_rng(4)
    found = []
    for _ in range(600):
        x = generator.normal(size=60)
        found.append(concordance_correlation(x, 0.9 * x + 0.2 + generator.normal(0, 0.4, 60)))
    truth = 2 * 0.9 / (1 + 0.81 + 0.16 + 0.04)
    inside = np.mean([each.low <= truth <= each.high for each in found])
    assert 0.925 <= inside <= 0.975


@pytest.mark.parametrize("values", [np.ones((2, 2)), np.ones((5, 1)), [[1, 2], [2, np.nan], [3, 4]]])
def test_too_few_cases_or_a_gap_are_refused(values):
    with pytest.raises(ModelError, match="agreement needs"):
        intraclass_correlation(values)


def test_many_features_at_once_have_the_icc_of_each_alone():
    random = np.random.default_rng(4)
    values = random.normal(size=(20, 1, 5)) + random.normal(size=(20, 4, 5)) * np.linspace(0, 2, 5)
    one_by_one = [intraclass_correlation(values[:, :, column]).value for column in range(5)]
    assert intraclass_correlations(values) == pytest.approx(one_by_one)
    values[3, 1, 2] = np.nan
    assert np.isnan(intraclass_correlations(values)).tolist() == [False, False, True, False, False]
