"""Jobs keep their intervals when the time of day is set, as APScheduler alone would not."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from apscheduler.triggers.cron import CronTrigger

from node.codes import Alert
from node.scheduler import SteadyScheduler
from storage.alerts import Alerts
from storage.database import open_engine

from ..parts.processes import wait_for

DAY = timedelta(days=1)


class Wall:
    """A time of day that is set."""

    def __init__(self) -> None:
        self.moved = timedelta()

    def __call__(self) -> float:
        return time.time() + self.moved.total_seconds()


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def scheduler(wall: Wall) -> Iterator[SteadyScheduler]:
    made = SteadyScheduler("work", None, wall=wall, look_s=0.02)
    made.start()
    yield made
    made.shutdown()


def test_a_job_that_was_planned_before_the_clock_was_set_back_runs_in_its_interval(
    scheduler: SteadyScheduler, wall: Wall
) -> None:
    """What is planned for tomorrow, by a clock that has gone back by a day, is due now."""
    ran = threading.Event()
    scheduler.add_job(ran.set, "interval", seconds=0.1, next_run_time=datetime.now(UTC) + DAY)
    assert not ran.wait(0.2)
    wall.moved = -DAY
    assert ran.wait(2)
    ran.clear()
    assert ran.wait(2)


def test_a_job_at_a_time_of_day_stays_at_it(scheduler: SteadyScheduler, wall: Wall) -> None:
    told = threading.Event()
    scheduler.when_the_clock_is_set(lambda _moved: told.set())
    job = scheduler.add_job(int, CronTrigger(hour=3, timezone="UTC"))
    planned = job.next_run_time
    wall.moved = DAY
    assert told.wait(2)
    assert job.next_run_time == planned


def test_who_asks_is_told_how_far_the_clock_was_set_and_not_of_what_a_time_server_does(
    scheduler: SteadyScheduler, wall: Wall
) -> None:
    told: list[timedelta] = []
    scheduler.when_the_clock_is_set(told.append)
    wall.moved = timedelta(seconds=1)
    time.sleep(0.1)
    wall.moved += DAY
    wait_for(lambda: told, "it is told", 60, 0.01)
    assert [round(it / DAY, 3) for it in told] == [1.0]


def test_what_a_job_lacks_is_an_alert_until_it_has_done_its_work(tmp_path: Path) -> None:
    alerts = Alerts(open_engine(f"sqlite:///{tmp_path / 'index.sqlite'}"))
    full, done = threading.Event(), threading.Event()
    full.set()

    def work() -> None:
        if full.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")
        done.set()

    scheduler = SteadyScheduler("work", alerts)
    scheduler.add_job(work, "interval", seconds=0.05)
    scheduler.start()
    wait_for(alerts.open, "the alert", 60, 0.01)
    (alert,) = alerts.open()
    assert (alert.code, alert.subject.startswith("work (")) == (Alert.DISK_FULL, True)
    full.clear()
    assert done.wait(5)
    wait_for(lambda: not alerts.open(), "the end of the alert", 60, 0.01)
    scheduler.shutdown()
