"""Which objects a retrieval means, on both databases."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage import delivery_rows
from storage.catalogue.filling import catch_up
from storage.catalogue.retrieval import TooManyObjectsError, UniqueKeys, objects
from storage.header import read_header
from storage.records import ResultRecord, Revocation

from ..house import House, a_file


@pytest.fixture
def house(engine, tmp_path: Path, at) -> House:
    """Two studies of one patient, one of another."""
    made = House(engine, tmp_path / "root", at)
    for number, series, study in ((1, 1, "1.2.3"), (2, 1, "1.2.3"), (1, 2, "1.2.3"), (1, 1, "1.2.4")):
        made.receive(a_file(number, series, study))
    made.receive(a_file(1, 1, "1.2.5", PatientID="p1"))
    catch_up(made.engine, made.files)
    return made


@pytest.fixture
def found(house: House):
    def ask(limit: int = 100, **keys) -> list[str]:
        with house.engine.connect() as connection:
            return [header.sop_instance_uid for header, _ in objects(connection, UniqueKeys(**keys), limit)]

    return ask


def test_every_level_has_the_objects_below_it(found):
    assert found(patient_id="P1") == ["1.2.3.1.1", "1.2.3.1.2", "1.2.3.2.1", "1.2.4.1.1"]
    assert found(study_instance_uids=("1.2.3",)) == ["1.2.3.1.1", "1.2.3.1.2", "1.2.3.2.1"]
    assert found(study_instance_uids=("1.2.3",), series_instance_uids=("1.2.3.2",)) == ["1.2.3.2.1"]
    assert found(sop_instance_uids=("1.2.3.1.2", "1.2.4.1.1")) == ["1.2.3.1.2", "1.2.4.1.1"]


def test_all_keys_must_fit(found):
    assert found(patient_id="p1", study_instance_uids=("1.2.3",)) == []
    assert found(patient_id="P1", study_instance_uids=("1.2.3", "1.2.5"), series_instance_uids=("1.2.3.2",)) == [
        "1.2.3.2.1"
    ]


def test_a_list_may_be_longer_than_a_statement(found):
    unknown = tuple(f"9.{number}" for number in range(40_000))
    assert found(sop_instance_uids=(*unknown, "1.2.3.2.1", "1.2.4.1.1")) == ["1.2.3.2.1", "1.2.4.1.1"]


def test_more_than_asked_for_at_most_is_said(found):
    assert len(found(limit=4, patient_id="P1")) == 4
    with pytest.raises(TooManyObjectsError, match="more than 3 objects"):
        found(limit=3, patient_id="P1")


def test_what_has_just_come_is_found_by_its_uids(house, found):
    house.receive(a_file(9, 1, "1.2.3"))
    assert "1.2.3.1.9" in found(study_instance_uids=("1.2.3",))


def test_of_an_object_the_latest_revision_is_meant(house):
    house.receive(a_file(1, 2, "1.2.3", SeriesDescription="corrected"))
    with house.engine.connect() as connection:
        ((_, file),) = objects(connection, UniqueKeys(series_instance_uids=("1.2.3.2",)), 10)
    assert b"corrected" in house.files.absolute(file).read_bytes()


@pytest.mark.parametrize("destinations", [["PACS"], []])
def test_results_are_found_unless_they_were_taken_back(house, found, at, destinations):
    """Whether they were to be sent or not."""
    data = a_file(1, 8, "1.2.3")
    header = read_header(data)
    uids = (header.sop_class_uid, header.sop_instance_uid, header.series_instance_uid)
    result = ResultRecord("1.2.3", 1, "report", *uids, house.files.store(data, header))
    house.ledger.record([result], destinations, at(0))
    for named, expected in ((), ["1.2.3.8.1"]), ((header.sop_instance_uid,), []), ((), ["1.2.3.8.1"]):
        with house.engine.begin() as connection:
            delivery_rows.revoke(connection, "1.2.3", Revocation(frozenset(named), "another patient"))
        assert found(series_instance_uids=("1.2.3.8",)) == expected
