"""The profile and its options are those of PS3.15, by name and by what they do to an attribute."""

from __future__ import annotations

from importlib.resources import files

import pytest
from pydicom.datadict import DicomDictionary
from pydicom.tag import Tag

from node.deidentification.profile import RESEARCH, Action, Option, beyond, profile_of, safe_private, table
from node.errors import NodeError


def action(keyword: str, profile: str) -> Action:
    return table()[Tag(keyword)].action(profile_of(profile))


@pytest.mark.parametrize(
    ("keyword", "basic", "research"),
    [
        ("PatientName", Action.EMPTY, Action.EMPTY),  # both replaced by the pseudonym
        ("PatientBirthDate", Action.EMPTY, Action.EMPTY),
        ("PatientSex", Action.EMPTY, Action.KEEP),
        ("PatientAge", Action.REMOVE, Action.KEEP),
        ("StudyDate", Action.EMPTY, Action.SHIFT),
        ("SeriesDate", Action.DUMMY, Action.SHIFT),
        ("AcquisitionDateTime", Action.DUMMY, Action.SHIFT),
        ("StationName", Action.DUMMY, Action.KEEP),
        ("DeviceSerialNumber", Action.DUMMY, Action.KEEP),
        ("InstitutionName", Action.DUMMY, Action.DUMMY),
        ("SeriesDescription", Action.REMOVE, Action.WORDS),
        ("PatientComments", Action.REMOVE, Action.REMOVE),
        ("SOPInstanceUID", Action.UID, Action.UID),
        ("ReferencedImageSequence", Action.UID, Action.UID),
        ("ReferencedStudySequence", Action.EMPTY, Action.EMPTY),
        ("RequestAttributesSequence", Action.REMOVE, Action.REMOVE),
    ],
)
def test_an_attribute_is_treated_as_table_e_1_1_says(keyword: str, basic: Action, research: Action) -> None:
    assert (action(keyword, "basic"), action(keyword, "research")) == (basic, research)


def test_the_table_is_whole() -> None:
    """Of the edition 2026c: 651 attributes with a tag of their own; repeating groups and private ones by rule."""
    assert len(table()) == 651
    assert all(table()[tag].basic is not Action.KEEP for tag in table())
    named = {DicomDictionary[tag][4] for tag in table() if tag in DicomDictionary}
    assert {"PatientName", "OtherPatientIDs", "OperatorsName", "ContentSequence", "TextString"} <= named


def test_beside_the_table_each_attribute_is_one_of_the_standard_with_a_reason() -> None:
    with files("node.deidentification").joinpath("beyond_e1_1.csv").open(encoding="utf-8") as file:
        lines = [line for line in file if not line.startswith("#")]
    assert len(beyond()) == len(lines) - 1
    assert all(it.reason for it in beyond().values())
    assert not set(beyond()) & set(table())


def test_options_change_only_what_they_are_about() -> None:
    only_dates = profile_of("basic,dates")
    changed = {
        DicomDictionary[tag][0]
        for tag, row in table().items()
        if tag in DicomDictionary and row.action(only_dates) is not row.basic
    }
    assert changed == {"DA", "TM", "DT", "SH"}  # SH: Timezone Offset From UTC


def test_codes_of_the_method_name_the_profile_and_each_option() -> None:
    assert [code.value for code in profile_of("basic").codes] == ["113100", "113103", "113104"]
    assert {code.value for code in RESEARCH.codes} == {
        *("113100", "113103", "113104", "113105", "113107", "113108", "113109", "113111")
    }
    assert str(RESEARCH) == "basic,characteristics,dates,descriptors,device,private"
    assert profile_of(str(RESEARCH)) == RESEARCH


@pytest.mark.parametrize("name", ["", "none", "dates", "basic,names", "research,dates", "basic,"])
def test_another_profile_is_refused_with_those_that_there_are(name: str) -> None:
    with pytest.raises(NodeError, match="give research, or basic and after commas options of dates, device"):
        profile_of(name)


def test_safe_private_elements_are_numbers_and_words_of_the_measurement() -> None:
    assert {it.vr for it in safe_private().values()} <= {"IS", "DS", "FD", "FL", "CS"}
    assert all(it.terms if it.vr == "CS" else not it.terms for it in safe_private().values())
    assert {it.source for it in safe_private().values()} == {"E.3.10-1", "maker"}
    assert set(Option) == {"dates", "device", "characteristics", "descriptors", "private"}
