"""Settling of studies: a study that is complete, or has waited long enough, is queued.

DICOM has no sign for the end of a study. A study is taken as complete when nothing has arrived for the quiet time,
every association that stored some of it has ended, the wanted sequences are there, and the PACS, where one is
configured for it, has no more of it; or, as it is, when nothing has arrived for the longer time. A late image makes
a new revision, which is analysed again.

A sweep asks the storage three things, whatever the number of studies that wait, and more only of those of which
something has come. It says when the next study can settle, so that nobody has to look before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from models.sequence import Sequence
from node.clock import Clock, utc_now
from node.codes import Code
from node.completion.shortage import Inquiry, Shortage
from node.errors import told
from node.logs import Sparing
from node.recognition.header.frames import unreadable
from node.recognition.plan import HeaderFinding, read_header_of, read_headers, recognise
from node.recognition.record import StudyPlan
from node.settings import CompletionSettings, RecognitionSettings
from storage.files import ObjectStore
from storage.index import Index
from storage.known_answer import is_of_check
from storage.records import StudyRecord, StudyState

log = logging.getLogger(__name__)

_Content = tuple[int, int, datetime]

#: Until the next look where a study waits only for the end of an association, of which no row tells beforehand.
_FOR_AN_END = timedelta(seconds=0.25)
#: Until the headers of a study are read again of which this machine did not give one.
_UNTIL_READ_AGAIN = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class _Answer:
    """Answer of the PACS for one content of a study, and when to ask again."""

    content: _Content
    shortage: Shortage
    interval: timedelta
    again_at: datetime


def _left_to_the_intake(_study_uid: str, _revision: int) -> None:
    """A study that is QUEUED is found by whoever analyses."""


class Completion:
    """Looks for settled studies and queues them for analysis; `queued` is told of each, by its UID and revision."""

    def __init__(
        self,
        settings: CompletionSettings,
        recognition: RecognitionSettings,
        files: ObjectStore,
        index: Index,
        inquiry: Inquiry | None = None,
        clock: Clock = utc_now,
        queued: Callable[[str, int], object] = _left_to_the_intake,
    ) -> None:
        self._settings = settings
        self._recognition = recognition
        self._files = files
        self._index = index
        self._inquiry = inquiry
        self._clock = clock
        self._queued = queued
        self._missing: dict[str, tuple[_Content, tuple[str, ...]]] = {}
        self._unread: dict[str, tuple[_Content, datetime]] = {}
        self._answers: dict[str, _Answer] = {}
        self._sparing = Sparing(log)

    def sweep(self) -> datetime | None:
        """Queue every study that has settled; returns when the next one can, None where none is on its way."""
        begun = self._clock()
        quiet, early = (timedelta(seconds=self._settings.quiet_s * share) for share in (1.0, 0.5))
        resting = self._index.resting(begun - early, begun)
        held = self._index.open_associations(begun)
        for study in resting:
            if study.last_received_at > begun:
                self._put_right(study, begun)
            elif begun - study.last_received_at >= quiet:
                self._consider(study, self._clock(), study.study_instance_uid in held)
            elif study.study_instance_uid not in held:
                self._missing_roles(study)  # headers are read while nothing comes, so that nobody waits for that
        self._forget_all_but({study.study_instance_uid for study in resting})
        return self._next(begun, resting, held)

    def _next(self, begun: datetime, resting: tuple[StudyRecord, ...], held: Collection[str]) -> datetime | None:
        """The next moment at which a study that has not settled can do so, or its headers are to be read."""
        quiet, longer = (timedelta(seconds=s) for s in (self._settings.quiet_s, self._settings.incomplete_after_s))
        arriving = self._index.received_next(begun - quiet / 2)
        moments = [arriving + quiet / 2] if arriving is not None else []
        for study in resting:
            settles = min(study.last_received_at, begun) + quiet
            moments.append(settles if settles > begun else study.last_received_at + longer)
            if settles <= begun and study.study_instance_uid in held:
                moments.append(begun + _FOR_AN_END)
        return min((moment for moment in moments if moment > begun), default=None)

    def _put_right(self, study: StudyRecord, now: datetime) -> None:
        """A study came while the clock was ahead: as if its last object had come now."""
        log.warning("study %s: its last object is said to have come in the future", study.study_instance_uid)
        self._index.has_arrived(study.study_instance_uid, now)

    def _consider(self, study: StudyRecord, now: datetime, held: bool) -> None:
        patient = now - study.last_received_at < timedelta(seconds=self._settings.incomplete_after_s)
        lack = self._lack(study, held) if patient else ""
        if lack:
            self._wait(study, lack)
            return
        shortage = self._shortage(study, now, patient)
        if patient and shortage.series:
            self._wait(study, f"for what the PACS has: has {shortage}")
        else:
            self._queue(study, shortage.caution)

    def _lack(self, study: StudyRecord, held: bool) -> str:
        """A sentence on what has to come before the PACS is asked; empty when nothing."""
        if held:
            return "for the end of an association that stores images of it"
        missing = self._missing_roles(study)
        return f"for {', '.join(missing)}" if missing else ""

    def _missing_roles(self, study: StudyRecord) -> tuple[str, ...]:
        """Wanted roles that the study does not have; read once for each content. All where it cannot be read now."""
        if not self._settings.wanted or is_of_check(study.study_instance_uid):
            return ()
        uid, content = study.study_instance_uid, _content(study)
        known = self._missing.get(uid)
        if known is None or known[0] != content:
            tried, now = self._unread.get(uid), self._clock()
            if tried is not None and tried[0] == content and tried[1] <= now < tried[1] + _UNTIL_READ_AGAIN:
                return self._settings.wanted
            try:
                plan = self._plan(uid)
            except (OSError, MemoryError) as error:  # of this study alone: others must not wait for it
                self._unread[uid] = (content, now)
                what = "headers that cannot be read now"
                self._sparing.write(
                    logging.WARNING, what, uid, "study %s: its headers cannot be read now: %s", uid, told(error)
                )
                return self._settings.wanted
            missing = tuple(role for role in self._settings.wanted if not _is_there(plan, role))
            refusal = plan.study_refusal()
            # What came before the MR images does not settle the study; other refusals would stay.
            known = self._missing[uid] = (content, () if refusal and refusal.code != Code.NO_MR else missing)
        return known[1]

    def _plan(self, uid: str) -> StudyPlan:
        files = [self._files.absolute(r.file) for r in self._index.instances(uid)]
        meant, rejected = self._index.meant_patient(uid), self._index.rejected(uid)
        return recognise(uid, files, self._recognition, meant, rejected, self._headers)

    def _headers(self, files: list[Path], settings: RecognitionSettings) -> Iterator[HeaderFinding]:
        return read_headers(files, settings, self._header)

    def _header(self, words_of_site: tuple[tuple[str, tuple[str, ...]], ...], file: Path) -> HeaderFinding:
        """As `read_header_of`; for a file that is gone, while the root is there, nobody need wait."""
        try:
            return read_header_of(words_of_site, file)
        except FileNotFoundError as error:
            if not self._files.is_there():
                raise
            return unreadable(file, error)

    def _shortage(self, study: StudyRecord, now: datetime, patient: bool) -> Shortage:
        """Shortage against the PACS: asked once for each content, then at a growing interval, and at the end."""
        if self._inquiry is None or is_of_check(study.study_instance_uid):
            return Shortage()
        uid, content = study.study_instance_uid, _content(study)
        known = self._answers.get(uid)
        if known is not None and known.content != content:
            known = None
        if known is not None and patient and known.again_at - known.interval <= now < known.again_at:
            return known.shortage
        shortage = self._inquiry.shortage(uid)
        if shortage.error:
            log.warning("study %s: the PACS cannot be asked for its images: %s", uid, shortage.error)
        interval = 2 * known.interval if known is not None else timedelta(seconds=self._settings.quiet_s)
        self._answers[uid] = _Answer(content, shortage, interval, now + interval)
        return shortage

    def _wait(self, study: StudyRecord, what: str) -> None:
        reason = f"waits {what}"
        if study.reason != reason:
            self._index.explain(study.study_instance_uid, study.revision, reason)
            log.info("study %s: %s", study.study_instance_uid, reason)

    def _queue(self, study: StudyRecord, caution: str) -> None:
        uid, revision = study.study_instance_uid, study.revision
        current = self._index.study(uid)
        if current is None or _content(current) != _content(study):
            return  # something has come while the headers were read or the PACS was asked
        if self._index.move(uid, revision, StudyState.QUEUED, caution=caution):
            log.info("study %s revision %d: complete, queued%s", uid, revision, f"; {caution}" if caution else "")
            self._queued(uid, revision)

    def _forget_all_but(self, receiving: set[str]) -> None:
        self._missing = {uid: known for uid, known in self._missing.items() if uid in receiving}
        self._unread = {uid: known for uid, known in self._unread.items() if uid in receiving}
        self._answers = {uid: known for uid, known in self._answers.items() if uid in receiving}


def _is_there(plan: StudyPlan, role: Sequence) -> bool:
    """Whether more images could not help a role: it is found, or only its images can tell the time of injection."""
    refusal = plan.refusal(role)
    return plan.stack(role) is not None or (refusal is not None and refusal.code == Code.DCE_T0)


def _content(study: StudyRecord) -> _Content:
    """The content of a study, as far as a change of it shows."""
    return study.revision, study.instance_count, study.last_received_at
