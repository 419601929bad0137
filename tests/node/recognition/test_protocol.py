"""A study's parameters beside those that the models have seen in training."""

from __future__ import annotations

import pytest

from node.planning import plan_from
from node.recognition.plan import read_study
from node.recognition.protocol import TrainedProtocol
from node.settings import RecognitionSettings, Role

SETTINGS = RecognitionSettings()


@pytest.fixture
def planned(tmp_path):
    """Plans instances with the training range of one model on echo times of T2WI."""

    def run(instances, te_ms=(70.0, 88.0), settings=SETTINGS):
        for number, instance in enumerate(instances):
            instance.save_as(tmp_path / f"{number:04d}.dcm")
        facts = read_study(str(instances[0].StudyInstanceUID), tmp_path.glob("*.dcm"), settings)
        return plan_from(facts, settings, (TrainedProtocol("model 1.0", {"T2WI": {"te_ms": te_ms}}),))

    return run


def test_inside_the_range_nothing_is_said(series_of, planned):
    plan = planned(series_of("Skyra", "t2_tse_tra"))
    assert plan.stack(Role.T2WI) is not None
    assert plan.warnings == ()


def test_outside_the_range_there_is_a_warning_with_both_numbers(series_of, planned):
    plan = planned(series_of("Skyra", "t2_tse_tra"), te_ms=(80.0, 88.0))
    assert plan.stack(Role.T2WI) is not None
    assert plan.warnings == ("T2WI: echo time 75 ms, trained on 80 to 88 ms",)


def test_far_outside_the_range_the_series_is_refused_with_its_reason(series_of, planned):
    plan = planned(series_of("Skyra", "t2_tse_tra"), te_ms=(160.0, 200.0))
    assert plan.stack(Role.T2WI) is None
    assert plan.refusal(Role.T2WI).code == "E-PROTOCOL"
    assert "echo time 75 ms, trained on 160 to 200 ms" in plan.refusal(Role.T2WI).reason
    assert "E-PROTOCOL" in plan.verdicts[0].reason


def test_another_series_takes_the_place_of_one_that_lies_far_outside(series_of, planned):
    t2 = series_of("Skyra", "t2_tse_tra")
    second = series_of("Skyra", "t2_tse_tra")
    for instance in second:
        instance.SeriesInstanceUID += ".2"
        instance.SOPInstanceUID += ".2"
        instance.SeriesNumber = "77"
        instance.EchoTime = "180"
    plan = planned([*t2, *second], te_ms=(160.0, 200.0))
    assert plan.stack(Role.T2WI).series_instance_uid == second[0].SeriesInstanceUID


def test_the_factor_is_the_site_s(series_of, planned):
    settings = RecognitionSettings(protocol_factor=3.0)
    assert planned(series_of("Skyra", "t2_tse_tra"), (160.0, 200.0), settings).stack(Role.T2WI) is not None
