"""Dates, times and numbers in the spellings of old systems, gateways and people."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone

import pydicom
import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from models.sequence import Sequence
from node.recognition.header.spelling import (
    clock_in,
    has_seconds,
    read_date,
    read_moment,
    read_number,
    read_time,
    standard_form,
)
from node.settings import RecognitionSettings, SiteRule


@pytest.mark.parametrize(
    "text",
    ["20261130", "2026.11.30", "2026-11-30", "2026/11/30", "2026 11 30", "30.11.2026", "20261130101112", " 20261130\0"],
)
def test_a_date_in_whatever_order_that_has_one_meaning(text):
    assert read_date(text) == date(2026, 11, 30)
    assert standard_form("DA", text) == "20261130"


@pytest.mark.parametrize("text", ["", "11/30/2026", "3/7/1961", "20261301", "00000000", "2026", "***"])
def test_what_is_no_date_or_could_be_two_is_none(text):
    assert read_date(text) is None
    with pytest.raises(ValueError, match="DA"):
        standard_form("DA", text)


@pytest.mark.parametrize(
    ("text", "moment", "written"),
    [
        ("142233", time(14, 22, 33), "142233"),
        ("142233.5", time(14, 22, 33, 500_000), "142233.5"),
        ("14:22:33", time(14, 22, 33), "142233"),
        ("14:22:33.25", time(14, 22, 33, 250_000), "142233.25"),
        ("142233,25", time(14, 22, 33, 250_000), "142233.25"),
        ("2:22:33 PM", time(14, 22, 33), "142233"),
        ("02:22:33 p.m.", time(14, 22, 33), "142233"),
        ("022233pm", time(14, 22, 33), "142233"),
        ("下午 2:22:33", time(14, 22, 33), "142233"),
        ("2:22:33 上午", time(2, 22, 33), "022233"),
        ("12:05:00 AM", time(0, 5), "000500"),
        ("12:05:00 PM", time(12, 5), "120500"),
        ("14:22:33 PM", time(14, 22, 33), "142233"),
        ("1422", time(14, 22), "1422"),
        ("14:22", time(14, 22), "1422"),
        ("14", time(14), "14"),
        ("142233.1234567", time(14, 22, 33, 123_456), "142233.123456"),
    ],
)
def test_a_time_of_day_and_its_standard_form(text, moment, written):
    assert read_time(text) == moment
    assert standard_form("TM", text) == written


@pytest.mark.parametrize("text", ["", "14:22:33 AM", "0:22 PM", "25:00:00", "146033", "142", "AM 2:22 PM", "noon"])
def test_what_is_no_time_or_contradicts_itself_is_none(text):
    assert read_time(text) is None


def test_a_time_without_seconds_says_so():
    assert has_seconds("142200")
    assert not has_seconds("1422")
    assert not has_seconds("2:22 PM")


@pytest.mark.parametrize(
    "text", ["20261130142233.5+0800", "2026-11-30T14:22:33.5+08:00", "2026.11.30 2:22:33.5 PM +0800"]
)
def test_a_moment_with_its_offset(text):
    east = timezone(timedelta(hours=8))
    assert read_moment(text) == datetime(2026, 11, 30, 14, 22, 33, 500_000, east)


@pytest.mark.parametrize(
    ("text", "number"),
    [("1,1875", 1.1875), ("-190,5", -190.5), ("4.0", 4.0), (" 7 \0", 7.0), ("1e3", 1000.0)],
)
def test_a_number_with_a_decimal_comma(text, number):
    assert read_number(text) == number


@pytest.mark.parametrize("text", ["", "1,000.5", "1,2,3", "nan", "inf", "four"])
def test_what_is_no_number_or_holds_two_marks_is_none(text):
    assert read_number(text) is None


@pytest.mark.parametrize(("text", "clock"), [("dyn Ph2_10:22:33 AM", "10:22:33 AM"), ("dyn 10:22", ""), ("1:2:3", "")])
def test_a_clock_in_a_text_tells_seconds(text, clock):
    assert clock_in(text) == clock


def raw(instance: Dataset, keyword: str, text: str) -> None:
    """A value as it stands in a file, whatever its value representation allows."""
    tag, encoded = Tag(keyword), text.encode()
    vr = pydicom.datadict.dictionary_VR(tag)
    instance._dict[tag] = RawDataElement(tag, vr, len(encoded), encoded, 0, False, True, True)


TIMES = ("AcquisitionTime", "ContentTime", "SeriesTime", "ContrastBolusStartTime")


def colons(value: str) -> str:
    return f"{value[:2]}:{value[2:4]}:{value[4:]}"


def comma(value: str) -> str:
    return f"{value[:6]},{value[7:] or '0'}"


def twelve_hours(value: str) -> str:
    return f"{int(value[:2]) % 12 or 12}:{value[2:4]}:{value[4:6]} {'PM' if int(value[:2]) >= 12 else 'AM'}"


@pytest.fixture
def dynamic(series_of) -> list[Dataset]:
    return [each for each in series_of("uMR 560", "t1_quick3d") if "SUB" not in each.SeriesDescription]


def respelled(dynamic: list[Dataset], spell) -> list[Dataset]:
    for instance in dynamic:
        for keyword in ("AcquisitionDateTime", "TriggerTime"):
            instance.pop(keyword, None)
        for keyword in TIMES:
            raw(instance, keyword, spell(str(instance[keyword].value)))
    return dynamic


@pytest.mark.parametrize("spell", [colons, comma, twelve_hours])
def test_the_portal_venous_phase_is_found_however_times_are_spelled(dynamic, recognised, spell):
    assert recognised(respelled(dynamic, spell)).stack(Sequence.PVP).phase_time_s == pytest.approx(70, abs=3)


def test_times_without_seconds_choose_no_phase(dynamic, recognised):
    refusal = recognised(respelled(dynamic, lambda value: value[:4])).refusal("PVP")
    assert refusal.code == "E-DCE-TIME"
    assert "times without seconds are none" in refusal.reason


def test_an_injection_to_the_minute_is_no_zero_of_the_clock(dynamic, recognised):
    for instance in dynamic:
        instance.ContrastBolusStartTime = instance.ContrastBolusStartTime[:4]
    refusal = recognised(dynamic).refusal("PVP")
    assert refusal.code == "E-DCE-T0"
    assert "Contrast/Bolus Start Time tells no seconds" in refusal.reason


def described(dynamic: list[Dataset], text: str) -> list[Dataset]:
    """Phases whose times stand in their names only."""
    for instance in dynamic:
        told = twelve_hours(str(instance.AcquisitionTime))
        for keyword in (*TIMES[:3], "AcquisitionDateTime", "TriggerTime"):
            instance.pop(keyword, None)
        instance.SeriesDescription = text.format(told)
    return dynamic


def test_a_clock_in_the_description_tells_the_phases_apart_where_no_element_does(dynamic, recognised):
    plan = recognised(described(dynamic, "t1_quick3d {}"))
    assert plan.stack(Sequence.PVP).phase_time_s == pytest.approx(70, abs=8)
    used = next(verdict for verdict in plan.verdicts if verdict.used)
    assert "the phases are told apart by clock in Series Description only" in used.doubts


def test_a_site_rule_reads_a_clock_of_twelve_hours(dynamic, recognised):
    rule = SiteRule(name="clock", manufacturer="UIH", phase_time_pattern=r"at (\S+ [AP]M)")
    plan = recognised(described(dynamic, "t1_quick3d at {}"), RecognitionSettings(site_rules=(rule,)))
    assert plan.dynamic.clocks[0] == "site rule"
    assert plan.stack(Sequence.PVP).phase_time_s == pytest.approx(60, abs=12)


def test_old_dates_carry_a_run_over_midnight(dynamic, recognised):
    moments = {"R1": "235930", "R2": "000020", "R3": "000100", "R4": "000110", "R5": "000200"}
    for instance in dynamic:
        time_of_day = moments[instance.SeriesDescription[-2:]]
        day = "2024.01.01" if time_of_day > "2" else "2024.01.02"
        for keyword in ("AcquisitionDateTime", "TriggerTime"):
            instance.pop(keyword, None)
        raw(instance, "AcquisitionDate", day)
        instance.AcquisitionTime, instance.ContrastBolusStartTime = time_of_day, "235955"
    assert recognised(dynamic).stack(Sequence.PVP).phase_time_s == pytest.approx(70, abs=12)


def test_lengths_with_a_decimal_comma_and_whole_numbers_with_a_point(series_of, recognised):
    t2 = series_of("Skyra", "t2_tse_tra")
    for instance in t2:
        for keyword in ("PixelSpacing", "ImagePositionPatient", "SliceThickness"):
            value = instance[keyword].value
            numbers = [value] if isinstance(value, float) else value
            raw(instance, keyword, "\\".join(str(number).replace(".", ",") for number in numbers))
        for keyword in ("SeriesNumber", "InstanceNumber", "AcquisitionNumber"):
            raw(instance, keyword, f"{instance[keyword].value}.0")
    plan = recognised(t2)
    assert plan.stack(Sequence.T2WI) is not None
    assert plan.verdicts[0].series_number == int(t2[0][0x00200011].value)
    assert plan.stack(Sequence.T2WI).acquisition.slice_thickness_mm == 5.0
