"""What the checks say of a real pelvis without a rectal tumour: its dynamic run, and places that networks outlined."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

from models.plausibility.body import body_of
from models.plausibility.corridor import doubt_of, in_words, place_of
from models.plausibility.fat_suppression import fat_to_muscle
from models.sequence import Sequence
from node.planning import plan_from, plan_with_volumes
from node.recognition.plan import read_study
from node.settings import RecognitionSettings
from node.volumes import assemble

ROOT = Path(__file__).parents[2]
RULE = tomllib.loads((ROOT / "docs" / "site-rules" / "prostatex.toml").read_text("utf-8"))["recognition"]
RULED = RecognitionSettings.model_validate(RULE)
UNRULED = RecognitionSettings(body_parts=("PROSTATE",))


@pytest.fixture(scope="module")
def facts(shared_data):
    """Headers of T2WI, DWI and dynamic run of a prostate examination."""
    folder = shared_data / "siemens_TrioTim_ProstateX-0218"
    names = ("05_*", "08_*", "*_twist_DCE_phase")
    files = sorted(file for name in names for part in folder.glob(name) for file in part.rglob("*") if file.is_file())
    return read_study("1.3.6.1.4.1.14519.5.2.1.7310.5101.168933915991866537842042219528", files, RULED)


@pytest.mark.parametrize(("settings", "zero"), [(RULED, "site rule"), (UNRULED, "measured in the images")])
def test_the_real_dynamic_run_without_fat_suppression_is_left_out_with_its_reason(facts, settings, zero):
    plan = plan_from(facts, settings, ())
    assert plan.stack(Sequence.PVP) is not None
    assert plan.dynamic.zero.startswith(zero)
    after, volumes = plan_with_volumes(plan, lambda: facts, settings, ())
    assert set(volumes) == {Sequence.T2WI, Sequence.DWI}
    assert after.refusal(Sequence.PVP).code == "E-FAT-BRIGHT"
    assert "times as bright as muscle" in after.refusal(Sequence.PVP).reason
    assert all("E-FAT-BRIGHT" in it.reason for it in after.verdicts if "Twist" in it.description)


def test_places_in_the_real_pelvis_are_told_from_t2wi_and_dynamic(facts):
    plan = plan_from(facts, RULED, ())
    t2wi, pvp = (assemble(plan.stack(role)) for role in (Sequence.T2WI, Sequence.PVP))
    assert fat_to_muscle(pvp, t2wi) > 2
    assert fat_to_muscle(pvp) > 1.2
    body = body_of([t2wi, pvp])

    def place(x, y, z):
        steps = np.arange(-6.0, 7.0, 3.0)
        cube = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 3)
        return place_of(cube + np.array([x, y, z]), body)

    rectal_wall, right_gluteus = place(-19, 46, -21), place(-60, 81, -25)
    assert doubt_of(rectal_wall) is None
    assert in_words(rectal_wall) == "in the region of the rectum, near the midline"
    assert doubt_of(right_gluteus).code == "E-FINDING-PLACE"
    assert in_words(right_gluteus) == "at the right gluteal region"
    assert doubt_of(place(-70, 20, -10)).code == "E-FINDING-PLACE"
