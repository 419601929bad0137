"""What readers say stays as long as the study does."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from storage.database import open_engine, writing
from storage.readings import ReaderOutline, ReaderVerdict, Reading, Readings
from storage.removal import Order, begin
from storage.removal_records import Scope

from .house import House, a_file

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SAID = Reading("1.2.3", 1, ReaderVerdict.REJECTED, "the contour takes in the bladder", "eva", NOW)
DRAWN = replace(
    SAID,
    verdict=ReaderVerdict.OUTLINED,
    outline=ReaderOutline("1.2.3.9", "1.2.3.9.1", "ab" * 32, "1.2.3.1", 12.5, "1.2.3.8.1", 13.5, 0.9),
)


@pytest.fixture
def house(url, tmp_path):
    engine = open_engine(url)
    house = House(engine, tmp_path, lambda _: NOW)
    house.receive(a_file(1))
    yield house
    engine.dispose()


def test_what_was_said_is_added_to_and_comes_back_the_latest_first(house):
    readings = Readings(house.engine)
    later = Reading("1.2.3", 1, ReaderVerdict.COMMENT, "on second thoughts", "eva", NOW)
    for each in (SAID, DRAWN, later):
        readings.add(each)
    assert readings.of_study("1.2.3") == (later, DRAWN, SAID)
    assert readings.of_study("1.2.4") == ()


def test_with_a_study_goes_what_was_said_of_it(house):
    Readings(house.engine).add(DRAWN)
    with writing(house.engine).begin() as connection:
        begin(connection, "1.2.3", Scope.STUDY, Order("a test"), NOW)
    assert Readings(house.engine).of_study("1.2.3") == ()
