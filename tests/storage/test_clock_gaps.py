"""What was received before the clock went on is taken for younger by that much, and by little more if it often did."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Column, MetaData, Table, insert, select

from storage.clock_gaps import LEAST, Gap, gaps, is_before, see
from storage.schema import UTCDateTime

DAY = timedelta(days=1)
received = Table("moments", MetaData(), Column("at", UTCDateTime), prefixes=["TEMPORARY"])


@pytest.fixture
def connection(engine):
    with engine.connect() as connection, connection.begin():
        received.create(connection)
        yield connection


def test_a_clock_that_goes_on_with_time_or_back_leaves_no_gap(engine, at):
    for minutes in (0, 1, 30, -100, -99, -50):
        see(engine, at(60 * minutes))
    with engine.connect() as connection:
        assert gaps(connection, at(0)) == ()


def test_it_is_seen_before_it_is_written_down(engine, at):
    see(engine, at(0))
    with engine.connect() as connection:
        assert gaps(connection, at(3 * 3600)) == (Gap(at(0) + LEAST, timedelta(hours=3)),)
    see(engine, at(3 * 3600))
    with engine.connect() as connection:
        assert gaps(connection, at(3 * 3600 + 60)) == (Gap(at(0) + LEAST, timedelta(hours=3)),)


def test_so_much_is_taken_off_the_age_of_what_came_before(connection, at):
    now, known = at(0) + 100 * DAY, (Gap(at(0) + 80 * DAY, 10 * DAY), Gap(at(0) + 40 * DAY, 5 * DAY))
    came = [at(0) + day * DAY for day in (90, 81, 79, 61, 60, 41, 39, 30, 10)]
    connection.execute(insert(received), [{"at": moment} for moment in came])
    ages = {}
    for days in (0, 15, 25, 35, 60):
        found = connection.scalars(select(received.c.at).where(is_before(received.c.at, now - days * DAY, known)))
        ages[days] = {(now - moment).days for moment in found}
    # Ages by the clock: 10 and 19 days behind both gaps, up to 59 between them, from 61 on before both.
    assert ages == {
        0: {10, 19, 21, 39, 40, 59, 61, 70, 90},
        15: {19, 39, 40, 59, 61, 70, 90},
        25: {39, 40, 59, 61, 70, 90},
        35: {59, 61, 70, 90},
        60: {90},
    }


def test_a_clock_that_was_ahead_by_centuries_hides_what_came_before(connection, at):
    connection.execute(insert(received), [{"at": at(0)}])
    before = is_before(received.c.at, at(0) + 50 * DAY, (Gap(at(0) + DAY, 800_000 * DAY),))
    assert connection.scalars(select(received.c.at).where(before)).all() == []


def test_a_machine_that_is_off_every_night_keeps_a_bounded_number_of_gaps_and_takes_off_little_more(engine, at):
    for day in range(300):
        see(engine, at(0) + day * DAY)
        see(engine, at(0) + day * DAY + DAY / 2)
    with engine.connect() as connection:
        known = gaps(connection, at(0) + 299 * DAY + DAY / 2)
    assert len(known) <= 200
    assert sum((gap.by for gap in known), timedelta()) == 599 * DAY / 2
    for day in range(0, 300, 7):
        taken = sum((gap.by for gap in known if gap.until >= at(0) + day * DAY), timedelta())
        assert timedelta() <= taken - (599 - 2 * day) * DAY / 2 <= 4 * DAY
