"""All that is kept of one patient removed, because a person orders it; a record that it was done remains.

The record has a digest of the Patient ID by a secret of the site (`storage.site_secret`): the site can find out whether
a patient was erased, and nobody else who that was, since Patient IDs can be guessed and tried.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Engine

from node.analysis.progress import is_made, queue_database
from node.clock import utc_now
from node.codes import Alert
from node.errors import NodeError
from node.maintenance.removing import Remover
from node.operations import patient_data
from node.operations.patient_data import PatientData, Person
from node.recognition.header import patients
from node.recognition.header.charsets import settle
from node.settings import Settings
from storage import database, erasures, removal, retention
from storage.alerts import Alerts
from storage.catalogue.filling import catch_up
from storage.database import open_engine
from storage.durability import sync
from storage.erasures import Erasure
from storage.files import ObjectStore
from storage.pseudonyms import PseudonymRow, Pseudonyms
from storage.removal import Order
from storage.removal_records import Removal, Scope
from storage.retention import UNDER_WAY, Candidate, Circumstances, Kept
from storage.site_secret import SiteSecret

log = logging.getLogger(__name__)

_RULE = "erasure"
_SHORTEST = 3  # letters of a name, or of an ID, that a reason is searched for
_PATIENCE_S = 30.0
_AGAIN_S = 0.25


@dataclass(frozen=True, slots=True)
class StudyToErase:
    """A study of the patient, bytes in `size`; `kept` says why it cannot be erased now, empty where nothing does."""

    study_instance_uid: str
    objects: int
    size: int
    names_others: bool
    kept: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ErasureReport:
    """What is kept of a patient, or was until now.

    Attributes:
        done: whether it was erased; without, this is what would be.
        number: of the order on record; None where none was given.
        studies: all with any object of the patient.
        quarantined: entries of the quarantine.
        spooled: files that interrupted writers left.
        arriving: files that are just being written.
        copies: of the database, which are removed whole, since nothing can be taken out of them.
        orders: earlier ones about the same patient.
    """

    done: bool
    number: int | None
    studies: tuple[StudyToErase, ...]
    quarantined: int
    spooled: int
    arriving: int
    copies: tuple[str, ...]
    orders: tuple[Erasure, ...]


def look(settings: Settings, patient_id: str, issuer: str = "") -> ErasureReport:
    """What is kept of a patient, and would be erased; changes nothing.

    Raises:
        NodeError: several patients have the ID.
    """
    return _Order(settings, patient_id, issuer).report()


def erase(
    settings: Settings, patient_id: str, issuer: str, reason: str, by: str, whole_studies: bool = False
) -> ErasureReport:
    """Erase all that is kept of a patient; an order that was interrupted goes on when it is given again.

    Args:
        settings: of the node.
        patient_id: of the patient.
        issuer: of the ID, where two patients have the same.
        reason: why, without any name; it stays on record.
        by: who orders it.
        whole_studies: also studies that name other patients as well, with all that is in them.

    Raises:
        NodeError: it cannot be done now, or not so; nothing was erased, or the message says that it has begun.
        OSError: the disk refused; it has begun.
        StorageError: the database is in use; it has begun.
    """
    order = _Order(settings, patient_id, issuer)
    order.require_words(reason, by)
    order.require_possible(whole_studies)
    return order.carry_out(reason.strip(), by.strip())


class _Order:
    """One patient of one node."""

    def __init__(self, settings: Settings, patient_id: str, issuer: str) -> None:
        if not patient_id.strip():
            raise NodeError("say who is meant, by the Patient ID")
        self._settings = settings
        self._engine: Engine = open_engine(settings.storage_url)
        self._files = ObjectStore(settings.root)
        with self._engine.connect() as connection:
            self._who: Person = patient_data.person(connection, patient_id, issuer)
        if len(self._who.issuers) > 1:
            raise NodeError("several patients have this Patient ID: say by --issuer who assigned it")
        self._digest = SiteSecret(settings.root).digest(self._who.identity.identifier)
        self._data: PatientData = patient_data.find(settings, self._engine, self._files, self._who)

    def report(self, done: bool = False, number: int | None = None) -> ErasureReport:
        """What was found, and whether it is gone."""
        with self._engine.connect() as connection:
            orders = erasures.of_patient(connection, self._digest)
        data = self._data
        return ErasureReport(
            done=done,
            number=number,
            studies=self._studies,
            quarantined=len(data.quarantined),
            spooled=len(data.spooled),
            arriving=len(data.arriving),
            copies=tuple(path.name for path in data.copies),
            orders=tuple(it for it in orders if it.number != number),
        )

    def require_words(self, reason: str, by: str) -> None:
        """Refuse an order without reason, or with one that would keep on record what is to be forgotten."""
        if not reason.strip() or not by.strip():
            raise NodeError("say why the patient is erased, and who orders it")
        said = f"{reason} {by}".casefold()
        telling = {word.casefold() for word in (*self._who.spellings, *self._who.names)}
        if any(len(word) >= _SHORTEST and word in said for word in telling):
            raise NodeError("the reason names the patient: it stays on record, so give one that does not")

    def require_possible(self, whole_studies: bool) -> None:
        """Refuse what cannot be done now, or not without erasing others."""
        if self._data.arriving:
            raise NodeError(f"{len(self._data.arriving)} files of the patient may be arriving just now: again later")
        # What has come is in the catalogue a moment later; where nobody fills that it is done here.
        while catch_up(self._engine, self._files, settle=settle):
            pass
        kept = [f"study {it.study_instance_uid}: {'; '.join(it.kept)}" for it in self._studies if it.kept]
        if kept:
            raise NodeError("nothing was erased: " + ", ".join(kept))
        mixed = [it.study_instance_uid for it in self._data.studies if it.names_others]
        if mixed and not whole_studies:
            names = ", ".join(mixed)
            raise NodeError(
                f"nothing was erased: {names}: other patients are named as well; --whole-studies erases all"
            )

    def carry_out(self, reason: str, by: str) -> ErasureReport:
        """Erase; each part can be repeated after an interruption."""
        studies, alerts = self._studies, Alerts(self._engine)
        with database.writing(self._engine).begin() as connection:
            number = erasures.begin(connection, self._digest, reason, by, utc_now())
        alerts.raise_(Alert.ERASURE_UNFINISHED, _subject(number), "it has begun, and has not come to its end")
        log.warning("erasure %d: begins: %d studies", number, len(studies))
        order = Order(_RULE, self._digest, number)
        for study in studies:
            self._remove_study(study.study_instance_uid, order)
        self._remove_others(order)
        self._forget_runs(number)
        self._forget_pseudonyms()
        with database.writing(self._engine).begin() as connection:
            on_record = erasures.patient_ids_on_record(connection)
            spelled = {it for it in on_record if patients.is_meant(patients.identity(it), self._who.identity)}
            erasures.clean(connection, number, self._digest, self._who.spellings | spelled)
        for path in self._data.copies:
            path.unlink(missing_ok=True)
            sync(path.parent)
        self._compact()
        with database.writing(self._engine).begin() as connection:
            erasures.end(connection, number, utc_now())
            ended = erasures.of_patient(connection, self._digest)
        for each in ended:  # also of one that was killed just here
            alerts.clear(Alert.ERASURE_UNFINISHED, _subject(each.number))
        log.warning("erasure %d: has come to its end", number)
        return self.report(done=True, number=number)

    @property
    def _remover(self) -> Remover:
        return Remover(self._engine, self._files)

    @property
    def _circumstances(self) -> Circumstances:
        return Circumstances(now=utc_now())

    @property
    def _studies(self) -> tuple[StudyToErase, ...]:
        uids = [it.study_instance_uid for it in self._data.studies]
        with self._engine.connect() as connection:
            known = retention.of_studies(connection, uids, self._circumstances)
            sizes = retention.sizes_of(connection, uids)
        return tuple(
            StudyToErase(
                study_instance_uid=it.study_instance_uid,
                objects=sizes.get(it.study_instance_uid, (0, 0))[0],
                size=sizes.get(it.study_instance_uid, (0, 0))[1],
                names_others=it.names_others,
                kept=tuple(_keeping(known.get(it.study_instance_uid))),
            )
            for it in self._data.studies
        )

    def _remove_study(self, uid: str, order: Order) -> None:
        """Remove a study, once nobody uses it: what is being sent or served ends soon."""
        until = time.monotonic() + _PATIENCE_S
        while True:
            removed = self._remover.remove(uid, Scope.STUDY, order, self._circumstances, UNDER_WAY)
            if isinstance(removed, Removal) or not removed:
                return
            if Kept.HELD in removed or time.monotonic() > until:
                why = "; ".join(removed)
                raise NodeError(f"erasure {order.erasure} has begun, and stops at study {uid}: {why}: order it again")
            time.sleep(_AGAIN_S)

    def _remove_others(self, order: Order) -> None:
        """Remove what is in quarantine, what interrupted removals and interrupted writers left."""
        assert order.erasure is not None
        with database.writing(self._engine).begin() as connection:
            named = erasures.quarantined(connection, erasures.named(connection, order.erasure, self._digest))
            if entries := named | set(self._data.quarantined):
                removal.begin_quarantined(connection, entries, order, utc_now())
        self._finish_removals(order.erasure)
        for path in self._data.spooled:
            path.unlink(missing_ok=True)
        sync(self._files.spool)

    def _finish_removals(self, number: int) -> None:
        """Wait until no file is left of anything that was removed of the patient, by this order or before it."""
        until = time.monotonic() + _PATIENCE_S
        while True:
            refused: OSError | None = None
            try:
                self._remover.finish()
            except OSError as error:  # of another patient, perhaps
                refused = error
            with self._engine.connect() as connection:
                left = erasures.unfinished(connection, number, self._digest)
            if not left:
                return
            if refused is not None:
                raise refused
            if time.monotonic() > until:
                of = ", ".join(sorted({it.study_instance_uid or "the quarantine" for it in left}))
                raise NodeError(
                    f"erasure {number} has begun, and stops: files of {of} stay, which is in use, or has come again:"
                    " order it again"
                )
            time.sleep(_AGAIN_S)

    def _forget_runs(self, number: int) -> None:
        """Nothing of the studies stays in the queue."""
        with self._engine.connect() as connection:
            revisions = erasures.revisions(connection, number)
        if not revisions or not is_made(self._settings.root):
            return
        # DBOS takes a second to import: only where it has something to do.
        from node.analysis.queue import Worklist, queue_url

        worklist = Worklist(queue_url(self._settings.root))
        try:
            for uid, last in revisions:
                for revision in range(1, last + 1):
                    worklist.forget(uid, revision)
        finally:
            worklist.close()

    def _forget_pseudonyms(self) -> None:
        """Nobody finds the patient any more behind the pseudonym of an export."""
        who, studies = self._who.identity, {it.study_instance_uid for it in self._data.studies}

        def is_meant(row: PseudonymRow) -> bool:
            return row.study in studies or patients.is_meant(row.stated, who)

        Pseudonyms(self._settings.root).forget(is_meant)

    def _compact(self) -> None:
        """Nothing of the patient stays in the pages of databases.

        Raises:
            NodeError: a row still names a study of the patient.
            StorageError: others kept a database from being written anew.
        """
        erasures.compact(self._engine)
        queue = queue_database(self._settings.root)
        if queue.exists():
            erasures.compact_sqlite(queue)
        with self._engine.connect() as connection:
            left = erasures.remaining(connection, [it.study_instance_uid for it in self._data.studies])
        if left:
            raise NodeError(f"studies of the patient are still named in {', '.join(left)}: report this as a fault")


def _subject(number: int) -> str:
    return f"erasure {number}"


def _keeping(found: Candidate | None) -> Iterator[str]:
    return (str(kept) for kept in (found.kept if found else ()) if kept in UNDER_WAY)
