"""The plain matcher on cases worked out by hand from PS3.4 C.2.2.2, and the studies and queries to compare with."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from .plain_matcher import matches
from .synthetic_headers import put
from .synthetic_studies import SCRIPTS, entities, information_model, queries


def instance(study: str = "1", series: str = "1", number: str = "1", **values: Any) -> Dataset:
    uids = {"StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.{series}"}
    return put(Dataset(), **uids, SOPInstanceUID=f"{study}.{series}.{number}", **values)


def item(**values: Any) -> Dataset:
    return put(Dataset(), **values)


JAPANESE = "Yamada^Tarou=山田^太郎=やまだ^たろう"
REQUEST = [item(RequestedProcedureID="RP1", ScheduledProcedureStepID="S1"), item(RequestedProcedureID="RP2")]

CASES: list[tuple[str, Any, Any, bool]] = [
    # C.2.2.2.1 single value: exact, case counts, padding does not
    ("AccessionNumber", "A1", "A1", True),
    ("AccessionNumber", "a1", "A1", False),
    ("AccessionNumber", "A1", "A12", False),
    ("AccessionNumber", " A1 ", "A1", True),
    ("StudyDescription", "étage", "etage", False),
    ("PatientComments", "x", " x", False),
    ("PatientComments", " x", " x ", True),
    ("SeriesNumber", "7", "07", True),
    ("SeriesNumber", "7", "70", False),
    ("PatientWeight", "70.5", "70.50", True),
    ("Rows", 2, 2, True),
    # C.2.2.2.2 list of UID; UIDs have no wild cards
    ("StudyInstanceUID", ["3", "1", "2"], "1", True),
    ("StudyInstanceUID", ["3", "2"], "1", False),
    ("FrameOfReferenceUID", "1.2.*", "1.2.3", False),
    # C.2.2.2.3 universal; what the entity does not have matches nothing else
    ("AccessionNumber", None, "A1", True),
    ("AccessionNumber", "", None, True),
    ("AccessionNumber", "  ", None, True),
    ("AccessionNumber", "*", None, True),
    ("AccessionNumber", "?*", None, False),
    ("AccessionNumber", "A1", None, False),
    ("AccessionNumber", "A1", "", False),
    ("StudyDate", None, "", True),
    ("StudyDate", "-20200101", "", False),
    ("PatientName", "^^", None, True),
    # C.2.2.2.4 wild card: nothing but * and ? is one
    ("AccessionNumber", "A*", "A1", True),
    ("AccessionNumber", "a*", "A1", False),
    ("AccessionNumber", "*A1*", "A1", True),
    ("AccessionNumber", "A?", "A", False),
    ("AccessionNumber", "A?", "A%", True),
    ("AccessionNumber", "A_*", "AX1", False),
    ("AccessionNumber", "A%*", "AX1", False),
    ("AccessionNumber", "[A-Z]*", "B1", False),
    ("AccessionNumber", "[A*", "[A]1", True),
    ("AccessionNumber", "A.*", "AX", False),
    ("Modality", "S?", "SR", True),
    ("Modality", "s?", "SR", False),
    # C.2.2.2.1, C.2.2.2.4 names: neither case nor accents nor padding
    ("PatientName", "MULLER^JURGEN", "Müller^Jürgen", True),
    ("PatientName", "müller^jürgen", "MULLER^JURGEN", True),
    ("PatientName", "Muller", "Müller^Jürgen", False),
    ("PatientName", "Muller*", "Müller^Jürgen", True),
    ("PatientName", "M?ller^*", "Müller^Jürgen", True),
    ("PatientName", "Muller^*", "Müller", True),
    ("PatientName", "Muller^?*", "Müller", False),
    ("PatientName", "Muller^Jurgen^^", "Müller^Jürgen", True),
    ("PatientName", "Muller^Jurgen", "Müller ^Jürgen^^ ", True),
    ("PatientName", "^Jurgen", "Müller^Jürgen", False),
    ("PatientName", "ΠΑΠΑΔΟΠΟΥΛΟΣ^ΝΙΚΟΣ", "Παπαδόπουλος^Νίκος", True),
    ("PatientName", "ПЁТР*", "Пётр^Анна", True),
    ("PatientName", "STRASSE", "Straße", True),
    ("PatientName", "か", "が", False),
    # PS3.5 6.2.1 component groups: ASCII asks for the alphabetic one, other text for any
    ("PatientName", "yamada^tarou", JAPANESE, True),
    ("PatientName", "山田^太郎", JAPANESE, True),
    ("PatientName", "山?^*", JAPANESE, True),
    ("PatientName", "やまだ*", JAPANESE, True),
    ("PatientName", "=山田^太郎", JAPANESE, True),
    ("PatientName", "Yamada^Tarou=山田^太郎", JAPANESE, True),
    ("PatientName", "Yamada^Tarou=鈴木^太郎", JAPANESE, False),
    ("PatientName", "山田=Yamada", JAPANESE, False),
    ("PatientName", "wang*", "=王^丽=Wang^Li", False),
    ("PatientName", "홍^길동", "Hong^Gildong=洪^吉洞=홍^길동", True),
    # C.2.2.2.5.1 dates
    ("StudyDate", "20200102", "20200102", True),
    ("StudyDate", "20200102", "2020.01.02", True),
    ("StudyDate", "20200101-20200102", "20200102", True),
    ("StudyDate", "20200101-20200102", "20200103", False),
    ("StudyDate", "20200102-", "20200102", True),
    ("StudyDate", "-20200102", "20200103", False),
    ("StudyDate", "-", "20200103", False),
    ("StudyDate", "2020*", "20200103", False),
    # C.2.2.2.5.2 times, of less precision too
    ("StudyTime", "101530", "101530", True),
    ("StudyTime", "101530", "101530.250000", True),
    ("StudyTime", "10", "105959.999999", True),
    ("StudyTime", "10", "110000", False),
    ("StudyTime", "100001", "10", False),
    ("StudyTime", "1000-1030", "103059", True),
    ("StudyTime", "1000-1030", "1031", False),
    ("StudyTime", "1000-", "0959", False),
    ("StudyTime", "-10", "105959", True),
    ("StudyTime", "10:15:30", "101530", True),
    # C.2.2.2.5.3 datetimes, whose offsets count
    ("AcquisitionDateTime", "20200101120000+0100", "20200101110000+0000", True),
    ("AcquisitionDateTime", "20200101110000", "20200101120000+0100", True),
    ("AcquisitionDateTime", "20200101120000+0100", "20200101120000-0500", False),
    ("AcquisitionDateTime", "2020", "20201231235959.999999", True),
    ("AcquisitionDateTime", "202002", "20200229235959", True),
    ("AcquisitionDateTime", "202002", "20200301000000", False),
    ("AcquisitionDateTime", "2019-2020", "20200615", True),
    ("AcquisitionDateTime", "20200101-0500-", "20200101045959", False),
    ("AcquisitionDateTime", "20200101-0500-", "20200101050000", True),
    ("AcquisitionDateTime", "-20200101-0500", "20200102045959", True),
    ("AcquisitionDateTime", "-20200101-0500", "20200102050000", False),
    ("AcquisitionDateTime", "20200101000000-0500-20200101010000-0500", "20200101053000+0000", True),
    ("AcquisitionDateTime", "20200101", "20201399", False),
    # C.2.2.2.6 sequences: all keys of the item in one item
    ("RequestAttributesSequence", [], None, True),
    ("RequestAttributesSequence", [item()], None, True),
    ("RequestAttributesSequence", [item(RequestedProcedureID=None)], None, True),
    ("RequestAttributesSequence", [item(RequestedProcedureID="RP1")], None, False),
    ("RequestAttributesSequence", [item(RequestedProcedureID="RP?", ScheduledProcedureStepID="S1")], REQUEST, True),
    ("RequestAttributesSequence", [item(RequestedProcedureID="RP2", ScheduledProcedureStepID="S1")], REQUEST, False),
    # C.2.2.3 several values in the entity; in the key without negotiation
    ("OperatorsName", "JONES^BOB", ["Smith^Anna", "Jones^Bob"], True),
    ("ImageType", "ADC", ["DERIVED", "SECONDARY", "ADC"], True),
    ("Modality", ["MR", "CT"], "MR", True),
    # C.2.2.2, C.4.1.1.3.2: no keys
    ("TimezoneOffsetFromUTC", "+0100", "+0200", True),
    ("RetrieveAETitle", "ARCHIVE", None, True),
]


@pytest.mark.parametrize(("keyword", "key", "value", "expected"), CASES)
def test_key_against_value(keyword: str, key: Any, value: Any, expected: bool) -> None:
    stored = instance(**({} if value is None or keyword == "StudyInstanceUID" else {keyword: value}))
    found = matches("IMAGE", put(Dataset(), QueryRetrieveLevel="IMAGE", **{keyword: key}), [stored])
    assert found == ([("1", "1.1", "1.1.1")] if expected else [])


@pytest.mark.parametrize(
    ("date", "time", "apart", "combined"),
    [
        # The note of C.2.2.2.5.4: three days from 10 to 18 o'clock, or from the first at 10 to the last at 18.
        ("20060705-20060707", "1000-1800", ["1", "4"], ["1", "2", "4", "5"]),
        ("20060706-", "1000-", ["3", "4"], ["3", "4", "5"]),
        ("-20060706", "-1000", ["2"], ["1", "2"]),
        ("20060705-20060707", "-1800", ["1", "2", "4", "5"], ["1", "2", "4", "5"]),
        ("20060706-20060706", "1000", [], []),
    ],
)
def test_date_and_time_combined(date: str, time: str, apart: list[str], combined: list[str]) -> None:
    moments = ("20060705 1200", "20060706 03", "20060707 2000", "20060707 175959.5", "20060707 0000", "20060706 ")
    stored = [
        instance(study=str(place), StudyDate=moment.split(" ")[0], StudyTime=moment.split(" ")[1])
        for place, moment in enumerate(moments, start=1)
    ]
    keys = put(Dataset(), StudyDate=date, StudyTime=time)
    assert matches("STUDY", keys, stored) == [(each,) for each in apart]
    assert matches("STUDY", keys, stored, combined_datetime=True) == [(each,) for each in combined]


PATIENT = {"PatientID": "P1", "PatientName": "Doe^J", "StudyDate": "20200101"}
STORED = [
    instance("1", "1", "1", **PATIENT, Modality="MR", SOPClassUID="1.1", StudyID="A"),
    instance("1", "1", "2", **PATIENT, Modality="MR", SOPClassUID="1.1", StudyID="B"),
    instance("1", "2", "1", **PATIENT, Modality="SR", SOPClassUID="1.2"),
    instance("2", "1", "1", **PATIENT, Modality="PR", SOPClassUID="1.3"),
    instance("3", "1", "1", PatientID="P1", IssuerOfPatientID="North", Modality="MR", PatientName="Roe^K"),
    instance("4", "1", "1", PatientID="", Modality="MR", PatientName="Poe^L"),
]


@pytest.mark.parametrize(
    ("level", "keys", "expected"),
    [
        ("PATIENT", {"PatientID": "P1"}, ["P1 ", "P1 North"]),  # C.6.1.1.2, C.2.2.1.1
        ("PATIENT", {"PatientName": None}, ["P1 ", "P1 North"]),
        ("PATIENT", {"NumberOfPatientRelatedStudies": 2}, ["P1 "]),  # C.3.4
        ("STUDY", {"ModalitiesInStudy": "MR"}, ["1", "3", "4"]),  # C.3.4
        ("STUDY", {"ModalitiesInStudy": "?R"}, ["1", "2", "3", "4"]),
        ("STUDY", {"ModalitiesInStudy": ["SR", "PR"]}, ["1", "2"]),
        ("STUDY", {"SOPClassesInStudy": ["1.2", "1.3"]}, ["1", "2"]),
        ("STUDY", {"NumberOfStudyRelatedSeries": 2}, ["1"]),
        ("STUDY", {"NumberOfStudyRelatedInstances": 3}, ["1"]),
        ("STUDY", {"StudyID": "A"}, ["1"]),  # of the first instance
        ("STUDY", {"StudyID": "B"}, []),
        ("STUDY", {"Modality": "XX"}, ["1", "2", "3", "4"]),  # C.4.1.3.1.1: a key of a level below takes no part
        ("STUDY", {"PatientName": "poe*"}, ["4"]),  # C.6.2.1
        ("SERIES", {"StudyInstanceUID": "1"}, ["1 1.1", "1 1.2"]),
        ("SERIES", {"StudyInstanceUID": "1", "Modality": "SR"}, ["1 1.2"]),
        ("SERIES", {"PatientName": "doe*", "NumberOfSeriesRelatedInstances": 2}, ["1 1.1"]),
        ("SERIES", {"ModalitiesInStudy": "SR"}, ["1 1.1", "1 1.2"]),
        ("IMAGE", {"StudyInstanceUID": "1", "SeriesInstanceUID": "1.1"}, ["1 1.1 1.1.1", "1 1.1 1.1.2"]),
        ("IMAGE", {"SOPInstanceUID": ["1.1.2", "2.1.1"]}, ["1 1.1 1.1.2", "2 2.1 2.1.1"]),
    ],
)
def test_levels(level: str, keys: dict[str, Any], expected: list[str]) -> None:
    assert matches(level, put(Dataset(), **keys), STORED) == [tuple(each.split(" ")) for each in expected]


def test_all_values_of_a_key_when_negotiated() -> None:
    keys = put(Dataset(), ModalitiesInStudy=["MR", "SR"])
    assert matches("STUDY", keys, STORED, all_values=True) == [("1",)]


def written(data_set: Dataset) -> bytes:
    file = BytesIO()
    data_set.save_as(file, enforce_file_format=True)
    return file.getvalue()


def test_studies_and_queries_are_those_of_the_seed() -> None:
    one, same, another = entities(1, 12), entities(1, 12), entities(2, 12)
    assert [written(each) for each in one] == [written(each) for each in same]
    assert [written(each) for each in one] != [written(each) for each in another]
    assert [str(each) for each in queries(1, 40, one)] == [str(each) for each in queries(1, 40, same)]


def test_studies_are_read_as_they_were_made() -> None:
    made = entities(3, 60)
    assert len({each.StudyInstanceUID for each in made}) == 60
    assert {each.Modality for each in made} == {"MR", "SEG", "SR", "PR"}
    used = {str(each.SpecificCharacterSet) for each in made}
    assert used == {str(put(Dataset(), SpecificCharacterSet=each).SpecificCharacterSet) for each in _sets()}
    for each in made:
        read = dcmread(BytesIO(written(each)))
        for keyword in ("PatientName", "StudyDescription", "ReferringPhysicianName", "AccessionNumber"):
            assert str(read[keyword].value).rstrip() == str(each[keyword].value).rstrip()


def _sets() -> list[str | list[str]]:
    return [each for script in SCRIPTS for each in script.character_sets]


def test_most_queries_match_something_and_are_read_as_they_were_made() -> None:
    stored = entities(4, 60)
    found = 0
    for level, identifier in queries(4, 150, stored):
        file = BytesIO()
        identifier.save_as(file, implicit_vr=True, little_endian=True)
        read = dcmread(file, force=True)
        answer = matches(level, identifier, stored)
        assert matches(level, read, stored) == answer
        found += bool(answer)
        assert information_model(level, identifier).startswith("1.2.840.10008.5.1.4.1.2.")
    assert found > 105
