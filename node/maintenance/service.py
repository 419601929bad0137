"""The jobs of a node that runs: what is looked at, how often, each in a thread of its own.

A job that fails is logged, and comes again in its time. One that takes longer than its time is not started twice.
"""

from __future__ import annotations

from datetime import timedelta

from models.errors import ModelError
from node.clock import utc_now
from node.codes import Alert
from node.errors import TransientError, told
from node.maintenance import certificates, sampling, space
from node.maintenance.conditions import Conditions
from node.maintenance.echoing import Echoing
from node.maintenance.known_answer.check import KnownAnswerCheck
from node.maintenance.mending import Mending
from node.maintenance.reconciliation import Reconciliation
from node.maintenance.retention import Retention
from node.maintenance.scanners import ScannerCounting
from node.maintenance.scrub import Scrub
from node.maintenance.telling import Teller, channels
from node.scheduler import SteadyScheduler
from node.settings import Settings
from storage import clock_gaps
from storage.alerts import Alerts
from storage.files import ObjectStore
from storage.index import Index
from storage.samples import Samples

_AT_ONCE = 13
"""Jobs that run at the same time; as many as there are, so that none waits for another."""
_CERTIFICATES_EVERY_S = 3600
_SPACE_EVERY_S = 60
_CONDITIONS_EVERY_S = 20
_CHECKS_EVERY_S = 3600
_CLOCK_EVERY_S = 60
_FILES_EVERY_S = 60
_MENDING_EVERY_S = 15
_SAMPLES_EVERY_S = 300
_SCANNERS_EVERY_S = 30


class MaintenanceService:
    """Runs the jobs until it is stopped."""

    def __init__(self, settings: Settings, files: ObjectStore, index: Index) -> None:
        self._settings, self._files, self._index = settings, files, index
        self._alerts = Alerts(index.engine)
        node = settings.listener.ae_title
        self._tellers = [Teller(it, settings.alerts, node, index.engine) for it in channels(settings.alerts)]
        self._reconciliation = reconciliation_of(settings, files, index)
        self._scrub = scrub_of(settings, files, index)
        self._echoing = Echoing(settings.remotes, index.engine)
        self._retention = Retention(settings, index.engine, files)
        self._scheduler = SteadyScheduler("maintenance", self._alerts, _AT_ONCE)
        self._known_answer = KnownAnswerCheck(settings, files, index, self._alerts)

    def start(self) -> None:
        """Begin; each job runs at once for the first time."""
        settings, add = self._settings, self._scheduler.add_job
        now = utc_now()
        if settings.credentials:
            every, what = _CERTIFICATES_EVERY_S, [settings.credentials, self._alerts]
            add(certificates.look, "interval", what, seconds=every, next_run_time=now)
        watermark, refuses = settings.alert_free_gb, settings.listener.minimum_free_gb
        what = [self._files, watermark, refuses, self._alerts]
        add(space.look, "interval", what, seconds=_SPACE_EVERY_S, next_run_time=now)
        add(self._see_clock, "interval", seconds=_CLOCK_EVERY_S, next_run_time=now)
        # Also where no rule is enabled: what an interruption left of a removal is to go on.
        add(self._retention.look, "interval", seconds=settings.retention.every_s, next_run_time=now)
        conditions = Conditions(settings, self._index.engine, self._alerts)
        add(conditions.look, "interval", seconds=_CONDITIONS_EVERY_S, next_run_time=now)
        add(self._reconciliation.look, "interval", seconds=_FILES_EVERY_S, next_run_time=now)
        if settings.maintenance.scrub_days:
            add(self._scrub.look, "interval", seconds=_FILES_EVERY_S, next_run_time=now)
        remotes = [each.remote for each in settings.retrieval]
        add(Mending(self._files, self._index, remotes).look, "interval", seconds=_MENDING_EVERY_S, next_run_time=now)
        add(self._known_answer.remove_left, "interval", seconds=_CHECKS_EVERY_S, next_run_time=now)
        samples = Samples(self._index.engine)
        what = [self._files, samples]
        add(sampling.look, "interval", what, seconds=_SAMPLES_EVERY_S, next_run_time=now)
        counting = ScannerCounting(self._files, self._index.engine)
        add(counting.look, "interval", seconds=_SCANNERS_EVERY_S, next_run_time=now)
        if settings.maintenance.echo_minutes:
            add(self._echoing.look, "interval", minutes=settings.maintenance.echo_minutes)
        if settings.known_answer.at:
            hour, minute = settings.known_answer.at.split(":")
            zone = settings.time_zone or None
            add(self._check_answer, "cron", hour=hour, minute=minute, timezone=zone)
        self._scheduler.start()
        for teller in self._tellers:
            teller.start()

    def _see_clock(self) -> None:
        clock_gaps.see(self._index.engine, utc_now())

    def _check_answer(self) -> None:
        try:
            self._known_answer.run()
        except (TransientError, ModelError, OSError) as error:
            self._alerts.raise_(Alert.KNOWN_ANSWER, "", f"the check could not be made: {told(error)}")

    def stop(self) -> None:
        """End after what is under way."""
        self._known_answer.stop()
        for teller in self._tellers:
            teller.stop()
        for way in (self._reconciliation, self._scrub, self._retention, self._echoing):
            way.stop()
        if self._scheduler.running:
            self._scheduler.shutdown()


def reconciliation_of(settings: Settings, files: ObjectStore, index: Index) -> Reconciliation:
    """The comparison of files and rows as a configuration has it."""
    own = settings.maintenance
    grace, every = timedelta(hours=own.orphan_grace_hours), timedelta(hours=own.reconcile_hours)
    return Reconciliation(files, index, settings.uid_root, grace, every, own.files_per_s)


def scrub_of(settings: Settings, files: ObjectStore, index: Index) -> Scrub:
    """The reading of all objects as a configuration has it."""
    own = settings.maintenance
    return Scrub(files, index, timedelta(days=own.scrub_days), own.scrub_mb_s)
