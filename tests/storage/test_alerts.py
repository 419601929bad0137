"""Conditions that an operator has to see: opened once, counted, acknowledged, ended; on both databases."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

import pytest

from storage.alerts import SAME_WITHIN, AlertCount, Alerts
from storage.database import open_engine
from storage.errors import StorageError

CODE, OTHER = "E-ONE", "E-OTHER"


@pytest.fixture
def clock(at):
    """A clock that a test sets."""

    class Clock:
        seconds = 0.0

        def __call__(self):
            return at(self.seconds)

    return Clock()


@pytest.fixture
def alerts(engine, clock) -> Alerts:
    return Alerts(engine, clock)


def test_what_is_raised_is_open_with_since_when_and_what(alerts, at):
    alerts.raise_(CODE, "1.2.3", "the destination PACS refused 4 objects")
    (alert,) = alerts.open()
    assert (alert.code, alert.subject, alert.text) == (CODE, "1.2.3", "the destination PACS refused 4 objects")
    assert (alert.since, alert.last, alert.times) == (at(0), at(0), 1)
    assert (alert.acknowledged_by, alert.acknowledged_at, alert.cleared_at) == ("", None, None)


def test_the_same_again_is_counted_and_keeps_what_was_seen_last(alerts, clock, at):
    alerts.raise_(CODE, "1.2.3", "refused 4")
    clock.seconds = 60
    alerts.raise_(CODE, "1.2.3", "refused 5")
    (alert,) = alerts.open()
    assert (alert.text, alert.since, alert.last, alert.times) == ("refused 5", at(0), at(60), 2)


def test_another_code_or_subject_is_another_alert_and_the_newest_stands_first(alerts):
    for code, subject in ((CODE, "a"), (CODE, "b"), (OTHER, "a")):
        alerts.raise_(code, subject, "seen")
    assert [(it.code, it.subject) for it in alerts.open()] == [(OTHER, "a"), (CODE, "b"), (CODE, "a")]


def test_what_has_ended_is_not_open_and_still_known(alerts, clock, at):
    alerts.raise_(CODE, "a", "seen")
    alerts.raise_(CODE, "b", "seen")
    clock.seconds = 5
    alerts.clear(CODE, "a")
    assert [it.subject for it in alerts.open()] == ["b"]
    assert {it.subject: it.cleared_at for it in alerts.all()} == {"a": at(5), "b": None}
    clock.seconds = 9
    alerts.clear(CODE, "a")
    assert {it.subject: it.cleared_at for it in alerts.all()} == {"a": at(5), "b": None}


def test_what_comes_back_soon_is_the_same_and_unseen(alerts, clock, at):
    alerts.raise_(CODE, "a", "seen")
    alerts.acknowledge(alerts.open()[0].number, "anna")
    alerts.clear(CODE, "a")
    clock.seconds = SAME_WITHIN.total_seconds()
    alerts.raise_(CODE, "a", "again")
    (alert,) = alerts.all()
    assert (alert.times, alert.since, alert.last, alert.cleared_at) == (2, at(0), at(clock.seconds), None)
    assert (alert.acknowledged_by, alert.acknowledged_at) == ("", None)


@pytest.mark.parametrize("days", [2, -2])
def test_what_comes_back_days_after_its_end_is_a_new_one_wherever_the_clock_has_gone(alerts, clock, days):
    alerts.raise_(CODE, "a", "seen")
    alerts.clear(CODE, "a")
    clock.seconds = timedelta(days=days).total_seconds()
    alerts.raise_(CODE, "a", "again")
    assert [(it.times, it.cleared_at is None) for it in alerts.all()] == [(1, True), (1, False)]


def test_it_is_known_who_has_seen_it_first(alerts, clock, at):
    alerts.raise_(CODE, "a", "seen")
    number = alerts.open()[0].number
    clock.seconds = 3
    assert alerts.acknowledge(number, "anna").acknowledged_by == "anna"
    clock.seconds = 4
    again = alerts.acknowledge(number, "bert")
    assert (again.acknowledged_by, again.acknowledged_at) == ("anna", at(3))
    assert alerts.open() == (again,)


def test_only_what_is_there_can_be_acknowledged(alerts):
    with pytest.raises(StorageError, match="no alert 7"):
        alerts.acknowledge(7, "anna")


def test_each_code_tells_how_many_are_open_unseen_and_how_often_it_was_raised(alerts):
    for subject in ("a", "b", "b", "c"):
        alerts.raise_(CODE, subject, "seen")
    alerts.raise_(OTHER, "", "seen")
    alerts.clear(CODE, "c")
    alerts.acknowledge(next(it.number for it in alerts.open() if it.subject == "a"), "anna")
    alerts.clear(OTHER, "")
    assert alerts.counts() == {CODE: AlertCount(2, 1, 4), OTHER: AlertCount(0, 0, 1)}


def test_many_that_raise_the_same_at_once_open_one_and_count_all(alerts):
    start = threading.Barrier(8)

    def raise_some() -> None:
        start.wait()
        for _ in range(5):
            alerts.raise_(CODE, "a", "seen")

    threads = [threading.Thread(target=raise_some) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(it.times, it.subject) for it in alerts.all()] == [(40, "a")]


def test_a_long_subject_and_a_long_text_are_cut(alerts):
    subject, text = "/root" + "x" * 300, "y" * 5000
    alerts.raise_(CODE, subject, text)
    (alert,) = alerts.open()
    assert (alert.subject, alert.text) == (subject[-255:], text[:2000])
    alerts.clear(CODE, subject)
    assert alerts.open() == ()


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_database_that_cannot_be_written_is_told_in_the_log_and_stops_nothing(url, caplog):
    engine = open_engine(url)
    with engine.connect() as connection:
        connection.exec_driver_sql("DROP TABLE alert")
        connection.commit()
    with caplog.at_level(logging.ERROR):
        Alerts(engine).raise_(CODE, "a", "the disk is full")
        Alerts(engine).clear(CODE, "a")
    assert [it.message for it in caplog.records] == [
        f"alert {CODE} of a cannot be kept (OperationalError): the disk is full",
        f"the end of alert {CODE} of a cannot be kept: OperationalError",
    ]
    engine.dispose()
