"""Looks of tumours: who has them, and what they change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.research.phantom.cohort import COHORTS, WIDE_COHORTS
from models.research.phantom.contrasts import Dynamic, T2Weighted
from models.research.phantom.grade import biology_of, has_tumour
from models.research.phantom.looks import FIRST_WIDE, Kind, changed, depth_of, look_of
from models.research.phantom.rectum import draw_rectum
from models.research.phantom.scanners import find_scanner
from models.research.phantom.specimen import draw_patient, tumour_properties
from models.research.phantom.tissue import Tissue, draw_properties
from models.research.phantom.tumour import Growth, draw_border
from models.research.phantom.tumour_form import draw_tumour
from models.volume import Grid

WIDE = range(FIRST_WIDE, FIRST_WIDE + 400)
SCANNER = find_scanner("Skyra")


def look(kind):
    return next(found for seed in WIDE if (found := look_of(seed)) is not None and found.kind is kind)


@pytest.fixture(scope="module")
def cells():
    return np.random.default_rng(3).standard_normal(20_000).astype(np.float32)


@pytest.fixture(scope="module")
def solid(cells):
    biology = next(found for seed in range(40) if (found := biology_of(seed)) is not None and not found.mucinous)
    return tumour_properties(
        biology, draw_properties(np.random.default_rng(0), 3.0), 3.0, cells, cells[::-1].copy(), cells
    )


def test_no_patient_of_the_older_cohorts_has_a_look_and_every_one_of_the_new_has():
    for cohort in COHORTS:
        assert {look_of(seed) for seed in (cohort.seeds[0], cohort.seeds[-1])} == {None}
        assert cohort.seeds[-1] < FIRST_WIDE
    for cohort in WIDE_COHORTS:
        assert look_of(cohort.seeds[0]) is not None
    seeds = [set(cohort.seeds) for cohort in (*COHORTS, *WIDE_COHORTS)]
    assert len(set.union(*seeds)) == sum(len(part) for part in seeds)


def test_all_looks_are_there_with_cores_of_five_to_forty_percent():
    found = [look_of(seed) for seed in WIDE]
    assert {it.kind for it in found} == set(Kind)
    cores = [it.share for it in found if it.kind is Kind.NECROTIC]
    assert min(cores) < 0.08
    assert max(cores) > 0.37
    assert 0.2 < np.mean([it.fat_shown for it in found]) < 0.5


def test_a_core_lies_in_the_depth_and_has_its_share():
    grid = Grid((40, 40, 40), (1.5, 1.5, 1.5), (-30.0, -30.0, -30.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    z, y, x = np.indices((40, 40, 40)) * 1.5 - 30
    inside = x**2 + y**2 + (z / 1.5) ** 2 < 15**2
    depth = depth_of(inside, grid, (5.0, 0.0, 0.0), 0.2)
    places = np.column_stack([axis[inside] for axis in (x - 5, y, z)]).astype(np.float32)
    core = depth.core(places)
    assert core.mean() == pytest.approx(0.2, abs=0.04)
    assert np.abs(places[core] - (-5, 0, 0)).max() < np.abs(places - np.float32([-5, 0, 0])).max() / 1.3


def test_a_necrotic_core_is_as_fluid_and_does_not_enhance(solid, cells):
    core = np.arange(len(cells)) % 4 == 0
    made = changed(solid, look(Kind.NECROTIC), core, cells, 3.0)
    t2 = T2Weighted(SCANNER.t2wi)
    assert t2(made)[core].mean() > 1.3 * t2(made)[~core].mean()
    dynamic = Dynamic(SCANNER.dce, 3.0, 70.0, 16.0)
    assert dynamic(made)[core].mean() < 0.7 * dynamic(made)[~core].mean()
    np.testing.assert_array_equal(made.t2[~core], solid.t2[~core])


def test_mucin_is_brighter_and_fibrosis_darker_than_solid_tumour_on_t2(solid, cells):
    t2 = T2Weighted(SCANNER.t2wi)
    pools = replace(look(Kind.MUCINOUS), share=0.6, t2_ms=300.0, t1_3t_ms=2500.0)
    strands = replace(look(Kind.FIBROTIC), share=0.6, t2_ms=38.0)
    high = cells > 0.3
    mucin, fibrosis = (t2(changed(solid, it, None, cells, 3.0))[high].mean() for it in (pools, strands))
    assert mucin > 1.1 * t2(solid)[high].mean()
    assert fibrosis < 0.6 * t2(solid)[high].mean()
    assert t2(changed(solid, pools, None, cells, 3.0)).mean() > 1.2 * t2(solid).mean()


def test_without_fat_suppression_fat_is_brighter_than_muscle_on_the_dynamic_series():
    tissues = draw_properties(np.random.default_rng(0), 3.0)
    shown = Dynamic(SCANNER.dce, 3.0, 70.0, 16.0, fat_shown=True)(tissues)
    hidden = Dynamic(SCANNER.dce, 3.0, 70.0, 16.0)(tissues)
    assert shown[Tissue.FAT] > 1.5 * shown[Tissue.MUSCLE]
    assert hidden[Tissue.FAT] < hidden[Tissue.MUSCLE]


def test_every_growth_is_as_frequent_as_any_other_in_the_new_cohorts():
    rng = np.random.default_rng(5)
    rectum, border = draw_rectum(rng), draw_border(rng)
    drawn = [draw_tumour(rng, rectum, border, evenly=True).form.growth for _ in range(24)]
    assert min(drawn.count(growth) for growth in Growth) >= 3


def test_a_patient_of_the_new_cohorts_has_his_look_and_a_necrotic_one_his_depth():
    necrotic = next(seed for seed in WIDE if has_tumour(seed) and look_of(seed).kind is Kind.NECROTIC)
    patient = draw_patient(necrotic)
    assert patient.look == look_of(necrotic)
    assert patient.depth is not None
    assert replace(patient.look, share=0.1) != patient.look
