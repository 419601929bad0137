"""Jobs at intervals that last as long as they say, whatever becomes of the time of day.

APScheduler plans by the time of day alone: set back by a day, it would do nothing for a day. A job that this machine
keeps from its work is told of as such, and comes again in its time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.job import Job
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from node.failure import FAULTS
from node.local_faults import LocalFaults
from storage.alerts import Alerts

log = logging.getLogger(__name__)

_LOOK_S = 1.0
#: Less is the work of a time server, which turns the clock gently.
_LEAST_S = 2.0


class SteadyScheduler(BackgroundScheduler):
    """Runs what was missed once, no job twice at a time; moves what is planned when the clock is set.

    Args:
        subject: of alerts of what its jobs lack.
        alerts: of the storage; None: the log alone tells of that.
        at_once: jobs that run at the same time.
        wall: the time of day in s.
        look_s: how often the time of day is compared with a clock that nobody sets.
    """

    def __init__(
        self,
        subject: str,
        alerts: Alerts | None,
        at_once: int = 10,
        wall: Callable[[], float] = time.time,
        look_s: float = _LOOK_S,
    ) -> None:
        super().__init__(
            timezone="UTC",
            executors={"default": ThreadPoolExecutor(at_once)},
            job_defaults={"coalesce": True, "misfire_grace_time": None, "max_instances": 1},
        )
        self._subject, self._alerts = subject, alerts
        self._wall, self._look_s = wall, look_s
        self._ended = threading.Event()
        self._when_set: list[Callable[[timedelta], object]] = []

    def add_job(self, func: Callable[..., object], *arguments: Any, **options: Any) -> Job:  # noqa: ANN401 - APScheduler's
        """Plan a job, as `BackgroundScheduler.add_job`."""
        return super().add_job(self._watched(func), *arguments, **options)

    def _watched(self, work: Callable[..., object]) -> Callable[..., None]:
        subject = f"{self._subject} ({getattr(work, '__qualname__', work)})"
        faults = LocalFaults(self._alerts, subject)

        @wraps(work)
        def run(*arguments: object) -> None:
            try:
                work(*arguments)
            except FAULTS as error:
                if not faults.takes(error, subject):
                    raise
            else:
                faults.over()

        return run

    def when_the_clock_is_set(self, act: Callable[[timedelta], object]) -> None:
        """Have `act` called, in a thread of its own, with how far the clock was set; negative: back."""
        self._when_set.append(act)

    def start(self, paused: bool = False) -> None:
        """Begin to run jobs."""
        super().start(paused)
        threading.Thread(target=self._watch, name="clock", daemon=True).start()

    def shutdown(self, wait: bool = True) -> None:
        """Run nothing more, and wait for what is under way."""
        self._ended.set()
        super().shutdown(wait)

    def _watch(self) -> None:
        difference = self._wall() - time.monotonic()
        while not self._ended.wait(self._look_s):
            before, difference = difference, self._wall() - time.monotonic()
            if abs(difference - before) >= _LEAST_S:
                self._follow(timedelta(seconds=difference - before))

    def _follow(self, moved: timedelta) -> None:
        log.warning("the clock was set %s by %s", "back" if moved < timedelta() else "on", abs(moved))
        for job in self.get_jobs():
            try:
                if isinstance(job.trigger, CronTrigger):
                    job.modify(next_run_time=job.trigger.get_next_fire_time(None, datetime.now(UTC)))
                elif job.next_run_time is not None:
                    job.modify(next_run_time=job.next_run_time + moved)
            except JobLookupError:  # it was the last run of a job, which is under way
                continue
        for act in self._when_set:
            try:
                act(moved)
            except Exception:
                log.exception("the time that was set could not be followed everywhere")
