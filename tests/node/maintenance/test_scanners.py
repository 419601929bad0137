"""Studies that have ended are counted by scanner from their records and the header of an image."""

from __future__ import annotations

import json

import pytest

from node.maintenance.scanners import ScannerCounting
from storage.catalogue.filling import catch_up
from storage.records import StudyState
from storage.scanners import Scanner, ScannerCount, counts

from ...storage.house import House, a_file

SKYRA = {"Manufacturer": "SIEMENS", "ManufacturerModelName": "Skyra", "DeviceSerialNumber": "41"}
OUTSIDE = "T2WI: repetition time 9000 ms, trained on 1600 to 6000 ms"


@pytest.fixture
def house(engine, tmp_path, clock):
    return House(engine, tmp_path, lambda _seconds: clock())


def ended(house, study, state, record, **values):
    house.receive(a_file(1, 1, study, **(SKYRA | values)))
    house.index.move(study, 1, StudyState.QUEUED)
    house.index.keep_verdict(study, 1, json.dumps(record))
    house.index.move(study, 1, state, "")


def test_a_study_with_a_broken_record_or_image_is_counted_without_what_it_does_not_say(house):
    for study in ("1.2.3", "1.2.4", "1.2.5"):
        ended(house, study, StudyState.COMPLETED, {"refusals": [{}]} if study == "1.2.3" else {})
    catch_up(house.engine, house.files)
    (broken,) = house.index.instances("1.2.4")
    path = house.files.absolute(broken.file)
    path.write_bytes(path.read_bytes()[:300])
    ScannerCounting(house.files, house.engine).look()
    with house.engine.connect() as connection:
        found = {it.scanner.serial: it.studies for it in counts(connection)}
    assert found == {"41": 2, "": 1}


def test_outside_and_findings_are_what_the_record_says(house):
    finding = {"locations": [{"sequences": ["T2WI"], "established": True, "reason": ""}]}
    ended(house, "1.2.3", StudyState.COMPLETED, finding | {"warnings": [OUTSIDE]})
    ended(house, "1.2.4", StudyState.COMPLETED, {"warnings": ["something else"]})
    ended(house, "1.2.5", StudyState.REFUSED, {"refusals": [{"role": "STUDY", "code": "E-PROTOCOL", "reason": ""}]})
    ended(house, "1.2.6", StudyState.FAILED, {}, DeviceSerialNumber="42")
    catch_up(house.engine, house.files)
    ScannerCounting(house.files, house.engine).look()
    with house.engine.connect() as connection:
        found = counts(connection)
    (week,) = {it.week for it in found}
    one, two = Scanner("SIEMENS", "Skyra", "41"), Scanner("SIEMENS", "Skyra", "42")
    assert set(found) == {
        ScannerCount(one, week, StudyState.COMPLETED, True, True, 1),
        ScannerCount(one, week, StudyState.COMPLETED, False, False, 1),
        ScannerCount(one, week, StudyState.REFUSED, True, None, 1),
        ScannerCount(two, week, StudyState.FAILED, False, None, 1),
    }
