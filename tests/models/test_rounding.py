"""Whole numbers and limits do not hang on the last digits of lengths."""

import numpy as np
import pytest

from models.rounding import at_least, beyond, whole_above, whole_below, whole_nearest

ERRORS = (0.0, 1e-6, -1e-6)


@pytest.mark.parametrize("error", ERRORS)
def test_a_quotient_half_way_between_whole_numbers_goes_to_the_greater(error):
    assert whole_nearest(8.0 / 3.2 * (1 + error)) == 3


@pytest.mark.parametrize("error", ERRORS)
def test_a_quotient_that_is_whole_but_for_an_error_is_whole(error):
    assert whole_above(400 * 0.5 / 2.5 * (1 + error)) == 80
    assert whole_below(400 * 0.5 / 2.5 * (1 + error)) == 80


def test_a_fraction_of_a_voxel_that_is_tissue_is_kept():
    assert whole_above(80.05) == 81
    assert whole_below(-1.05) == -2


@pytest.mark.parametrize("error", ERRORS)
def test_what_equals_a_limit_reaches_it_and_does_not_exceed_it(error):
    assert at_least(10.0 * (1 + error), 10.0)
    assert not beyond(10.0 * (1 + error), 10.0)
    assert list(beyond(np.array([9.9, 10.1]), 10.0)) == [False, True]
