"""Painted tumours: their shape along the wall, their contrast, and what a painted image shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from models.research.evaluation.pelvis.appearance import Levels, draw_appearance, levels_of, signal_of
from models.research.evaluation.pelvis.implants import VOLUME_TOLERANCE, distance_image, draw_form, field_of, volume_of
from models.research.evaluation.pelvis.outlines import rectum_on
from models.research.evaluation.pelvis.painting import occupancy, paint
from models.research.evaluation.pelvis.patients import pelvic_patients
from models.research.evaluation.pelvis.plan import (
    COUNT,
    SIZES_ML,
    Implant,
    implants,
    read_plan,
    seed_of,
    write_plan,
)
from models.research.phantom.cohort import COHORTS
from models.sequence import Sequence
from models.volume import grid_of, volume_ml
from tests.research.evaluation.pelvis.conftest import FAT, GRID, MUSCLE, MUSCLE_MM, NOISE, WALL

SEEDS = range(8)


@pytest.fixture(scope="module")
def levels(image, tube):
    rectum = rectum_on(GRID, tube)
    beside = ndimage.binary_dilation(rectum.outer, iterations=18) & ~rectum.outer
    return levels_of(image, np.array(MUSCLE_MM), rectum.wall, beside)


def flat():
    """Levels and appearance without bias, texture and noise."""
    bias = np.ones(GRID.size[::-1], np.float32)
    return Levels(bias, MUSCLE, WALL, 0.0, (0.0, 0.0)), replace(draw_appearance(1), heterogeneity=0.0)


@pytest.mark.parametrize("size_ml", SIZES_ML)
def test_every_tumour_has_its_volume(bowel, size_ml):
    for seed in SEEDS:
        form = draw_form(seed, bowel, size_ml, balloon=False)
        assert volume_of(form, bowel) == pytest.approx(size_ml, rel=1.5 * VOLUME_TOLERANCE)


def test_a_tumour_grows_along_the_wall_into_the_lumen_and_beyond_it_as_far_as_it_says(bowel):
    for seed in SEEDS:
        form = draw_form(seed, bowel, 6.0, balloon=False)
        inside = field_of(form, bowel) < 0
        assert bowel.outer[inside].max() <= form.invasion_mm + 2
        assert -bowel.lumen[inside].min() <= form.rise_mm + 2
        assert (inside & (bowel.outer < 0) & (bowel.lumen > 0)).sum() > 0.1 * inside.sum()  # of it lies in the wall


def test_a_balloon_leaves_little_room_in_the_lumen(bowel):
    for seed in SEEDS:
        inside = field_of(draw_form(seed, bowel, 20.0, balloon=True), bowel) < 0
        assert -bowel.lumen[inside].min() <= 5


def test_tumours_differ_and_the_same_seed_gives_the_same_one(bowel):
    drawn = [draw_form(seed, bowel, 6.0, balloon=False) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert draw_appearance(1) == draw_appearance(1) != draw_appearance(2)


def test_thick_slices_keep_the_volume_in_shares_of_voxels(bowel):
    form = draw_form(3, bowel, 6.0, balloon=False)
    patch = occupancy(distance_image(form, bowel), GRID)
    assert patch is not None
    assert patch.share.sum() * np.prod(GRID.spacing) / 1000 == pytest.approx(volume_of(form, bowel), rel=0.04)
    assert ((patch.share > 0.05) & (patch.share < 0.95)).any()


def test_nothing_changes_where_there_is_no_tumour(bowel, image, levels):
    painted = paint(
        image,
        Sequence.T2WI,
        distance_image(draw_form(4, bowel, 6.0, False), bowel),
        levels,
        draw_appearance(4),
        None,
        4,
    )
    before, after = sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(painted.image)
    far = sitk.GetArrayFromImage(sitk.BinaryDilate(painted.mask, [3, 3, 2])) == 0
    assert (before[far] == after[far]).all()
    assert not (before == after).all()


def test_the_core_of_a_tumour_has_its_signal_and_its_rim_lies_between(bowel, image):
    levels, appearance = flat()
    distance = distance_image(draw_form(5, bowel, 20.0, balloon=False), bowel)
    painted = paint(image, Sequence.T2WI, distance, levels, appearance, None, 5)
    core = sitk.GetArrayFromImage(sitk.BinaryErode(painted.mask, [2, 2, 1])) > 0
    signal = signal_of(Sequence.T2WI, levels, appearance, None)
    assert np.percentile(sitk.GetArrayFromImage(painted.image)[core], (5, 95)) == pytest.approx(signal, rel=1e-3)
    assert volume_ml(painted.mask) == pytest.approx(20, rel=0.06)
    assert grid_of(painted.image) == grid_of(image)


def test_the_noise_of_a_tumour_is_that_of_the_image(bowel, image, levels):
    assert levels.noise == pytest.approx(NOISE, rel=0.35)
    distance = distance_image(draw_form(5, bowel, 20.0, balloon=False), bowel)
    painted = paint(image, Sequence.T2WI, distance, levels, replace(draw_appearance(5), heterogeneity=0.0), None, 5)
    core = sitk.GetArrayFromImage(sitk.BinaryErode(painted.mask, [2, 2, 1])) > 0
    assert sitk.GetArrayFromImage(painted.image)[core].std() == pytest.approx(levels.noise, rel=0.3)


def test_muscle_and_wall_are_read_from_the_image(levels):
    assert levels.muscle == pytest.approx(MUSCLE, rel=0.2)
    assert levels.wall == pytest.approx(WALL, rel=0.2)
    assert levels.bias.mean() == pytest.approx(1, abs=0.01)


def test_a_tumour_lies_between_muscle_and_wall_on_t2wi(levels):
    for seed in SEEDS:
        assert levels.muscle < signal_of(Sequence.T2WI, levels, draw_appearance(seed), None) < levels.wall < FAT


def test_on_dwi_a_tumour_is_brighter_than_the_wall_by_what_the_adc_says():
    levels, appearance = flat()
    seen = replace(appearance, adc=0.8, wall_adc=1.2, t2_gain=1.0)
    assert signal_of(Sequence.DWI, levels, seen, 1000.0) == pytest.approx(WALL * np.exp(0.4))
    assert signal_of(Sequence.DWI, levels, replace(seen, adc=1.2), 1000.0) == pytest.approx(WALL)


def test_what_is_painted_is_committed_with_seeds_that_nothing_else_uses():
    planned = [it for patient in pelvic_patients() for it in implants(patient.name)]
    assert len(planned) == len(pelvic_patients()) * len(SIZES_ML) * COUNT
    assert len({it.seed for it in planned}) == len(planned)
    assert not any(it.seed in cohort.seeds for it in planned for cohort in COHORTS)
    for patient in pelvic_patients():
        for it in implants(patient.name):
            assert it.seed == seed_of(patient, it.size_ml, it.number)
            assert 0 <= it.form.clock < 12.001


def test_the_committed_contrasts_are_those_of_their_seeds():
    for it in implants("ProstateX-0218")[:6]:
        drawn = draw_appearance(it.seed)
        assert (it.appearance.t2_share, it.appearance.adc) == pytest.approx((drawn.t2_share, drawn.adc), abs=1e-3)


def test_a_plan_that_is_written_is_read(tmp_path, bowel):
    implant = Implant("nobody", 6.0, 3, 42, draw_form(42, bowel, 6.0, False), draw_appearance(42))
    write_plan(tmp_path / "plan.csv", [implant])
    (read,) = read_plan((tmp_path / "plan.csv").read_text("utf-8").splitlines())
    assert (read.patient, read.size_ml, read.number, read.seed) == ("nobody", 6.0, 3, 42)
    assert read.form.growth is implant.form.growth
    assert volume_of(read.form, bowel) == pytest.approx(volume_of(implant.form, bowel), rel=0.005)
