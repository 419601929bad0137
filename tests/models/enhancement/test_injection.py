"""The time of injection is read from the arteries of a dynamic run, with an uncertainty that holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from models.enhancement.injection import DELAY_DEVIATION_S, DELAY_S, measure_injection
from models.enhancement.injection_time import InjectionTime
from models.enhancement.phases import Phase
from models.enhancement.vessels import interior
from models.errors import EnhancementError

TR_MS, FLIP_DEG, FIELD_T = 4.0, 12.0, 3.0
SHAPE, SPACING = (14, 80, 100), (4.0, 2.0, 2.0)  # z, y, x
Z, Y, X = np.meshgrid(*(np.arange(size) * step for size, step in zip(SHAPE, SPACING, strict=True)), indexing="ij")
AIR, FAT, MUSCLE, ARTERY, VEIN = range(5)
T1_S = (1.0, 0.38, 0.9, 1.9, 1.9)
DENSITY = (0.0, 0.8, 0.8, 0.9, 0.9)

FOUR = (-20.0, 26.0, 70.0, 120.0)
FIVE = (-30.0, 25.0, 45.0, 70.0, 120.0)
EARLY = (-20.0, 18.0, 45.0, 75.0, 180.0)
DENSE = tuple(np.arange(-12.0, 90.0, 4.2))


def bolus(since_s: np.ndarray) -> np.ndarray:
    """Blood concentration (mmol/l) after first sight: a gamma variate and an exponential, not the curve of the node."""
    rise = np.maximum(since_s + 2, 0) / 9.0
    first = 4.5 * (rise * np.exp(1 - rise)) ** 4
    return first + 1.1 * (1 - np.exp(-(rise**2) / 2)) * np.exp(-np.maximum(since_s, 0) / 500)


def anatomy() -> np.ndarray:
    """An oval body of muscle under 16 mm of fat, an artery 10 mm wide and a vein beside it on either side."""
    oval = ((X - 99) / 92) ** 2 + ((Y - 79) / 72) ** 2
    tissue = np.where(oval < 1, FAT, AIR)
    tissue[((X - 99) / 74) ** 2 + ((Y - 79) / 56) ** 2 < 1] = MUSCLE
    for side in (-1, 1):
        for label, shift, radius in ((VEIN, 13, 6.5), (ARTERY, 0, 5.0)):
            centre = 99 + side * (38 - shift + 0.2 * Z)
            tissue[(X - centre) ** 2 + (Y - 50 - 0.3 * Z) ** 2 < radius**2] = label
    return tissue


TISSUE = anatomy()


def concentrations(since_s: float, dose: float) -> tuple[float, ...]:
    """Blood in arteries, later and flatter in veins, taken up by muscle 3 s after the arteries."""
    if since_s < -2:
        return (0.0,) * 5
    steps = np.arange(-2, since_s, 0.25)
    uptake = 0.08 / 60 * 0.25 * float((bolus(steps - 3) * np.exp(-0.6 / 60 * (since_s - steps))).sum())
    vein = float(np.mean([bolus(np.array(since_s - delay)) for delay in np.linspace(16, 40, 25)]))
    return tuple(dose * value for value in (0.0, 0.0, uptake, float(bolus(np.array(since_s))), vein))


def signals(since_s: float, dose: float) -> np.ndarray:
    """Spoiled gradient echo of each tissue; fresh blood adds a fifth of what its full magnetisation would give."""
    rate = 1 / np.array(T1_S) + 5.0 * np.array(concentrations(since_s, dose))
    recovery, angle = np.exp(-TR_MS / 1000 * rate), np.deg2rad(FLIP_DEG)
    values = np.array(DENSITY) * np.sin(angle) * (1 - recovery) / (1 - np.cos(angle) * recovery)
    values[ARTERY] += 0.1 * np.sin(angle)
    return 5000 * values


def image(values: np.ndarray) -> sitk.Image:
    made = sitk.GetImageFromArray(values.astype(np.float32))
    made.SetSpacing(SPACING[::-1])
    return made


def run(times_s: Sequence[float], arrival_s: float, dose: float = 1.0, noise: float = 8.0, **changes) -> list[Phase]:
    """A run in which the arteries first show contrast at `arrival_s`.

    changes: shift_mm, how far each phase may be moved (standard deviation); field, a receive sensitivity.
    """
    rng = np.random.default_rng(7)
    phases = []
    for time_s in times_s:
        volume = signals(time_s - arrival_s, dose)[TISSUE] * changes.get("field", 1.0)
        if "shift_mm" in changes:
            volume = ndimage.shift(volume, rng.normal(0, changes["shift_mm"], 3) / SPACING, order=1, mode="nearest")
        volume = np.hypot(volume + rng.normal(0, noise, SHAPE), rng.normal(0, noise, SHAPE))
        phases.append(Phase(image(volume), time_s, TR_MS, FLIP_DEG, FIELD_T))
    return phases


def refused(phases: Sequence[Phase]) -> str:
    with pytest.raises(EnhancementError, match=r"^no time of injection from the images: ") as refusal:
        measure_injection(phases)
    return str(refusal.value)


@pytest.mark.parametrize("arrival_s", [12.0, 19.5, 28.0])
def test_phases_four_seconds_apart_show_the_arrival_to_two_seconds(arrival_s):
    found = measure_injection(run(DENSE, arrival_s))
    assert found.time_s + DELAY_S == pytest.approx(arrival_s, abs=2.0)
    assert DELAY_DEVIATION_S <= found.uncertainty_s < 6.0


@pytest.mark.parametrize("times_s", [FOUR, FIVE, EARLY])
@pytest.mark.parametrize("arrival_s", [12.0, 16.0, 20.0, 24.0, 28.0])
def test_phases_of_a_breath_hold_each_show_the_injection_within_two_deviations(times_s, arrival_s):
    found = measure_injection(run(times_s, arrival_s))
    assert abs(found.time_s + DELAY_S - arrival_s) < 2 * found.uncertainty_s
    assert found.uncertainty_s < 15


@pytest.mark.parametrize("dose", [0.4, 1.6])
def test_dose_changes_the_time_little(dose):
    assert measure_injection(run(FIVE, 20.0, dose=dose)).time_s == pytest.approx(20 - DELAY_S, abs=8)


def test_the_clock_of_the_run_may_start_anywhere():
    phases = run(FIVE, 20.0)
    later = [replace(phase, time_s=phase.time_s + 50_000) for phase in phases]
    assert measure_injection(later).time_s == pytest.approx(measure_injection(phases).time_s + 50_000, abs=0.2)


@pytest.mark.parametrize("factor", [0.01, 300.0])
def test_the_scale_of_the_signal_does_not_matter(factor):
    phases = run(FIVE, 20.0)
    scaled = [replace(phase, image=phase.image * factor) for phase in phases]
    assert measure_injection(scaled).time_s == pytest.approx(measure_injection(phases).time_s, abs=0.2)


def test_an_uneven_coil_changes_the_time_little():
    field = np.exp(-(((Y - 20) / 90) ** 2)) + 0.3 * X / 200
    assert measure_injection(run(FIVE, 20.0, field=field)).time_s == pytest.approx(20 - DELAY_S, abs=8)


@pytest.mark.parametrize("times_s", [FIVE, DENSE])
def test_breathing_between_phases_is_not_taken_for_contrast(times_s):
    found = measure_injection(run(times_s, 20.0, shift_mm=2.0))
    assert abs(found.time_s + DELAY_S - 20) < 2 * found.uncertainty_s


@pytest.mark.parametrize("arrival_s", [21.4, 22.0])
def test_veins_that_fill_later_do_not_set_the_time(arrival_s):
    """With the first pass between two phases the arteries are the vessels that had begun to fill."""
    found = measure_injection(run((-20.0, 22.0, 60.0, 100.0), arrival_s))
    assert found.time_s + DELAY_S == pytest.approx(arrival_s, abs=3)
    assert found.uncertainty_s < 7


def test_a_vessel_that_forks_is_still_a_vessel():
    """Aortic bifurcation: one connected, flat tree."""
    phases = run(DENSE, 1000.0)
    fork = (np.abs(np.abs(X - 99) - 1.1 * Z) < 6) & (np.abs(Y - 79) < 6)
    for number, phase in enumerate(phases):
        blood = signals(phase.time_s - 20.0, 1.0)[ARTERY] - signals(-20.0, 1.0)[MUSCLE]
        phases[number] = replace(phase, image=image(sitk.GetArrayFromImage(phase.image) + blood * fork))
    assert measure_injection(phases).time_s + DELAY_S == pytest.approx(20, abs=2.5)


def test_a_header_without_sequence_parameters_still_gives_the_time():
    bare = [replace(phase, tr_ms=None, flip_deg=None, field_strength_t=None) for phase in run(FIVE, 20.0)]
    assert measure_injection(bare).time_s == pytest.approx(20 - DELAY_S, abs=8)


def test_the_same_run_gives_the_same_answer():
    assert measure_injection(run(FOUR, 18.0)) == measure_injection(run(FOUR, 18.0))


@pytest.mark.parametrize("error", [1e-6, -1e-6])
def test_the_last_digits_of_the_spacing_move_no_shell_of_voxels(error):
    """The outer centimetre of the body, which is left out, ends on voxel centres."""
    body = np.where(TISSUE == AIR, 0, 100).astype(np.float32)
    disturbed = tuple(step * (1 + error) for step in SPACING)
    assert np.array_equal(interior(body, disturbed), interior(body, SPACING))


def test_the_evidence_names_vessels_times_and_the_irreducible_delay():
    evidence = measure_injection(run(DENSE, 19.5)).evidence
    assert re.search(r"ml of \d+ artery segment", evidence)
    assert "between 17.4 and 21.6 s" in evidence
    assert f"{DELAY_S:.0f} ± {DELAY_DEVIATION_S:.0f} s" in evidence


def test_two_phases_are_refused():
    assert "at least 3" in refused(run((-20.0, 25.0), 18.0))


def test_times_that_do_not_increase_are_refused():
    phases = run(FOUR, 18.0)
    assert "do not increase" in refused([replace(phases[0], time_s=float("nan")), *phases[1:]])
    assert "do not increase" in refused([phases[0], phases[2], phases[1], phases[3]])
    assert "do not increase" in refused([phases[0], phases[0], *phases[1:]])


@pytest.mark.parametrize("change", ["size", "origin"])
def test_phases_on_different_grids_are_refused(change):
    phases = run(FOUR, 18.0)
    other = phases[1].image[:, :, 1:] if change == "size" else sitk.Image(phases[1].image)
    if change == "origin":
        other.SetOrigin((3.0, 0.0, 0.0))
    assert "one grid" in refused([phases[0], replace(phases[1], image=other), *phases[2:]])


@pytest.mark.parametrize("shift_mm", [0.0, 2.0])
def test_a_run_without_contrast_is_refused(shift_mm):
    assert "enhances" in refused(run(FIVE, 1000.0, shift_mm=shift_mm))


def test_a_run_that_begins_in_the_first_pass_is_refused():
    assert "no phase lies before the contrast" in refused(run((29.0, 60.0, 90.0, 150.0), 20.0))
    assert "no phase lies before the contrast" in refused(run(tuple(np.arange(26.0, 120.0, 5.0)), 20.0))


def test_a_filling_bladder_is_no_artery():
    phases = run(FIVE, 1000.0)
    ball = (X - 99) ** 2 + (Y - 79) ** 2 + (Z - 28) ** 2 < 20**2
    for number, phase in enumerate(phases[2:], start=1):
        bright = sitk.GetArrayFromImage(phase.image) + 400 * number * ball
        phases[number + 1] = replace(phase, image=image(bright))
    assert "form of vessels" in refused(phases)


def test_vessels_that_only_go_on_rising_are_no_arteries():
    phases = run(FIVE, 1000.0)
    for number, phase in enumerate(phases[1:], start=1):
        bright = sitk.GetArrayFromImage(phase.image) + (300 + 100 * number) * (TISSUE == ARTERY)
        phases[number] = replace(phase, image=image(bright))
    assert "wash-out" in refused(phases)


@pytest.mark.parametrize("times_s", [FIVE, DENSE])
def test_vessels_that_flicker_are_no_arteries(times_s):
    phases = run(times_s, 1000.0)
    for number in range(len(phases) // 4, len(phases)):
        flicker = 500 if number % 3 else 150
        bright = sitk.GetArrayFromImage(phases[number].image) + flicker * (TISSUE == ARTERY)
        phases[number] = replace(phases[number], image=image(bright))
    assert "not that of an artery" in refused(phases)


def test_empty_images_are_refused():
    assert "too little of a body" in refused([Phase(image(np.zeros(SHAPE)), t, None, None, None) for t in FOUR])


def test_phases_too_far_apart_are_refused():
    assert "too far apart" in refused(run((-300.0, 90.0, 140.0, 200.0), 20.0))


# ---- a real run: Siemens TWIST of the prostate, 18 phases 4.2 s apart


@pytest.fixture(scope="module")
def measured(shared_data) -> Callable[..., InjectionTime]:
    """The injection by the phases of the given indices; `TT=` in Series Description is the clock."""
    folders = sorted((shared_data / "siemens_TrioTim_ProstateX-0218").glob("*_twist_DCE_phase"))

    @cache
    def phase(index: int) -> Phase:
        reader = sitk.ImageSeriesReader()
        files = reader.GetGDCMSeriesFileNames(str(folders[index]))
        reader.SetFileNames(files)
        return Phase(reader.Execute(), described_time_s(files[0]), 3.85, 12.0, 3.0)

    return lambda *indices: measure_injection([phase(index) for index in indices])


def described_time_s(path: str | Path) -> float:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    found = re.search(r"TT=([\d.]+)s", reader.GetMetaData("0008|103e"))
    assert found is not None
    return float(found.group(1))


def test_the_real_run_shows_the_arrival_where_its_arteries_brighten(measured):
    """The external iliac arteries are dark at 37.5 s and at their brightest between 41.7 and 50.1 s."""
    found = measured(*range(18))
    assert 37.5 - 1 < found.time_s + DELAY_S < 41.7
    assert found.uncertainty_s < 5.5


@pytest.mark.parametrize(
    "indices", [range(0, 18, 2), range(1, 18, 4), (0, 4, 8, 12, 16), (1, 8, 13, 17), (3, 7, 11, 15)]
)
def test_the_thinned_real_run_agrees_with_the_full_one(measured, indices):
    found = measured(*indices)
    assert abs(found.time_s + DELAY_S - 39.6) < 1.2 * found.uncertainty_s


@pytest.mark.parametrize("indices", [(0, 2, 4, 6, 11, 17), (3, 5, 6, 7, 12, 16), (0, 3, 16, 17)])
def test_breathing_in_the_real_run_is_not_taken_for_contrast(measured, indices):
    """The abdominal wall moves most in these phases, and the first pass falls between two of them."""
    with pytest.raises(EnhancementError, match=r"form of vessels|less than an artery"):
        measured(*indices)


@pytest.mark.parametrize("indices", [range(9, 18), (8, 10, 13, 17), (10, 14, 17)])
def test_the_real_run_without_its_dark_phases_is_refused(measured, indices):
    with pytest.raises(EnhancementError, match="no phase lies before the contrast"):
        measured(*indices)
