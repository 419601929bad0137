"""Variations from site to site that leave the plan as it is."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache

import pytest
from pydicom import Dataset

from models.sequence import Sequence
from node.recognition.plan import recognise
from node.recognition.record import StudyPlan
from node.recognition.rules.findings import Confidence
from node.settings import RecognitionSettings, SiteRule

from ..copies import copied


def chosen(plan: StudyPlan) -> dict[str, tuple[str, ...]]:
    return {stack.role.value: tuple(frame.sop_instance_uid for frame in stack.frames) for stack in plan.stacks}


@pytest.fixture(scope="module")
def plan_of(written_by) -> Callable[[str], StudyPlan]:
    """What is recognised in the study of a scanner."""

    @cache
    def recognised(scanner: str) -> StudyPlan:
        written = written_by(scanner)
        return recognise(str(written.instances[0].StudyInstanceUID), written.paths, RecognitionSettings())

    return recognised


@pytest.fixture
def plan(written, plan_of) -> StudyPlan:
    return plan_of(written.study.scanner.name)


def test_all_four_roles_are_found_on_every_scanner(plan, written):
    assert set(chosen(plan)) == {"T2WI", "DWI", "ADC", "PVP"}
    assert plan.refusals == ()
    assert plan.stack(Sequence.DWI).b_value == 800
    assert plan.stack(Sequence.PVP).phase_time_s == pytest.approx(70, abs=3)


def test_file_names_and_their_order_do_not_matter(plan, written, tmp_path):
    names = list(range(len(written.instances)))
    random.Random(7).shuffle(names)
    paths = []
    for name, path in zip(names, written.paths, strict=True):
        renamed = tmp_path / f"{name:04d}"
        renamed.write_bytes(path.read_bytes())
        paths.append(renamed)
    again = recognise(str(written.instances[0].StudyInstanceUID), paths, RecognitionSettings())
    assert chosen(again) == chosen(plan)


OPTIONAL = ("ProtocolName", "EchoTrainLength", "ContentTime", "SpacingBetweenSlices", "SliceLocation", "InstanceNumber")


def test_optional_elements_may_be_missing(plan, written, recognised):
    def without(instance: Dataset) -> Dataset:
        copy = copied(instance)
        for keyword in OPTIONAL:
            if keyword in copy:
                del copy[keyword]
        return copy

    assert chosen(recognised([without(instance) for instance in written.instances])) == chosen(plan)


def test_descriptions_in_chinese_do_not_matter(series_of, recognised):
    t2 = series_of("uMR 770", "t2_fse_tra")
    for instance in t2:
        instance.SpecificCharacterSet = "GB18030"
        instance.SeriesDescription = "横断位 直肠"
    plan = recognised(t2)
    assert plan.stack(Sequence.T2WI) is not None
    assert plan.verdicts[0].description == "横断位 直肠"


def test_a_study_over_midnight_keeps_its_phase_times(series_of, recognised):
    phases = [each for each in series_of("uMR 560", "t1_quick3d") if "SUB" not in each.SeriesDescription]
    clock = {
        7: ("20240101", "235930"),
        8: ("20240102", "000020"),
        9: ("20240102", "000100"),
        10: ("20240102", "000200"),
    }
    numbers = sorted({int(each.SeriesNumber) for each in phases})[:4]
    kept = [each for each in phases if int(each.SeriesNumber) in numbers]
    for instance in kept:
        day, time = clock[7 + numbers.index(int(instance.SeriesNumber))]
        instance.AcquisitionDate, instance.AcquisitionTime = day, time
        instance.ContrastBolusStartTime = "235955"
        for keyword in ("AcquisitionDateTime", "TriggerTime"):
            if keyword in instance:
                del instance[keyword]
    plan = recognised(kept)
    assert plan.stack(Sequence.PVP).phase_time_s == pytest.approx(65, abs=5)


def test_results_of_this_node_are_never_analysed(series_of, recognised):
    t2 = series_of("Skyra", "t2_tse_tra")
    for instance in t2:
        instance.Manufacturer = instance.ManufacturerModelName = "rectal-node"
    plan = recognised(t2)
    assert plan.stacks == ()
    assert "result of this node" in plan.verdicts[0].reason


def test_a_site_rule_gives_the_injection_relative_to_the_first_phase(series_of, recognised):
    phases = [each for each in series_of("uMR 560", "t1_quick3d") if "SUB" not in each.SeriesDescription]
    for instance in phases:
        del instance.ContrastBolusStartTime
    rule = SiteRule(name="injector starts 30 s after the mask", manufacturer="UIH", injection_s=30.0)
    plan = recognised(phases, RecognitionSettings(site_rules=(rule,)))
    assert plan.refusals[-1].role != "PVP"
    assert plan.stack(Sequence.PVP).phase_time_s == pytest.approx(70, abs=8)


def test_a_site_rule_for_another_scanner_changes_nothing(series_of, recognised):
    phases = [each for each in series_of("uMR 560", "t1_quick3d") if "SUB" not in each.SeriesDescription]
    for instance in phases:
        del instance.ContrastBolusStartTime
    rule = SiteRule(name="other", manufacturer="SIEMENS", injection_s=30.0)
    assert recognised(phases, RecognitionSettings(site_rules=(rule,))).stack(Sequence.PVP) is None


def test_a_lone_volume_with_a_stated_injection_is_named_by_its_time(series_of, recognised):
    single = series_of("uMR 560", "R4")
    assert single
    assert recognised(single).stack(Sequence.PVP).phase_time_s == pytest.approx(70, abs=3)


def test_files_of_another_study_are_passed_over_with_a_warning(written, tmp_path):
    plan = recognise("1.2.3", written.paths[:3], RecognitionSettings())
    assert plan.verdicts == ()
    assert len(plan.warnings) == 3


def test_a_study_without_body_part_is_accepted_with_a_warning(series_of, recognised):
    t2 = series_of("Skyra", "t2_tse_tra")
    for instance in t2:
        del instance.BodyPartExamined
    plan = recognised(t2)
    assert plan.stack(Sequence.T2WI) is not None
    assert any("Body Part" in warning for warning in plan.warnings)


def test_a_phase_whose_name_says_another_is_used_by_its_time_with_low_confidence(series_of, recognised):
    phases = [each for each in series_of("uMR 560", "t1_quick3d") if "SUB" not in each.SeriesDescription]
    for instance in phases:
        if instance.SeriesDescription.endswith("R4"):
            instance.SeriesDescription = "T1 动脉期"
    plan = recognised(phases)
    used = next(verdict for verdict in plan.verdicts if verdict.used)
    assert plan.stack(Sequence.PVP).phase_time_s == pytest.approx(70, abs=3)
    assert (used.confidence, used.doubts) == (Confidence.LOW, ("its name says arterial",))


def test_of_two_phases_equally_near_to_the_wanted_time_the_one_named_so_is_used(series_of, recognised):
    phases = [each for each in series_of("uMR 560", "t1_quick3d") if "SUB" not in each.SeriesDescription]
    times = dict(zip(("R1", "R2", "R3", "R4", "R5"), ("115930", "120020", "120103", "120113", "120200"), strict=True))
    for instance in phases:
        instance.ContrastBolusStartTime = "120000"
        instance.AcquisitionDuration = 4000.0
        instance.AcquisitionTime = times[instance.SeriesDescription[-2:]]
        for keyword in ("AcquisitionDateTime", "TriggerTime"):
            instance.pop(keyword, None)
    for instance in phases:
        if instance.SeriesDescription.endswith("R4"):
            instance.SeriesDescription = "门静脉期"
    plan = recognised(phases)
    assert plan.stack(Sequence.PVP).phase_time_s == pytest.approx(75)
    assert any("named so is used" in warning for warning in plan.warnings)
