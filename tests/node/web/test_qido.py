"""QIDO-RS on a real socket: what searches find, and what malformed ones are told (PS3.18 10.6)."""

from __future__ import annotations

import pytest
from pydicom import Dataset

from storage.audit import Audit, AuditAction

from .conftest import an_image

UID, NAME, WARNING = "0020000D", "00100010", "Warning"


def uids(web, path, tag=UID, **parameters):
    answer = web.get(path, params=parameters)
    assert answer.status_code in (200, 204), answer.text
    return sorted(each[tag]["Value"][0] for each in (answer.json() if answer.content else []))


def refusal(web, query):
    answer = web.get(f"/studies?{query}")
    assert answer.status_code == 400
    return answer.text


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({"PatientName": "*muller*"}, ["1.2.4"]),
        ({"00100010": "王*"}, ["1.2.5"]),
        ({"PatientName": "Иванов*"}, ["1.2.6"]),
        ({"StudyDescription": "100%_*"}, ["1.2.4"]),
        ({"StudyDate": "20260102-20260131"}, ["1.2.3", "1.2.4", "1.2.6"]),
        ({"StudyDate": "20260201-"}, ["1.2.5"]),
        ({"StudyInstanceUID": "1.2.3,1.2.4"}, ["1.2.3", "1.2.4"]),
        ({"0020000D": "1.2.5\\1.2.6"}, ["1.2.5", "1.2.6"]),
        ({"ModalitiesInStudy": "DX"}, ["1.2.3"]),
        ({"PatientID": ""}, ["1.2.3", "1.2.4", "1.2.5", "1.2.6"]),
        ({"PatientID": "p2"}, []),
        ({"StudyDate": "20260102-20260103", "StudyTime": "1600-0800"}, ["1.2.6"]),
    ],
)
def test_studies_are_found_by_wild_cards_ranges_and_lists(web, parameters, found):
    """The last one: ranges of a date and its time are one range (PS3.4 C.2.2.2.5.4), from the 2nd at 16:00."""
    assert uids(web, "/studies", **parameters) == found


def test_all_paths_of_the_standard_are_searched(web):
    assert len(uids(web, "/studies")) == 4
    assert uids(web, "/series", "0020000E", Modality="DX") == ["1.2.3.2"]
    assert len(uids(web, "/instances", "00080018")) == 6
    assert uids(web, "/studies/1.2.3/series", "0020000E") == ["1.2.3.1", "1.2.3.2"]
    assert uids(web, "/studies/1.2.3/instances", "00080018") == ["1.2.3.1.1", "1.2.3.1.2", "1.2.3.2.1"]
    assert uids(web, "/studies/1.2.3/series/1.2.3.1/instances", "00080018", InstanceNumber="2") == ["1.2.3.1.2"]


def test_an_answer_has_what_the_standard_wants_and_no_more(web):
    (study,) = web.get("/studies?StudyInstanceUID=1.2.4").json()
    assert set(study) == {
        *("00080005", "00080020", "00080030", "00080050", "00080056", "00080061", "00080090", "00081190", "00100010"),
        *("00100020", "00100030", "00100040", "0020000D", "00200010", "00201206", "00201208"),
    }
    assert study[NAME] == {"vr": "PN", "Value": [{"Alphabetic": "Müller^Änne"}]}
    assert study["00081190"]["Value"] == [f"{web.url}/studies/1.2.4"]
    assert study["00201208"]["Value"] == [1]


def test_what_the_path_does_not_say_is_in_the_answer(web):
    (series,) = web.get("/series?Modality=DX").json()
    assert series[UID]["Value"] == ["1.2.3"]
    assert NAME in series
    (series,) = web.get("/studies/1.2.3/series?Modality=DX").json()
    assert series[UID]["Value"] == ["1.2.3"]
    assert NAME not in series


@pytest.mark.parametrize("field", ["StudyDescription", "00081030", "00080060,00081030", "all"])
def test_more_attributes_are_included_by_keyword_tag_or_all(web, field):
    (study,) = web.get(f"/studies?StudyInstanceUID=1.2.4&includefield={field}").json()
    assert study["00081030"]["Value"] == ["100%_sure"]


def test_answers_come_in_pages(web):
    first = web.get("/studies?limit=3").json()
    second = web.get("/studies?limit=3&offset=3").json()
    assert sorted(each[UID]["Value"][0] for each in first + second) == ["1.2.3", "1.2.4", "1.2.5", "1.2.6"]
    assert (len(first), len(second)) == (3, 1)


