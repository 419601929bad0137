"""Simulated examinations: what is in them, that they repeat, and that everything lies in one patient space."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from models.research.phantom import find_scanner, high_resolution, simulate_case, simulate_study
from models.research.phantom.study import tissue_label_map
from models.research.phantom.tissue import Tissue
from models.sequence import ANALYSED, Sequence
from models.volume import grid_of, resample_onto

SEED = 104
#: Of the images and masks of `case`, since the phantom has its cohorts.
MEANS = {Sequence.T2WI: 685.9143676757812, Sequence.DWI: 62.45087432861328, Sequence.PVP: 215.93515014648438}
VOXELS = {Sequence.T2WI: 2549, Sequence.DWI: 1056, Sequence.PVP: 6593}


@pytest.fixture(scope="module")
def study():
    return simulate_study(SEED, find_scanner("Multiva"))


@pytest.fixture(scope="module")
def case():
    return simulate_case(SEED, find_scanner("uMR 770"), region="tumour")


@pytest.fixture(scope="module")
def labels(study):
    return tissue_label_map(study, 2.0)


def pick(study, kind, **wanted):
    return next(s for s in study.series if s.kind == kind and all(getattr(s, k) == v for k, v in wanted.items()))


@pytest.fixture(scope="module")
def cores(labels):
    """The voxels of the label map that lie wholly within a tissue."""

    def core(tissue):
        found = sitk.GetArrayViewFromImage(labels) == int(tissue)
        image = sitk.GetImageFromArray(ndimage.binary_erosion(found, np.ones((3, 3, 3))).astype(np.uint8))
        image.CopyInformation(labels)
        return image

    return cache(core)


def mean_in(image, cores, tissue):
    """Mean of an image over voxels that lie wholly within a tissue of the label map."""
    core = resample_onto(cores(tissue), grid_of(image), sitk.sitkNearestNeighbor)
    return sitk.GetArrayViewFromImage(image)[sitk.GetArrayViewFromImage(core) > 0].mean()


def test_a_study_holds_every_series_that_a_scanner_would_send(study):
    kinds = [series.kind for series in study.series]
    assert kinds == [*["LOCALIZER"] * 3, "T2WI_SAG", "T2WI", "DWI", "DWI", "ADC", *["DCE"] * 4, "SUBTRACTION"]
    assert [series.b_value for series in study.series if series.kind == "DWI"] == [0, 800]
    times = [series.phase_time_s for series in study.series if series.kind == "DCE"]
    assert times[0] < 0 < times[1] < times[2] < times[3]
    assert times[2] == pytest.approx(70, abs=4)


def test_every_volume_is_finite_float32_of_whole_numbers_in_one_right_handed_space(study):
    for series in study.series:
        array = sitk.GetArrayViewFromImage(series.image)
        assert array.dtype == np.float32
        assert np.isfinite(array).all()
        assert array.min() >= 0
        np.testing.assert_array_equal(array, np.rint(array))
        assert np.linalg.det(np.reshape(series.image.GetDirection(), (3, 3))) == pytest.approx(1)


def test_t2_orders_urine_above_tumour_above_muscle(study, cores):
    image = pick(study, "T2WI").image
    urine, tumour, muscle = (mean_in(image, cores, t) for t in (Tissue.URINE, Tissue.TUMOUR, Tissue.MUSCLE))
    assert urine > tumour > muscle


def test_the_tumour_is_brighter_than_muscle_and_fat_at_the_high_b_value_and_darker_than_urine_on_the_adc_map(
    study, cores
):
    high = pick(study, "DWI", b_value=800).image
    assert mean_in(high, cores, Tissue.TUMOUR) > 1.3 * mean_in(high, cores, Tissue.MUSCLE)
    assert mean_in(high, cores, Tissue.TUMOUR) > 1.3 * mean_in(high, cores, Tissue.FAT)
    adc = pick(study, "ADC").image
    assert mean_in(adc, cores, Tissue.TUMOUR) < mean_in(adc, cores, Tissue.URINE)


def test_the_adc_map_gives_back_the_drawn_adc(study, cores):
    measured = mean_in(pick(study, "ADC").image, cores, Tissue.TUMOUR)
    assert measured == pytest.approx(study.truth.oracle.adc_um2_s, rel=0.15)


def test_tumour_and_vessels_enhance_and_urine_does_not(study, cores):
    before, portal = pick(study, "DCE", phase="PRE").image, pick(study, "DCE", phase="PORTAL_VENOUS").image
    for tissue, least in ((Tissue.TUMOUR, 1.3), (Tissue.ARTERY, 2.0)):
        assert mean_in(portal, cores, tissue) > least * mean_in(before, cores, tissue)
    assert mean_in(portal, cores, Tissue.URINE) == pytest.approx(mean_in(before, cores, Tissue.URINE), rel=0.1)


def test_the_subtraction_is_portal_venous_minus_pre_contrast(study):
    before, portal, difference = (
        sitk.GetArrayViewFromImage(series.image)
        for series in (
            pick(study, "DCE", phase="PRE"),
            pick(study, "DCE", phase="PORTAL_VENOUS"),
            pick(study, "SUBTRACTION"),
        )
    )
    np.testing.assert_array_equal(difference, np.maximum(portal - before, 0))


def test_patients_of_the_older_cohorts_stay_as_they_were(case):
    """Also when others get new looks (`phantom.looks`): what was trained on them stays what it says it is."""
    found = {sequence: float(sitk.GetArrayViewFromImage(image).mean()) for sequence, image in case.images.items()}
    assert found == pytest.approx(MEANS, rel=1e-5)
    assert {name: int(sitk.GetArrayViewFromImage(mask).sum()) for name, mask in case.masks.items()} == VOXELS


def test_the_same_physical_place_is_tumour_in_every_sequence(case):
    truth = np.argwhere(sitk.GetArrayViewFromImage(case.masks[Sequence.PVP]))[:, ::-1]
    middle = case.masks[Sequence.PVP].TransformContinuousIndexToPhysicalPoint(truth.mean(axis=0).tolist())
    for mask in case.masks.values():
        index = np.argwhere(sitk.GetArrayViewFromImage(mask))[:, ::-1].mean(axis=0)
        centre = mask.TransformContinuousIndexToPhysicalPoint(index.tolist())
        assert np.linalg.norm(np.subtract(centre, middle)) < 2.0


def test_every_mask_has_the_volume_of_the_tumour(case):
    for mask in case.masks.values():
        volume = sitk.GetArrayViewFromImage(mask).sum() * np.prod(mask.GetSpacing()) / 1000
        assert volume == pytest.approx(case.tumour_volume_ml, rel=0.2)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(case):
    again = simulate_case(SEED, find_scanner("uMR 770"), region="tumour")
    other = simulate_case(SEED + 1, find_scanner("uMR 770"), region="tumour")
    for sequence in ANALYSED:
        first, second, third = (sitk.GetArrayFromImage(c.images[sequence]).tobytes() for c in (case, again, other))
        assert first == second != third


def test_one_patient_on_two_scanners_is_one_patient(case, study):
    assert case.oracle == study.truth.oracle
    assert case.form == study.truth.form
    assert case.tumour_volume_ml == study.truth.tumour_volume_ml


def test_the_region_has_20_mm_around_the_tumour(case):
    for image, mask in zip(case.images.values(), case.masks.values(), strict=True):
        assert image.GetSize() == mask.GetSize()
        _z, y, x = np.nonzero(sitk.GetArrayViewFromImage(mask))
        for index, size, step in (
            (x, image.GetWidth(), image.GetSpacing()[0]),
            (y, image.GetHeight(), image.GetSpacing()[1]),
        ):
            assert min(index.min(), size - 1 - index.max()) * step > 15


def test_the_high_resolution_reference_covers_the_same_extent_in_four_times_as_many_slices(case):
    acquired = case.images[Sequence.T2WI]
    thin = high_resolution(case, Sequence.T2WI, region="tumour")
    assert thin.GetSize() == (acquired.GetWidth(), acquired.GetHeight(), 4 * acquired.GetDepth())
    edges = [image.TransformContinuousIndexToPhysicalPoint((0.0, 0.0, -0.5)) for image in (acquired, thin)]
    np.testing.assert_allclose(*edges, atol=1e-6)


def test_averaging_the_high_resolution_reference_gives_the_acquired_image_but_for_noise_and_profile(case):
    acquired = sitk.GetArrayFromImage(case.images[Sequence.T2WI])
    thin = sitk.GetArrayFromImage(high_resolution(case, Sequence.T2WI, region="tumour"))
    merged = thin.reshape(-1, 4, *thin.shape[1:]).mean(axis=1)
    assert np.corrcoef(acquired.ravel(), merged.ravel())[0, 1] > 0.97
    assert acquired.mean() == pytest.approx(merged.mean(), rel=0.03)
