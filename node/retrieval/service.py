"""The schedules of a node that runs: one job for each entry of [[retrieval]], one after the other at each remote."""

from __future__ import annotations

from contextlib import ExitStack
from zoneinfo import ZoneInfo

from node.clock import utc_now
from node.retrieval.route import ByGet, ByMove, Route, by_get
from node.retrieval.schedule import Schedule
from node.retrieval.worker import RetrievalWorker, Terms
from node.scheduler import SteadyScheduler
from node.settings import Method, RetrievalSettings, Settings
from storage.alerts import Alerts
from storage.files import ObjectStore
from storage.index import Index
from storage.retrievals import Retrievals

_AT_ONCE = 4  # entries that fetch at the same time


class RetrievalService:
    """Looks for new studies and fetches them until it is stopped."""

    def __init__(self, settings: Settings, files: ObjectStore, index: Index) -> None:
        self._settings, self._files, self._index = settings, files, index
        self._retrievals = Retrievals(index.engine)
        self._opened = ExitStack()
        self._get: ByGet | None = None
        self._schedules: list[Schedule] = []
        self._scheduler = SteadyScheduler("retrieval", Alerts(index.engine), _AT_ONCE)

    def start(self) -> None:
        """Begin; each entry looks at once."""
        zone = ZoneInfo(self._settings.time_zone) if self._settings.time_zone else None
        for entry in self._settings.retrieval:
            remote = self._settings.source(entry.remote, entry.method)
            worker = RetrievalWorker(
                remote, entry.answer_timeout_s, self._route(entry), self._retrievals, Terms.of(entry)
            )
            schedule = Schedule(entry, worker, self._retrievals, zone, alerts=Alerts(self._index.engine))
            self._schedules.append(schedule)
            self._scheduler.add_job(schedule.look, "interval", seconds=entry.every_s, next_run_time=utc_now())
        self._scheduler.start()

    def stop(self) -> None:
        """End after the answers that are under way; what was not finished is due at the next start."""
        for schedule in self._schedules:
            schedule.stop()
        self._scheduler.shutdown()
        self._opened.close()

    def _route(self, entry: RetrievalSettings) -> Route:
        if entry.method is Method.MOVE:
            return ByMove(entry.destination or self._settings.listener.ae_title)
        if self._get is None:
            self._get = self._opened.enter_context(by_get(self._settings.listener, self._files, self._index))
        return self._get