def test_the_ceiling_is_said(start):
    web = start(most_matches=2)
    web.receive(*(an_image(1, 1, f"1.2.{number}") for number in range(3)))
    answer = web.get("/studies")
    assert len(answer.json()) == 2
    assert "exceeded the maximum supported by the server" in answer.headers[WARNING]
    assert WARNING not in web.get("/studies?limit=2").headers
    assert WARNING not in web.get("/studies?offset=1").headers


def test_fuzzy_matching_is_answered_literally_with_a_warning(web):
    answer = web.get("/studies?fuzzymatching=true&PatientName=Muller*")
    assert len(answer.json()) == 1
    assert answer.headers[WARNING].startswith("299 ")
    assert "fuzzymatching parameter is not supported" in answer.headers[WARNING]
    assert WARNING not in web.get("/studies?fuzzymatching=false").headers


def test_an_attribute_that_cannot_be_matched_is_named(web):
    answer = web.get("/studies?EchoTime=100")
    assert len(answer.json()) == 4
    assert "EchoTime is not supported" in answer.headers[WARNING]


def test_nothing_found_is_no_content(web):
    answer = web.get("/studies?PatientID=NOBODY")
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("StudyDate=yesterday", "StudyDate is no date"),
        ("StudyTime=25:61:99:1", "StudyTime is no time"),
        ("NumberOfStudyRelatedSeries=two", "NumberOfStudyRelatedSeries is no number"),
        ("StudyInstanceUID=1.2.x", "StudyInstanceUID is not a UID"),
        ("limit=-1", "limit is a number"),
        ("limit=many", "limit is a number"),
        ("fuzzymatching=perhaps", "fuzzymatching is true or false"),
        ("PatientsName=x", "no attribute is called PatientsName"),
        ("includefield=nothing", "no attribute is called nothing"),
        ("PatientID=1&PatientID=2", "PatientID is given twice"),
        ("PatientID=1&00100020=2", "00100020 is given twice"),
    ],
)
def test_a_malformed_query_is_refused_with_its_reason(web, query, reason):
    assert reason in refusal(web, query)


def test_a_uid_of_the_path_is_given_once(web):
    assert web.get("/studies/1.2.3/series?StudyInstanceUID=1.2.4").status_code == 400
    assert web.get("/studies/1.2.x/series").status_code == 400


def test_items_of_sequences_are_matched(start):
    web = start()
    item = Dataset()
    item.RequestedProcedureID, item.ScheduledProcedureStepID = "RP1", "SPS1"
    web.receive(an_image(1, 1, "1.2.7", RequestAttributesSequence=[item]), an_image(1, 1, "1.2.8"))
    assert uids(web, "/series", **{"RequestAttributesSequence.RequestedProcedureID": "RP1"}) == ["1.2.7"]
    assert uids(web, "/series", **{"00400275.00400009": "SPS2"}) == []


@pytest.mark.parametrize(
    ("accept", "status", "media_type"),
    [
        ("", 200, "application/dicom+json"),
        ("application/dicom+json", 200, "application/dicom+json"),
        ("application/json", 200, "application/json"),
        ("*/*", 200, "application/dicom+json"),
        ('multipart/related; type="application/dicom+xml"', 406, "text/plain; charset=utf-8"),
        ('multipart/related; type="application/dicom+xml", application/json;q=0.5', 200, "application/json"),
    ],
)
def test_answers_are_json_or_refused(web, accept, status, media_type):
    answer = web.get("/studies", accept)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, media_type)


def test_names_come_back_as_they_were_sent_in_every_script(web):
    answer = web.get("/studies")
    names = {each[UID]["Value"][0]: each[NAME]["Value"][0] for each in answer.json()}
    assert names["1.2.5"] == {"Alphabetic": "Wang^XiaoDong", "Ideographic": "王^小东"}
    assert names["1.2.6"] == {"Alphabetic": "Иванов^Пётр"}
    assert all(each["00080005"]["Value"] == ["ISO_IR 192"] for each in answer.json())


def test_a_search_that_is_not_answered_is_on_record(start):
    web = start()
    web.get("/studies?PatientID=P1&limit=all")
    web.get("/studies/1.2.x/series?PatientID=P2")
    with web.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE catalogue_study RENAME TO away")
    assert web.get("/studies?PatientID=P3").status_code == 503
    with web.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO catalogue_study")
    web.server.stop()
    found = [it for _, it in Audit(web.engine).after(0, 10)]
    assert [(it.action, it.succeeded, it.patient_id, it.detail[:24]) for it in found] == [
        (AuditAction.QUERIED, False, "P1", "limit is a number from 0"),
        (AuditAction.QUERIED, False, "P2", "StudyInstanceUID is not "),
        (AuditAction.QUERIED, False, "P3", "not answered: Operationa"),
    ]
