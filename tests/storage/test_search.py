"""Studies are found by what a person knows of them, on both databases; the list of all goes by an index."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from storage.catalogue.filling import catch_up
from storage.database import open_engine
from storage.records import StudyState
from storage.search import Identification, StudySearch, identifications, matching_studies, page_of

from .house import House, a_file


@pytest.fixture
def house(url, tmp_path):
    """Three studies that came one after the other."""
    engine, moments = open_engine(url), iter(range(9))
    house = House(engine, tmp_path, lambda _: datetime(2026, 1, 2, tzinfo=UTC) + timedelta(minutes=next(moments)))
    house.receive(a_file(1, 1, "1.2.3", Manufacturer="SIEMENS", ManufacturerModelName="Skyra", StationName="MR1"))
    house.receive(a_file(1, 1, "1.2.4", PatientName="Müller^Änne", PatientID="P_2", StudyDate="20260203"))
    house.receive(a_file(1, 1, "1.2.5", PatientName="Wang^XiaoDong=王^小东", PatientID="P3", AccessionNumber="100%"))
    house.index.move("1.2.5", 1, StudyState.FAILED, "the disk was full")
    catch_up(engine, house.files)
    yield house
    engine.dispose()


def found(house, **said):
    with house.engine.connect() as connection:
        records = page_of(connection, StudySearch(**said))
        assert matching_studies(connection, StudySearch(**said)) == len(records)
    return [record.study_instance_uid for record in records]


def test_without_a_wish_all_are_found_the_latest_first(house):
    assert found(house) == ["1.2.5", "1.2.4", "1.2.3"]


@pytest.mark.parametrize(
    ("said", "studies"),
    [
        ({"patient": "muller anne"}, ["1.2.4"]),
        ({"patient": "小东"}, ["1.2.5"]),
        ({"patient": "p_"}, ["1.2.4"]),
        ({"accession": "0%"}, ["1.2.5"]),
        ({"scanner": "mr1"}, ["1.2.3"]),
        ({"date_from": "20260103"}, ["1.2.4"]),
        ({"date_to": "20260102", "patient": "wang"}, ["1.2.5"]),
        ({"states": frozenset({StudyState.FAILED})}, ["1.2.5"]),
        ({"states": frozenset({StudyState.RECEIVING}), "patient": "wang"}, []),
    ],
)
def test_what_is_said_has_to_fit_and_signs_of_patterns_mean_themselves(house, said, studies):
    assert found(house, **said) == studies


def test_a_page_begins_where_the_one_before_ended(house):
    with house.engine.connect() as connection:
        pages = [page_of(connection, StudySearch(limit=2, offset=offset)) for offset in (0, 2)]
    assert [[it.study_instance_uid for it in page] for page in pages] == [["1.2.5", "1.2.4"], ["1.2.3"]]


def test_studies_are_told_by_what_their_headers_say(house):
    house.receive(a_file(1, 1, "1.2.6"))  # not in the catalogue yet
    with house.engine.connect() as connection:
        known = identifications(connection, ["1.2.3", "1.2.5", "1.2.6"])
    assert known["1.2.3"] == Identification(
        *("Muster^Erika", "P1", "19600229", "F", "A1", "20260102", "Becken MRT", "SIEMENS Skyra")
    )
    assert known["1.2.5"].patient_name == "Wang^XiaoDong 王^小东"
    assert "1.2.6" not in known


def test_the_list_of_all_studies_sorts_nothing(house):
    if house.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL sorts three rows whatever indexes there are")
    query = "SELECT * FROM study ORDER BY last_received_at DESC, study_instance_uid DESC LIMIT 50 OFFSET 0"
    with house.engine.connect() as connection:
        plan = " ".join(row.detail for row in connection.execute(text(f"EXPLAIN QUERY PLAN {query}")))
    assert "study_by_arrival" in plan
    assert "TEMP B-TREE" not in plan
