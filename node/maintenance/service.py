"""The jobs of a node that runs: what is looked at, how often, each in a thread of its own.

A job that fails is logged, and comes again in its time. One that takes longer than its time is not started twice.
"""

from __future__ import annotations

from datetime import timedelta

from node.clock import utc_now
from node.maintenance import certificates, space
from node.maintenance.conditions import Conditions
from node.maintenance.mending import Mending
from node.maintenance.reconciliation import Reconciliation
from node.maintenance.retention import Retention
from node.maintenance.scrub import Scrub
from node.maintenance.telling import Teller, channels
from node.scheduler import SteadyScheduler
from node.settings import Settings
from storage.alerts import Alerts
from storage.files import ObjectStore
from storage.index import Index

_AT_ONCE = 8
"""Jobs that run at the same time; as many as there are, so that none waits for another."""
_CERTIFICATES_EVERY_S = 3600
_SPACE_EVERY_S = 60
_CONDITIONS_EVERY_S = 20
_FILES_EVERY_S = 60
_MENDING_EVERY_S = 15


class MaintenanceService:
    """Runs the jobs until it is stopped."""

    def __init__(self, settings: Settings, files: ObjectStore, index: Index) -> None:
        self._settings, self._files, self._index = settings, files, index
        self._alerts = Alerts(index.engine)
        node = settings.listener.ae_title
        self._tellers = [Teller(it, settings.alerts, node, index.engine) for it in channels(settings.alerts)]
        self._reconciliation = reconciliation_of(settings, files, index)
        self._scrub = scrub_of(settings, files, index)
        self._scheduler = SteadyScheduler("maintenance", self._alerts, _AT_ONCE)

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
        # Also where no rule is enabled: what an interruption left of a removal is to go on.
        retention = Retention(settings, self._index.engine, self._files)
        add(retention.look, "interval", seconds=settings.retention.every_s, next_run_time=now)
        conditions = Conditions(settings, self._index.engine, self._alerts)
        add(conditions.look, "interval", seconds=_CONDITIONS_EVERY_S, next_run_time=now)
        add(self._reconciliation.look, "interval", seconds=_FILES_EVERY_S, next_run_time=now)
        if settings.maintenance.scrub_days:
            add(self._scrub.look, "interval", seconds=_FILES_EVERY_S, next_run_time=now)
        remotes = [each.remote for each in settings.retrieval]
        add(Mending(self._files, self._index, remotes).look, "interval", seconds=_MENDING_EVERY_S, next_run_time=now)
        self._scheduler.start()
        for teller in self._tellers:
            teller.start()

    def stop(self) -> None:
        """End after what is under way."""
        for teller in self._tellers:
            teller.stop()
        for way in (self._reconciliation, self._scrub):
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
