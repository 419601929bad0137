"""Notes that reject results which were taken back, made for the destinations that have them and want to be told.

Which title a note has says what becomes of the objects there (IHE IOCM): results that name another patient, or were
made from images that do, are rejected for patient safety; those that were made from rejected images for the reason
that the note on the images gave. Results that a later revision supersedes are not rejected: they were right when they
were made, may have been read, and what replaces them says so itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from pydicom import Dataset
from sqlalchemy import Engine

from node.analysis.identity import site_of
from node.clock import Clock, utc_now
from node.codes import Code
from node.errors import told
from node.recognition.header.rejections import TITLES
from node.results.rejection_note import identity_of, rejection_note, uid_of
from node.results.source import read_header
from node.settings import Settings
from storage import database, rejection_notes
from storage.errors import HeaderError
from storage.files import ObjectStore
from storage.index import Index
from storage.records import REJECTION_NOTE, ResultRecord
from storage.rejection_notes import Revoked

log = logging.getLogger(__name__)

_QUALITY, _SAFETY = "113001", "113037"
#: What weighs most where notes on the images of a study gave several reasons.
_WEIGHT = (_SAFETY, "113038", _QUALITY, "113039")


class Rejecting:
    """Makes the notes of one node; `results_are_due` is told of each."""

    def __init__(
        self,
        settings: Settings,
        index: Index,
        files: ObjectStore,
        results_are_due: Callable[[], object],
        clock: Clock = utc_now,
    ) -> None:
        self._destinations = [it.name for it in settings.destinations if it.rejection_notes]
        self._site, self._index, self._files = site_of(settings), index, files
        self._results_are_due, self._clock = results_are_due, clock

    def look(self) -> int:
        """Make the notes that are due; how many.

        Raises:
            OSError: the disk refused one, or gives none of the results that it names; all others are made.
            HeaderError: none of the results that it names can be read; all others are made.
        """
        with self._engine.connect() as connection:
            found = rejection_notes.to_tell(connection, self._destinations)
        refused: list[OSError | HeaderError] = []
        for revoked in found:
            try:
                self._tell(revoked)
            except (OSError, HeaderError) as error:
                log.warning(
                    "study %s: no note for %s: %s", revoked.study_instance_uid, revoked.destination, told(error)
                )
                refused.append(error)
        if len(found) > len(refused):
            self._results_are_due()
        if refused:
            raise refused[0]
        return len(found)

    @property
    def _engine(self) -> Engine:
        return self._index.engine

    def _tell(self, revoked: Revoked) -> None:
        now = self._clock()
        title = self._title(revoked)
        note = self._note(title, revoked, now)
        with database.writing(self._engine).begin() as connection:
            rejection_notes.keep(connection, note, revoked, now)
        log.warning(
            "study %s: %s is told by a note that %d results of revision %d are rejected: %s",
            revoked.study_instance_uid,
            revoked.destination,
            len(revoked.results),
            revoked.revision,
            TITLES[title],
        )

    def _title(self, revoked: Revoked) -> str:
        if Code.REJECTED in revoked.reason and Code.PATIENT_MIX not in revoked.reason:
            given = set(self._index.rejected(revoked.study_instance_uid).values())
            return next((title for title in _WEIGHT if title in given), _QUALITY)
        return _SAFETY

    def _note(self, title: str, revoked: Revoked, now: datetime) -> ResultRecord:
        """The note, which is the same one for all destinations that have the same objects."""
        identity = identity_of(self._site, revoked.study_instance_uid, now.replace(microsecond=0))
        with self._engine.connect() as connection:
            known = rejection_notes.known(connection, uid_of(title, revoked.results, identity, REJECTION_NOTE))
        if known is not None:
            return known
        patient = self._patient(revoked.results)
        header, data = rejection_note(title, revoked.results, patient, identity, REJECTION_NOTE)
        return ResultRecord(
            study_instance_uid=revoked.study_instance_uid,
            revision=revoked.revision,
            role=REJECTION_NOTE,
            sop_class_uid=header.sop_class_uid,
            sop_instance_uid=header.sop_instance_uid,
            series_instance_uid=header.series_instance_uid,
            file=self._files.store(data, header),
            transfer_syntax_uid=header.transfer_syntax_uid,
        )

    def _patient(self, results: Sequence[ResultRecord]) -> Dataset:
        """Patient and study as the first of these results that can be read has them."""
        *others, last = results
        for each in others:
            try:
                return read_header(self._files.absolute(each.file))
            except (OSError, HeaderError):
                continue
        return read_header(self._files.absolute(last.file))
