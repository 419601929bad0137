"""A study, or its images, removed: rows, files and what analyses left of it; and what an interruption left of that."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, Engine

from node.analysis.progress import unfinished
from node.clock import Clock, utc_now
from storage import database, removal, removal_records, retention
from storage.audit import Audit, AuditAction, AuditEvent, add_within
from storage.files import ObjectStore
from storage.index import Index
from storage.records import ENDED_STATES
from storage.removal import Order
from storage.removal_records import Removal, Scope
from storage.retention import Circumstances, Kept, Terms

log = logging.getLogger(__name__)


class Remover:
    """Removes studies of one root; several processes may."""

    def __init__(self, engine: Engine, files: ObjectStore, clock: Clock = utc_now) -> None:
        self._engine, self._files, self._clock = engine, files, clock
        self._index, self._audit = Index(engine), Audit(engine)

    def remove(
        self,
        study_uid: str,
        scope: Scope,
        order: Order,
        circumstances: Circumstances,
        heeded: frozenset[Kept] = frozenset(Kept),
        terms: Terms | None = None,
    ) -> Removal | tuple[Kept, ...]:
        """Remove a study, or its images; what keeps it where anything does, of what is heeded.

        Where a rule removes it, `terms` are those of the rule: that they are met is looked at again.

        A study that is not there is kept by nothing and none is removed of it: the empty tuple.

        Raises:
            OSError: the disk refused to remove a file; `finish` goes on with it.
        """
        with self._files.locks.alone(study_uid) as alone:
            if not alone:
                return (Kept.IN_USE,)
            if any(study == study_uid for study, _ in unfinished(self._files.root)):
                return (Kept.UNDER_ANALYSIS,)
            begun = self._begin(study_uid, scope, order, circumstances, heeded, terms)
            if isinstance(begun, Removal):
                log.info(
                    "study %s: %s removed by %r: %d objects, %d bytes",
                    study_uid,
                    "images are" if scope is Scope.IMAGES else "all of it is",
                    order.rule,
                    begun.objects,
                    begun.size,
                )
                self._end(begun)
        return begun

    def _on_record(self, connection: Connection, begun: Removal, order: Order, patient: str) -> None:
        """Of whom an order to erase is about nothing is put on record."""
        is_erased = order.erasure is not None
        what = "all of it" if begun.scope is Scope.STUDY else "its images"
        add_within(
            connection,
            AuditEvent(
                self._clock(),
                AuditAction.REMOVED,
                True,
                study_instance_uid="" if is_erased else begun.study_instance_uid,
                patient_id="" if is_erased else patient,
                subject=f"erasure {order.erasure}" if is_erased else order.rule,
                detail=f"{what}: {begun.objects} objects",
            ),
        )

    def finish(self, is_stopped: Callable[[], bool] = lambda: False) -> int:
        """Go on with removals that were interrupted, until stopped; returns how many have ended.

        Raises:
            OSError: the disk refused to remove a file; all others were gone on with.
        """
        with self._engine.connect() as connection:
            left = removal_records.unfinished(connection)
        ended, refused = 0, None
        for begun in left:
            if is_stopped():
                break
            try:
                ended += self._finish(begun)
            except OSError as error:
                log.warning("removal %d: a file stays: %s", begun.identifier, error.strerror)
                refused = refused or error
        if refused is not None:
            raise refused
        return ended

    def _begin(
        self,
        study_uid: str,
        scope: Scope,
        order: Order,
        circumstances: Circumstances,
        heeded: frozenset[Kept],
        terms: Terms | None,
    ) -> Removal | tuple[Kept, ...]:
        with database.writing(self._engine).begin() as connection:
            retention.hold_row(connection, study_uid)
            found = retention.of_studies(connection, [study_uid], circumstances).get(study_uid)
            kept = () if found is None else tuple(each for each in found.kept if each in heeded)
            # Of results that came back under another study there are objects alone.
            is_here = found is not None or bool(retention.sizes_of(connection, [study_uid]))
            if kept or not is_here:
                return kept
            if terms is not None and not retention.meets(connection, study_uid, terms):
                return (Kept.NOT_DUE,)
            patient = self._audit.patient_of(study_uid)
            begun = removal.begin(connection, study_uid, scope, order, self._clock())
            self._on_record(connection, begun, order, patient)
            return begun

    def _finish(self, begun: Removal) -> bool:
        uid = begun.study_instance_uid
        with self._files.locks.alone(uid) as alone:
            again = self._index.study(uid) if uid else None
            # One that came again may be making a result that has no row yet, under the name of one that goes.
            if not alone or (again is not None and again.state not in ENDED_STATES):
                return False
            log.info("removal %d: goes on after an interruption", begun.identifier)
            self._end(begun)
        return True

    def _end(self, begun: Removal) -> None:
        removal.remove_files(self._engine, self._files, begun)
        if begun.scope is Scope.STUDY:
            _discard_work(self._files.root / "work" / begun.study_instance_uid, begun.last_revision)
        with database.writing(self._engine).begin() as connection:
            removal.end(connection, begun, self._clock())


def _discard_work(folder: Path, last_revision: int) -> None:
    """Remove what analyses left of a study, up to a revision: it may have come again since.

    Raises:
        OSError: the disk refused.
    """
    for path in folder.glob("*/"):
        if path.name.isdecimal() and int(path.name) <= last_revision:
            shutil.rmtree(path)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
