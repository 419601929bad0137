"""Magnetic field, displaced images, and motion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.research.phantom.anatomy import draw_anatomy
from models.research.phantom.effects import FAT_PPM, Displacement, Effects
from models.research.phantom.field import FieldMap, dipole_field, field_map
from models.research.phantom.lattice import IDENTITY
from models.research.phantom.measuring import expose, tumour_mask
from models.research.phantom.motion import Ghost, Sway, at_measurement
from models.research.phantom.scanners import find_scanner
from models.research.phantom.session import open_session
from models.research.phantom.streams import stream
from models.research.phantom.tissue import Tissue
from models.research.phantom.warping import pull_rows, push_rows
from models.volume import Grid

GRID = Grid((32, 40, 6), (1.5, 1.5, 4.0), (0.0, 0.0, 0.0), IDENTITY)


def seed_with(content, first=0):
    return next(
        seed
        for seed in range(first, first + 200)
        if (anatomy := draw_anatomy(seed)).rectum.content is content and anatomy.tumour is not None
    )


def uniform_field(ppm):
    coarse = Grid((20, 20, 20), (4.0,) * 3, (-8.0, -8.0, -8.0), IDENTITY)
    return FieldMap(coarse, np.full((20, 20, 20), ppm, dtype=np.float32))


def test_the_field_of_a_sphere_is_that_of_a_dipole():
    z, y, x = np.mgrid[-32:32, -32:32, -32:32].astype(np.float32)
    radius, difference = 6.0, 9.4
    sphere = np.where(np.sqrt(x**2 + y**2 + z**2) <= radius, np.float32(difference), np.float32(0))
    field = dipole_field(sphere, 1.0)
    for distance in (9, 12):
        strength = difference / 3 * (radius / distance) ** 3
        assert field[32 + distance, 32, 32] == pytest.approx(2 * strength, rel=0.15)
        assert field[32, 32, 32 + distance] == pytest.approx(-strength, rel=0.2)
    assert field[32, 32, 32] == pytest.approx(0, abs=0.3)


def test_gas_in_the_rectum_disturbs_the_field_far_more_than_stool():
    def spread(content):
        anatomy = draw_anatomy(seed_with(content))
        field = field_map(seed_with(content))
        lower, upper = (anatomy.deformation.place(corner) for corner in anatomy.rectum.box())
        start, stop = ((np.asarray(c) - field.grid.origin) / 4.5 for c in (lower, upper))
        part = tuple(slice(max(int(a), 0), int(b)) for a, b in zip(start[::-1], stop[::-1], strict=True))
        return np.percentile(np.abs(field.ppm[part]), 95)

    assert spread(Tissue.GAS) > 2 * spread(Tissue.STOOL)


def test_pushed_signal_is_kept_thinned_where_it_spreads_and_piled_up_where_it_meets():
    image = np.ones((1, 60, 3), dtype=np.float32)
    row = np.arange(60, dtype=np.float32)[None, :, None]
    spread = push_rows(image, np.broadcast_to((row - 30) * 0.5, image.shape))
    assert spread[0, 25:35].mean() == pytest.approx(1 / 1.5, rel=0.05)
    squeezed = push_rows(image, np.broadcast_to((30 - row) * 0.5, image.shape))
    assert squeezed[0, 25:35].mean() == pytest.approx(2, rel=0.05)
    assert squeezed.sum() == pytest.approx(image.sum(), rel=1e-3)


@pytest.mark.parametrize("shift", [3.0, -2.5])
def test_pushing_and_pulling_by_the_same_shift_agree_where_it_is_uniform(shift):
    image = np.zeros((2, 40, 5), dtype=np.float32)
    image[:, 14:22, 1:4] = 100
    moved = np.full(image.shape, shift, dtype=np.float32)
    pushed, pulled = push_rows(image, moved), pull_rows(image, moved)
    centres = [np.average(np.arange(40), weights=each.sum(axis=(0, 2))) for each in (image, pushed, pulled)]
    assert centres[1] - centres[0] == pytest.approx(shift, abs=0.01)
    assert centres[2] - centres[0] == pytest.approx(shift, abs=0.01)


def test_off_resonance_displaces_water_and_fat_by_their_own_frequency():
    image = np.zeros(GRID.size[::-1], dtype=np.float32)
    image[:, 18:22] = 1
    displacement = Displacement(uniform_field(1.0), rows_mm_per_ppm=3.0)
    rows = np.arange(40)
    water, fat = (
        np.average(rows, weights=displacement.of(image, GRID, fat).sum(axis=(0, 2))) - 19.5 for fat in (False, True)
    )
    assert water == pytest.approx(3.0 / 1.5, abs=0.02)
    assert fat == pytest.approx((1 + FAT_PPM) * 3.0 / 1.5, abs=0.02)


def test_the_displacement_in_mm_doubles_with_the_field_strength_and_does_not_depend_on_the_matrix():
    seed = seed_with(Tissue.GAS)
    for model in ("Multiva", "Skyra"):
        scanner = find_scanner(model)
        shift = open_session(seed, scanner).conditions["DWI"].effects.displacement.rows_mm_per_ppm
        view = scanner.dwi.pixel_spacing_mm * scanner.dwi.reconstructed
        per_tesla = shift / view / scanner.field_strength_t
        assert 42.577 * 0.26e-3 <= per_tesla <= 42.577 * 0.40e-3


def test_only_the_echo_planar_series_is_displaced_unless_there_is_an_implant():
    without = next(seed for seed in range(50) if not draw_anatomy(seed).implant)
    conditions = open_session(without, find_scanner("Skyra")).conditions
    assert [name for name, c in conditions.items() if c.effects.displacement is not None] == ["DWI"]
    implanted = next(seed for seed in range(200) if draw_anatomy(seed).implant)
    conditions = open_session(implanted, find_scanner("Skyra")).conditions
    assert conditions["T2WI"].effects.displacement.columns_mm_per_ppm > 0
    assert conditions["T2WI"].effects.displacement.rows_mm_per_ppm == 0


def test_the_mask_of_the_dwi_moves_with_its_signal():
    """With a uniform field of 1 ppm the mask lies so many mm further back; in the anatomy nothing has moved."""
    seed = seed_with(Tissue.STOOL)
    session = open_session(seed, find_scanner("Multiva"))
    conditions, measurement = session.conditions["DWI"], session.plan["DWI"]
    box = ((30, 30, 0), (100, 110, measurement.grid.size[2]))
    wide = Grid((40, 40, 40), (20.0,) * 3, (-400.0, -400.0, -400.0), IDENTITY)
    shifted = Effects(Displacement(FieldMap(wide, np.full((40, 40, 40), 1, dtype=np.float32)), rows_mm_per_ppm=6.8))
    masks = [
        tumour_mask(expose(conditions.patient, 1.5, measurement, box, effects), effects)
        for effects in (Effects(), shifted)
    ]
    places = [np.argwhere(mask).mean(axis=0) for mask in masks]
    rows = places[1][1] - places[0][1]
    assert rows * measurement.grid.spacing[1] == pytest.approx(6.8, abs=0.4)
    assert masks[1].sum() == pytest.approx(masks[0].sum(), rel=0.05)


def test_the_patient_lies_still_in_the_reference_and_moves_little_between_series():
    anatomy = draw_anatomy(3)
    assert at_measurement(anatomy, "T2WI", stream(3, "x")) is anatomy
    moves = [
        np.subtract(at_measurement(anatomy, "DCE", stream(n, "x")).deformation.offset, anatomy.deformation.offset)
        for n in range(60)
    ]
    assert 0.5 < np.std(moves) < 2.5
    assert np.abs(moves).max() < 10


def test_a_phase_moves_the_belly_and_not_the_back():
    sway = Sway(belly_mm=4.0, bowel_mm=0.0, bowel=(24.0, 30.0, 10.0), spine_y=55.0)
    rows = sway.rows(replace(GRID, origin=(0.0, -60.0, 0.0), spacing=(1.5, 3.0, 4.0)))
    assert rows[0, 0, 0] > 0.8
    assert np.abs(rows[:, -1]).max() < 1e-6


def test_ghosts_lie_a_step_away_and_keep_the_sum():
    image = np.zeros(GRID.size[::-1], dtype=np.float32)
    image[:, 10] = 100
    ghosted = Ghost(strength=0.1, step=0.25, front_y=80.0).added(image, GRID)
    assert ghosted[0, 20, 0] == pytest.approx(10, rel=0.01)
    assert ghosted[0, 0, 0] == pytest.approx(10, rel=0.01)
    assert ghosted[0, 15, 0] == 0
