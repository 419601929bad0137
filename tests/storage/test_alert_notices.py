"""What is told of alerts, and of their ends: at most once in a time, whatever storms; on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest

from storage.alert_notices import Notices
from storage.alerts import Alerts

CODE, REPEAT, SETTLED = "E-ONE", timedelta(seconds=100), timedelta(seconds=10)


class Channel:
    """Tells what is due, and notes it."""

    def __init__(self, engine, at, name: str = "webhook") -> None:
        self.notices, self.at = Notices(engine, name), at

    def tell(self, seconds: float) -> list[tuple[str, int]]:
        due = self.notices.due(self.at(seconds), REPEAT)
        self.notices.told(due, self.at(seconds))
        return [(it.alert.subject, it.alert.times) for it in due]

    def tell_ends(self, seconds: float) -> list[tuple[str, int]]:
        ended = self.notices.ended(self.at(seconds), SETTLED)
        self.notices.end_told(ended)
        return [(it.alert.subject, it.alert.times) for it in ended]


@pytest.fixture
def alerts(engine, at) -> Alerts:
    return Alerts(engine, lambda: at(0))


@pytest.fixture
def channel(engine, at) -> Channel:
    return Channel(engine, at)


def test_what_is_new_is_told_once_the_newest_first(alerts, channel):
    for subject in "abb":
        alerts.raise_(CODE, subject, "seen")
    assert channel.tell(1) == [("b", 2), ("a", 1)]
    assert channel.tell(2) == []


def test_what_was_not_noted_as_told_stays_due(alerts, channel, at):
    alerts.raise_(CODE, "a", "seen")
    assert channel.notices.due(at(1), REPEAT) == channel.notices.due(at(1), REPEAT) != ()


def test_what_comes_again_is_told_again_when_its_time_has_passed(alerts, channel):
    alerts.raise_(CODE, "a", "seen")
    assert channel.tell(1) == [("a", 1)]
    for _ in range(50):
        alerts.raise_(CODE, "a", "seen")
    assert channel.tell(100.9) == []
    assert channel.tell(101) == [("a", 51)]


def test_what_does_not_come_again_is_not_told_again(alerts, channel):
    alerts.raise_(CODE, "a", "seen")
    assert channel.tell(1) == [("a", 1)]
    assert channel.tell(1000) == []


def test_a_condition_that_comes_and_goes_is_told_as_rarely_as_one_that_stays(alerts, channel):
    told = []
    for second in range(200):
        alerts.raise_(CODE, "a", "seen")
        told += channel.tell(second)
        alerts.clear(CODE, "a")
        told += channel.tell(second)
    assert told == [("a", 1), ("a", 101)]


def test_one_that_is_a_new_alert_after_days_is_told(engine, channel, at):
    Alerts(engine, lambda: at(0)).raise_(CODE, "a", "seen")
    assert channel.tell(0) == [("a", 1)]
    Alerts(engine, lambda: at(1)).clear(CODE, "a")
    Alerts(engine, lambda: at(200_000)).raise_(CODE, "a", "seen")
    assert channel.tell(200_000) == [("a", 1)]


def test_what_is_acknowledged_or_over_is_not_told(alerts, channel):
    alerts.raise_(CODE, "a", "seen")
    alerts.raise_(CODE, "b", "seen")
    alerts.acknowledge(next(it.number for it in alerts.open() if it.subject == "a"), "anna")
    alerts.clear(CODE, "b")
    assert channel.tell(1) == []
    alerts.raise_(CODE, "a", "seen")
    assert channel.tell(1000) == []


def test_each_channel_tells_for_itself(alerts, channel, engine, at):
    alerts.raise_(CODE, "a", "seen")
    assert channel.tell(1) == [("a", 1)]
    assert Channel(engine, at, "mail").tell(1) == [("a", 1)]


def test_a_clock_that_was_a_day_ahead_delays_nothing(alerts, channel):
    alerts.raise_(CODE, "a", "seen")
    assert channel.tell(86_400) == [("a", 1)]
    alerts.raise_(CODE, "a", "seen")
    assert channel.tell(0) == [("a", 2)]


def test_a_storm_of_many_subjects_is_noted_whole(alerts, channel, engine, at):
    for number in range(250):
        alerts.raise_(CODE, str(number), "seen")
    assert len(channel.tell(1)) == 250
    assert channel.tell(2) == []


# --- ends


def test_the_end_of_what_was_told_is_told_once_when_it_has_lasted(alerts, channel):
    for _ in range(3):
        alerts.raise_(CODE, "a", "seen")
    assert (channel.tell(0), channel.tell_ends(0)) == ([("a", 3)], [])
    alerts.clear(CODE, "a")
    assert [channel.tell_ends(second) for second in (9.9, 10, 11)] == [[], [("a", 3)], []]


def test_of_what_was_never_told_no_end_is_told(alerts, channel, engine, at):
    alerts.raise_(CODE, "a", "seen")
    alerts.clear(CODE, "a")
    assert channel.tell_ends(50) == []
    alerts.raise_(CODE, "b", "seen")
    assert channel.tell(0) == [("b", 1)]
    alerts.clear(CODE, "b")
    assert Channel(engine, at, "mail").tell_ends(50) == []


def test_the_end_of_what_somebody_has_acknowledged_is_told(alerts, channel):
    alerts.raise_(CODE, "a", "seen")
    assert channel.tell(0) == [("a", 1)]
    alerts.acknowledge(alerts.open()[0].number, "anna")
    alerts.clear(CODE, "a")
    assert channel.tell_ends(10) == [("a", 1)]


def test_what_goes_and_comes_back_before_its_end_was_told_has_not_ended(alerts, channel):
    alerts.raise_(CODE, "a", "seen")
    assert channel.tell(0) == [("a", 1)]
    alerts.clear(CODE, "a")
    alerts.raise_(CODE, "a", "seen")
    assert (channel.tell(50), channel.tell_ends(50)) == ([], [])


def test_what_comes_back_after_its_end_was_told_is_told_at_once_and_so_is_its_end(alerts, channel):
    for times in (1, 2):
        alerts.raise_(CODE, "a", "seen")
        assert channel.tell(11) == [("a", times)]
        alerts.clear(CODE, "a")
        assert channel.tell_ends(11) == [("a", times)]


def test_what_ended_while_nobody_could_be_told_and_is_a_new_alert_days_later_has_its_end_told(engine, channel, at):
    Alerts(engine, lambda: at(0)).raise_(CODE, "a", "seen")
    assert channel.tell(0) == [("a", 1)]
    Alerts(engine, lambda: at(1)).clear(CODE, "a")
    Alerts(engine, lambda: at(200_000)).raise_(CODE, "a", "seen")
    assert channel.tell_ends(200_000) == [("a", 1)]
    assert (channel.tell(200_000), channel.tell_ends(300_000)) == ([("a", 1)], [])


def test_ends_of_a_clock_that_was_a_day_ahead_wait_for_nothing(engine, alerts, channel, at):
    alerts.raise_(CODE, "a", "seen")
    assert channel.tell(0) == [("a", 1)]
    Alerts(engine, lambda: at(86_400)).clear(CODE, "a")
    assert channel.tell_ends(1) == [("a", 1)]
