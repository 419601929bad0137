"""Damaged objects until they are whole again: asked for where they may be had; what failed by them is begun anew."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from node.clock import Clock, utc_now
from node.codes import Alert
from storage import damage, database
from storage.alerts import Alerts
from storage.damage import DamagedObject
from storage.errors import TransitionError
from storage.files import ObjectStore
from storage.index import Index
from storage.records import ObjectOrigin
from storage.reruns import reopen
from storage.retrievals import Retrievals, RetrievalState
from storage.verification import fault_of, is_placed

log = logging.getLogger(__name__)

_AT_ONCE = 1000


class Mending:
    """Looks after what is damaged; `look` is called again and again, in one thread."""

    def __init__(self, files: ObjectStore, index: Index, remotes: Sequence[str], clock: Clock = utc_now) -> None:
        """`remotes`: names of those that studies are fetched from, in the order in which they are asked."""
        self._files, self._index, self._clock = files, index, clock
        self._remotes = tuple(dict.fromkeys(remotes))
        self._alerts, self._retrievals = Alerts(index.engine), Retrievals(index.engine)

    def look(self) -> None:
        """Say what is whole again, ask for what is not, and begin anew what had failed by it."""
        with self._index.engine.connect() as connection:
            found = damage.entries(connection, _AT_ONCE)
            replaced = set(damage.replaced(connection, found))
        whole = {it.object.identifier for it in found if self._is_whole(it)} | replaced
        if whole:
            with database.writing(self._index.engine).begin() as connection:
                damage.end(connection, whole)
            log.info("%d damaged objects are whole again, or replaced", len(whole))
        self._ask([it for it in found if it.object.identifier not in whole])
        self._end_alerts()
        self._begin_anew()

    def _is_whole(self, it: DamagedObject) -> bool:
        kept = it.object
        return is_placed(self._files, kept.file) and not fault_of(
            self._files, kept.file, kept.header.transfer_syntax_uid
        )

    def _ask(self, found: Sequence[DamagedObject]) -> None:
        """Have what was received fetched again, from one remote after the other until it is here."""
        since: dict[str, datetime] = {}
        for it in found:
            if it.object.origin is ObjectOrigin.RECEIVED:
                known = since.setdefault(it.object.study_instance_uid, it.found_at)
                since[it.object.study_instance_uid] = max(known, it.found_at)
        for study, found_at in since.items():
            asked = self._retrievals.of_study(study)
            for remote in self._remotes:
                record = asked.get(remote)
                if record is not None and record.state is RetrievalState.QUEUED:
                    break
                if record is None or record.asked_at < found_at:
                    self._retrievals.want(remote, {study: 0}, self._clock(), anew=True)
                    log.warning("study %s: asked of %s again, as objects of it are damaged", study, remote)
                    break

    def _end_alerts(self) -> None:
        for alert in self._alerts.open():
            if alert.code == Alert.OBJECT_DAMAGED:
                with self._index.engine.connect() as connection:
                    left = damage.of_study(connection, alert.subject)
                if not left:
                    self._alerts.clear(alert.code, alert.subject)

    def _begin_anew(self) -> None:
        with self._index.engine.connect() as connection:
            studies = damage.failed_and_whole(connection, f"{Alert.OBJECT_DAMAGED}:")
        for study in studies:
            try:
                revision = reopen(self._index.engine, study)
            except TransitionError:
                continue  # something of it has come meanwhile
            log.info("study %s: its objects are whole again: revision %d", study, revision)
