"""One entry of [[retrieval]]: looks for new studies at a remote, and fetches them within its window of the day."""

from __future__ import annotations

import logging
import threading
from contextlib import closing
from datetime import tzinfo

from node.clock import Clock, utc_now
from node.errors import NodeError, TransientError
from node.failure import Fault, fault_of
from node.local_faults import LocalFaults
from node.logs import Sparing
from node.retrieval.search import Ceiling, last_days, search
from node.retrieval.worker import RetrievalWorker
from node.settings import RetrievalSettings
from node.settings.destinations import within
from storage.alerts import Alerts
from storage.retrievals import Retrievals

log = logging.getLogger(__name__)

_LOOKED_AT = 20  # studies of an answer, for each that may be fetched


class Schedule:
    """Works one entry off; `look` is called again and again, in one thread."""

    def __init__(
        self,
        settings: RetrievalSettings,
        worker: RetrievalWorker,
        retrievals: Retrievals,
        zone: tzinfo | None,
        clock: Clock = utc_now,
        alerts: Alerts | None = None,
    ) -> None:
        """`zone` is the site's, None: the machine's."""
        self._settings, self._worker, self._retrievals = settings, worker, retrievals
        self._zone, self._clock = zone, clock
        self._stop = threading.Event()
        self._sparing = Sparing(log)
        self._faults = LocalFaults(alerts, f"retrieval {settings.name}", clock)

    def stop(self) -> None:
        """End what is under way."""
        self._stop.set()
        self._worker.stop()

    @property
    def is_open(self) -> bool:
        """Whether it is the time of the day at which studies are fetched."""
        return within(self._settings.hours, self._clock().astimezone(self._zone).time())

    def look(self) -> None:
        """Look for new studies, and fetch what is due, as long as the window is open."""
        if not self._goes_on():
            return
        kind = f"retrieval {self._settings.name}"
        try:
            self._want_new()
        except TransientError as error:
            self._faults.report(fault_of(error) or Fault.NETWORK, f"{kind}: {error}")
        except NodeError as error:
            self._sparing.write(logging.WARNING, kind, self._worker.remote.name, "%s: %s", kind, error)
        else:
            self._faults.over()
        try:
            self._fetch_due()
        except TransientError as error:  # it was stopped
            log.debug("retrieval %s: %s", self._settings.name, error)

    def _fetch_due(self) -> None:
        for record in self._retrievals.due(self._worker.remote.name, self._clock(), longest=self._worker.longest_wait):
            if not self._goes_on():
                return
            with closing(self._worker.fetch(record)) as progress:
                for _ in progress:
                    if self._stop.is_set():
                        return

    def _want_new(self) -> None:
        """Order what is there and not here.

        Raises:
            NodeError: the remote cannot be asked, or too much of it is new.
        """
        settings, now, remote = self._settings, self._clock(), self._worker.remote
        keys = {"StudyDate": last_days(now.astimezone(self._zone).date(), settings.days)}
        if settings.modality:
            keys["ModalitiesInStudy"] = settings.modality
        # What is known already, and what its description leaves out, does not count towards the ceiling.
        most = len(self._retrievals.records(remote.name)) + _LOOKED_AT * settings.maximum_studies
        there = {study.study_instance_uid: study for study in search(remote, keys, most, settings.description)}
        new = self._retrievals.new(remote.name, {uid: study.instances for uid, study in there.items()})
        ceiling = Ceiling(settings.maximum_studies, settings.maximum_images)
        wanted = ceiling.counted(remote, (there[uid] for uid in new))
        self._retrievals.want(
            remote.name, {study.study_instance_uid: study.instances for study in wanted}, now, anew=False
        )

    def _goes_on(self) -> bool:
        return self.is_open and not self._stop.is_set()
