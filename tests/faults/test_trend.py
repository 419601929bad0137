"""The measure of growth finds a leak among what goes up and down, and none where there is none."""

from __future__ import annotations

import random

import pytest

from .trend import growth

SAMPLES = 240


def noisy(level: float, noise: float, gained: float = 0.0) -> list[float]:
    """Samples around a level that has risen by `gained` at the end."""
    chance = random.Random(1)
    return [level + gained * number / SAMPLES + chance.uniform(-noise, noise) for number in range(SAMPLES)]


def test_what_stays_around_a_level_does_not_grow() -> None:
    assert abs(growth(noisy(500, 20))) < 5


def test_a_leak_is_found_in_noise_that_is_larger_than_it() -> None:
    """Two thirds of what the whole day has gained come after the first third."""
    assert growth(noisy(500, 20, gained=45)) == pytest.approx(30, abs=8)


def test_caches_that_fill_at_the_beginning_are_no_growth() -> None:
    assert growth([min(number, 50) for number in range(SAMPLES)]) == 0


def test_peaks_of_a_busy_hour_are_no_growth() -> None:
    assert growth([20.0 if 80 < number < 140 else 3.0 for number in range(SAMPLES)]) == 0


def test_a_descriptor_lost_now_and_then_is_found() -> None:
    assert growth([40 + number // 24 for number in range(SAMPLES)]) > 6
