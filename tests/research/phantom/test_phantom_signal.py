"""Signal equations and contrast kinetics against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from models.research.phantom.contrast_kinetics import (
    arterial_concentration,
    enhanced_t1,
    relaxivity,
    tissue_concentration,
)
from models.research.phantom.signal import diffusion_weighted, spin_echo, spoiled_gradient_echo, turbo_spin_echo
from models.research.phantom.tissue import T1_RATIO_3T_TO_1_5T, Tissue, draw_properties


def values(*numbers: float) -> np.ndarray:
    return np.array(numbers, dtype=np.float32)


def test_a_spin_echo_with_long_tr_decays_with_t2_alone():
    signal = spin_echo(values(0.8), values(1000), values(80), tr_ms=1e6, te_ms=40)
    assert signal == pytest.approx(0.8 * np.exp(-0.5), rel=1e-5)


def test_a_spin_echo_with_negligible_te_recovers_with_t1():
    signal = spin_echo(values(1), values(900), values(1e9), tr_ms=900, te_ms=1e-6)
    assert signal == pytest.approx(1 - np.exp(-1), rel=1e-5)


def test_a_refocusing_angle_above_90_keeps_the_sine_of_its_half():
    full = turbo_spin_echo(values(1), values(1500), values(70), 4000, 80, flip_deg=180)
    reduced = turbo_spin_echo(values(1), values(1500), values(70), 4000, 80, flip_deg=120)
    assert reduced / full == pytest.approx(np.sin(np.pi / 3), rel=1e-5)


def test_two_b_values_give_back_the_adc():
    low, high = (
        diffusion_weighted(values(1), values(1500), values(70), values(1.03e-3), 5000, 60, b) for b in (0, 1000)
    )
    assert np.log(low / high) / 1000 == pytest.approx(1.03e-3, rel=1e-4)


def test_a_spoiled_gradient_echo_is_brightest_at_the_ernst_angle():
    ernst = np.degrees(np.arccos(np.exp(-4.0 / 900)))
    at = [
        float(spoiled_gradient_echo(values(1), values(900), values(25), 4.0, 1.3, angle)[0])
        for angle in (ernst - 1, ernst, ernst + 1)
    ]
    assert at[1] > max(at[0], at[2])


def test_the_arterial_input_peaks_in_the_first_pass_at_about_6_mmol_per_litre():
    time = np.arange(0, 120, 0.5)
    curve = arterial_concentration(time)
    assert time[np.argmax(curve)] == pytest.approx(10.5, abs=1)
    assert curve.max() == pytest.approx(6.0, abs=0.5)
    assert arterial_concentration(-1.0) == 0


def test_uptake_without_wash_out_is_ktrans_times_the_area_under_the_plasma_curve():
    after = np.linspace(0, 54, 2000)
    area = np.trapezoid(arterial_concentration(after) / (1 - 0.42), after / 60)
    concentration = tissue_concentration(values(0.01), values(1e6), values(0), time_s=70, arrival_s=16)
    assert concentration == pytest.approx(0.01 * area, rel=0.01)


def test_contrast_agent_shortens_t1_by_its_relaxivity():
    tissue = draw_properties(np.random.default_rng(0), 3.0)
    concentration = tissue_concentration(tissue.ktrans, tissue.ve, tissue.vp, 70.0)
    expected = 1 / (1 / tissue.t1 + relaxivity(3.0) * concentration / 1000)
    np.testing.assert_allclose(enhanced_t1(tissue, 70.0, 3.0), expected, rtol=1e-4)


def test_before_the_bolus_nothing_changes():
    tissue = draw_properties(np.random.default_rng(0), 3.0)
    np.testing.assert_allclose(enhanced_t1(tissue, -20.0, 3.0), tissue.t1, rtol=1e-6)


def test_vessels_wall_tumour_and_muscle_enhance_in_this_order_in_the_portal_venous_phase():
    tissue = draw_properties(np.random.default_rng(0), 3.0)
    change = tissue.t1 / enhanced_t1(tissue, 70.0, 3.0)
    assert change[Tissue.VEIN] > change[Tissue.TUMOUR] > change[Tissue.MUSCLE] > 1
    assert change[Tissue.MUCOSA] > change[Tissue.MUSCLE]


def test_t1_is_21_percent_shorter_at_1_5_tesla_and_t2_is_the_same():
    high, low = (draw_properties(np.random.default_rng(3), field) for field in (3.0, 1.5))
    np.testing.assert_allclose(high.t1 / low.t1, T1_RATIO_3T_TO_1_5T, rtol=1e-5)
    np.testing.assert_array_equal(high.t2, low.t2)
