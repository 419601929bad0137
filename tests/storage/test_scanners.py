"""Studies that have ended are counted by scanner, once, and stay counted when they are removed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from storage.catalogue.filling import catch_up
from storage.database import writing
from storage.records import StudyState
from storage.removal import Order, begin
from storage.removal_records import Scope
from storage.scanners import ScannedStudy, Scanner, ScannerCount, Scanners, counts

from .house import House, a_file

SKYRA = Scanner("SIEMENS", "Skyra", "41")


@pytest.fixture
def house(engine, tmp_path, at):
    """With a study that has failed."""
    found = House(engine, tmp_path, at)
    found.receive(a_file(1, 1, "1.2.3", Manufacturer="SIEMENS", ManufacturerModelName="Skyra"))
    catch_up(engine, found.files)
    found.index.move("1.2.3", 1, StudyState.FAILED, "why")
    return found


def counted(house):
    with house.engine.connect() as connection:
        return counts(connection)


def test_what_has_ended_is_to_be_counted_with_its_scanner_and_a_file_of_it(house, at):
    house.receive(a_file(1, 1, "1.2.4"))
    catch_up(house.engine, house.files)
    (found,) = Scanners(house.engine).uncounted(10)
    assert (found.study_instance_uid, found.revision, found.state) == ("1.2.3", 1, StudyState.FAILED)
    assert found.scanner == Scanner("SIEMENS", "Skyra")
    assert found.last_received_at == at(0)
    assert (house.files.root / found.path).is_file()


def test_a_study_is_counted_once_and_anew_when_it_has_ended_again(house):
    scanners = Scanners(house.engine)
    one = ScannedStudy("1.2.3", 1, "2025-12-29", SKYRA, StudyState.FAILED, False, None)
    scanners.count(one)
    assert scanners.uncounted(10) == ()
    scanners.count(replace(one, revision=2, state=StudyState.COMPLETED, outside=True, finding=False))
    assert counted(house) == (ScannerCount(SKYRA, "2025-12-29", StudyState.COMPLETED, True, False, 1),)


def test_a_study_that_is_removed_stays_counted_and_nameless(house, at):
    Scanners(house.engine).count(ScannedStudy("1.2.3", 1, "2025-12-29", SKYRA, StudyState.FAILED, False, None))
    with writing(house.engine).begin() as connection:
        begin(connection, "1.2.3", Scope.STUDY, Order("a test"), at(0))
    assert [it.studies for it in counted(house)] == [1]
    with house.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT study_instance_uid FROM scanned_study").scalar() is None
