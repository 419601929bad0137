"""Files and rows brought together: a slice of all studies at a time, at a limited rate, and on where it was.

A file without a row was left by a kill between the two. Nobody was told that it is here, and whoever sent it sends it
again. When its time of grace is over, one that was received comes in by the ordinary door, and one that was made here
is removed: its analysis writes it again. An object whose file is not there is damaged.
"""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine

from node import damage
from node.clock import Clock, utc_now
from node.codes import Alert
from node.errors import told
from node.failure import fault_of
from node.local_faults import LocalFaults
from node.recognition.header.rejections import rejection_note
from storage import reconciliation
from storage.alerts import Alerts
from storage.database import require_whole
from storage.errors import DatabaseError, HeaderError
from storage.files import ObjectStore
from storage.header import content_of, read_header
from storage.identity import Content
from storage.index import Index
from storage.quarantine_entries import has_entry
from storage.reconciliation import Compared, Orphan
from storage.records import InstanceHeader, Registration, StoredFile
from storage.recovery import clear_spool
from storage.reindexing import reason_beside
from storage.removal import is_leaving
from storage.removal_records import last_of
from storage.upkeep import Found, Round, Upkeep, added

log = logging.getLogger(__name__)

NAME = "reconciliation"
_SAVED_EVERY_S = 5.0
_SPOOL_AGE_S = 3600.0  # far beyond the writing of one file


