"""The real pelvic study with and without the site rule that it needs."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

import pydicom
import pytest
from pydantic import TypeAdapter

from models.sequence import Sequence
from node.recognition.plan import ReadHeaders, read_header_of, read_headers, recognise
from node.recognition.record import StudyPlan
from node.settings import RecognitionSettings

SITE_RULES = Path(__file__).parents[3] / "docs" / "site-rules" / "prostatex.toml"


@pytest.fixture(scope="module")
def files(shared_data: Path) -> list[Path]:
    return sorted(path for path in (shared_data / "siemens_TrioTim_ProstateX-0218").rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def read() -> ReadHeaders:
    """Opens each file once for all settings."""
    known = cache(read_header_of)
    return lambda files, settings: read_headers(files, settings, known)


def _plan(files: list[Path], settings: RecognitionSettings, read: ReadHeaders | None = None) -> StudyPlan:
    uid = str(pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
    return recognise(uid, files, settings, read=read)


@pytest.fixture(scope="module")
def with_rule(files: list[Path], read: ReadHeaders) -> StudyPlan:
    rules = tomllib.loads(SITE_RULES.read_text("utf-8"))["recognition"]["site_rules"]
    return _plan(files, RecognitionSettings(site_rules=rules), read)


def _number(plan: StudyPlan, role: Sequence) -> int | None:
    stack = plan.stack(role)
    assert stack is not None
    return next(v.series_number for v in plan.verdicts if v.series_instance_uid == stack.series_instance_uid)


def test_the_site_rule_leads_to_t2_series_5_dwi_series_8_its_adc_and_the_phase_at_71_s(with_rule):
    assert {role: _number(with_rule, role) for role in Sequence} == {"T2WI": 5, "DWI": 8, "ADC": 9, "PVP": 42}
    assert with_rule.stack(Sequence.DWI).b_value == 800
    assert with_rule.stack(Sequence.PVP).phase_time_s == pytest.approx(71.2)
    assert with_rule.refusals == ()


def test_every_phase_carries_its_time_after_injection(with_rule):
    times = [verdict.phase_times_s for verdict in with_rule.verdicts if verdict.role == "DCE"]
    assert len(times) == 18
    assert times[0] == (8.0,)
    assert times[-1] == (79.7,)


def test_without_the_rule_the_body_part_is_refused_and_nothing_is_chosen(files, read):
    plan = _plan(files, RecognitionSettings(), read)
    refusal = plan.study_refusal()
    assert refusal is not None
    assert refusal.code == "E-BODY-PART"
    assert "PROSTATE" in refusal.reason
    assert plan.stacks == ()
    assert not any(verdict.used for verdict in plan.verdicts)


def test_without_a_clock_only_the_portal_venous_phase_is_refused(files, read):
    plan = _plan(files, RecognitionSettings(body_parts=("PROSTATE",)), read)
    assert [(refusal.role, refusal.code) for refusal in plan.refusals] == [("PVP", "E-DCE-T0")]
    assert {role: _number(plan, role) for role in (Sequence.T2WI, Sequence.DWI, Sequence.ADC)} == {
        "T2WI": 5,
        "DWI": 8,
        "ADC": 9,
    }


def test_the_plan_is_the_same_for_files_in_any_order(files, with_rule):
    rules = tomllib.loads(SITE_RULES.read_text("utf-8"))["recognition"]["site_rules"]
    assert _plan(files[::-1], RecognitionSettings(site_rules=rules)) == with_rule


def test_the_plan_goes_through_json_unchanged(with_rule):
    adapter = TypeAdapter(StudyPlan)
    assert adapter.validate_json(adapter.dump_json(with_rule)) == with_rule


def test_slices_rise_along_the_normal(with_rule):
    stack = with_rule.stack(Sequence.T2WI)
    assert stack.slice_step_mm == pytest.approx(3.6, abs=1e-3)
    assert stack.normal == pytest.approx((0, 0.3955, 0.9184), abs=1e-4)
    first = pydicom.dcmread(stack.frames[0].path, stop_before_pixels=True)
    assert tuple(first.ImagePositionPatient) == pytest.approx(stack.origin)