class Reconciliation:
    """Compares everything that a root has; `look` does a part of it and is called again and again, in one thread."""

    def __init__(
        self,
        files: ObjectStore,
        index: Index,
        uid_root: str,
        grace: timedelta,
        every: timedelta,
        files_per_s: float,
        clock: Clock = utc_now,
    ) -> None:
        """`uid_root`: root of the UIDs of results, with its trailing dot; `files_per_s`: at the most."""
        self._files, self._index, self._uid_root = files, index, uid_root
        self._grace, self._every, self._rate, self._clock = grace, every, files_per_s, clock
        self._upkeep, self._alerts = Upkeep(index.engine), Alerts(index.engine)
        self._stop = threading.Event()
        self._faults = LocalFaults(self._alerts, "maintenance (files and rows)")
        self._refused: tuple[str, OSError] | None = None
        self._begins = True  # a start may follow a kill

    def stop(self) -> None:
        """End after the study that is under way."""
        self._stop.set()

    def look(self) -> None:
        """Begin a round where one is due, or go on with the one that a stop interrupted."""
        known = self._upkeep.read(NAME)
        if known is None or not known.is_under_way:
            if not self._begins and known is not None and not self._is_due(known):
                return
            known = self._upkeep.begin(NAME, self._clock())
        self._begins = False
        for _ in self.round(known):
            pass

    def round(self, begun: Round) -> Iterator[str]:
        """Go through a round from where it is; gives each study that was compared, and has saved how far it is.

        What this machine does not let it look at is passed over until the next round, and told of at the end.
        """
        # First: an object whose file is in the spool is not gone.
        found, saved = added(begun.found, self._spool()), time.monotonic()
        for study in reconciliation.studies(self._engine, self._files, begun.position):
            begun_at = time.monotonic()
            seen = self.study(study)
            found = added(found, seen)
            if time.monotonic() > saved + _SAVED_EVERY_S:
                self._upkeep.advance(NAME, study, found)
                saved = time.monotonic()
            yield study
            if self._stop.wait(max(0.0, (seen["files"] + 1) / self._rate - (time.monotonic() - begun_at))):
                self._upkeep.advance(NAME, study, found)
                return
        found = added(found, self._quarantine())
        if self._look_at_the_index():
            self._end(found)

    def _end(self, found: Found) -> None:
        self._upkeep.end(NAME, found, self._clock())
        told_of = ", ".join(f"{count} {what}" for what, count in sorted(found.items()))
        level = logging.WARNING if found.keys() - {"files", "studies"} else logging.INFO
        log.log(level, "files and rows were compared: %s", told_of or "nothing is here")
        if self._refused is None:
            self._faults.over()
        elif fault := fault_of(self._refused[1]):
            self._faults.report(fault, f"files and rows: {self._refused[0]}: this machine: {told(self._refused[1])}")
        self._refused = None

    def study(self, study_uid: str) -> Counter[str]:
        """Compare one study, and act on what is apart; what was found and done, by what it is."""
        done = Counter(studies=1)
        try:
            compared = reconciliation.compare(self._engine, self._files, study_uid)
        except OSError as error:
            done[self._passed_over(f"study {study_uid}", error)] += 1
            return done
        done["files"] = compared.files
        for orphan in compared.orphans:
            try:
                done[self._settle(study_uid, orphan)] += 1
            except FileNotFoundError:
                done["gone"] += 1
            except OSError as error:
                done[self._passed_over(str(orphan.path), error)] += 1
        done.update(self._lacking(compared))
        return done

    def _passed_over(self, what: str, error: OSError) -> str:
        log.warning("%s: cannot be looked at now: %s", what, told(error))
        if error.errno == errno.EBUSY:
            return "waiting"
        if self._refused is None and fault_of(error):
            self._refused = what, error
        return "passed over"

    def _look_at_the_index(self) -> bool:
        """Look through an SQLite index, of which a start looks at small ones only; False where a stop came first."""
        where = self._engine.url.render_as_string()
        try:
            if not require_whole(self._engine, self._stop):
                return False
        except DatabaseError as error:
            self._alerts.raise_(Alert.DATABASE_DAMAGED, where, str(error))
        else:
            self._alerts.clear(Alert.DATABASE_DAMAGED, where)
        return True

    @property
    def _engine(self) -> Engine:
        return self._index.engine

    def _is_due(self, last: Round) -> bool:
        return last.ended_at is None or abs(self._clock() - last.ended_at) >= self._every

    def _lacking(self, compared: Compared) -> Iterator[str]:
        for it in compared.lacking:
            try:
                if damage.set_aside(self._files, self._index, it, self._stop.wait):
                    yield "damaged"
            except OSError as error:
                yield self._passed_over(f"object {it.header.sop_instance_uid}", error)

    def _spool(self) -> dict[str, int]:
        try:
            age_s = max(_SPOOL_AGE_S, self._grace.total_seconds())
            return {"spooled": clear_spool(self._files, self._index, age_s)}
        except OSError as error:
            return {self._passed_over("the spool", error): 1}

    def _settle(self, study_uid: str, orphan: Orphan) -> str:
        """What becomes of a file that no row has, in a word."""
        written_at = datetime.fromtimestamp(orphan.written_at, UTC)
        with self._engine.connect() as connection:
            if is_leaving(connection, orphan.path):
                return "leaving"
            removed = last_of(connection, [study_uid]).get(study_uid)
        if abs(self._clock() - written_at) < self._grace:
            return "waiting"
        try:
            header, content = self._read(study_uid, orphan.path)
        except FileNotFoundError:
            return "gone"
        except HeaderError as error:
            return self._set_aside(study_uid, orphan.path, str(error))
        if header.made_here and header.sop_instance_uid.startswith(self._uid_root):
            return self._remove(study_uid, orphan.path)
        if removed is not None and removed.begun_at > written_at:
            return self._remove(study_uid, orphan.path)  # what the study had was removed by an order or a rule
        with self._engine.connect() as connection:
            if reconciliation.is_replaced(connection, self._files, header, orphan.written_at):
                return self._remove(study_uid, orphan.path)
        size = (self._files.root / orphan.path).stat().st_size
        return self._adopt(header, StoredFile(orphan.path, content.digest, size))

    def _read(self, study_uid: str, name: Path) -> tuple[InstanceHeader, Content]:
        """What a file of a study holds; `HeaderError` where that is not what was stored under its name."""
        path = self._files.root / name
        header, content = read_header(path), content_of(path)
        if header.study_instance_uid != study_uid or self._files.name_of(path, header) != name:
            raise HeaderError("its content is not the one that was stored under its name")
        return header, content

    def _adopt(self, header: InstanceHeader, file: StoredFile) -> str:
        """Take a received file in by the ordinary registration."""
        note = rejection_note(self._files.absolute(file), header.sop_class_uid)
        registration = self._index.register(header, file, "", self._clock(), note=note)
        log.warning(
            "object %s of study %s: a kill left it without a row: %s",
            header.sop_instance_uid,
            header.study_instance_uid,
            registration,
        )
        if registration in (Registration.DUPLICATE, Registration.OWN_RESULT):
            with self._engine.connect() as connection:
                kept = reconciliation.has_row(connection, header.study_instance_uid, file.path)
            if not kept:
                return self._remove(header.study_instance_uid, file.path)
        return "adopted"

    def _remove(self, study_uid: str, path: Path) -> str:
        if not reconciliation.remove_orphan(self._engine, self._files, study_uid, path):
            return "waiting"
        log.warning("%s: removed: a kill left it without a row", path)
        return "removed"

    def _set_aside(self, study_uid: str, name: Path, why: str) -> str:
        # Alone, and looked at again: the object may just have come, and its file has the name of this one.
        with self._files.locks.alone(study_uid) as alone:
            if not alone or not self._is_no_object(study_uid, name):
                return "waiting"
            reason = f"left without a row by a kill: {why}"
            path = self._files.root / name
            content = content_of(path)
            file = self._files.set_aside(StoredFile(name, content.digest, path.stat().st_size), content, reason)
            self._index.keep_quarantine(file, reason, "", self._clock())
        return "quarantined"

    def _is_no_object(self, study_uid: str, name: Path) -> bool:
        with self._engine.connect() as connection:
            if reconciliation.has_row(connection, study_uid, name):
                return False
        try:
            self._read(study_uid, name)
        except FileNotFoundError:
            return False
        except HeaderError:
            return True
        return False

    def _quarantine(self) -> Counter[str]:
        """Files in quarantine that no entry has get one."""
        done: Counter[str] = Counter()
        for path in sorted((self._files.root / "quarantine").glob("*.dcm")):
            try:
                done["quarantined"] += self._enter(path)
            except FileNotFoundError:
                continue  # released or discarded meanwhile
            except OSError as error:
                done[self._passed_over(str(path.relative_to(self._files.root)), error)] += 1
        return done

    def _enter(self, path: Path) -> bool:
        name = path.relative_to(self._files.root)
        with self._engine.connect() as connection:
            if has_entry(connection, name):
                return False
        if self._clock().timestamp() - path.stat().st_mtime < self._grace.total_seconds():
            return False
        file = StoredFile(name, content_of(path).digest, path.stat().st_size)
        self._index.keep_quarantine(file, reason_beside(path), "", self._clock())
        return True
