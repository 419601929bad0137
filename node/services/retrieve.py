"""The retrieve SCP (PS3.4 C.4.2, C.4.3): C-MOVE to a configured remote, C-GET on the same association.

Objects go as they lie here, and are converted only where the other side takes no stored transfer syntax. While they go
nothing of the database is held. Between two objects it is looked whether the request was cancelled, or the one who
asked is gone. A request that nothing matches is a Success with no sub-operations: PS3.4 knows no failure for it, and
so answer DCMTK and Orthanc.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace

from pydicom.datadict import tag_for_keyword
from pynetdicom import Association
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
    PatientStudyOnlyQueryRetrieveInformationModelGet,
    PatientStudyOnlyQueryRetrieveInformationModelMove,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from node.audit.recorder import Recorder
from node.clock import utc_now
from node.dicom.command import C_GET_RQ, C_MOVE_RQ, MISMATCH, Originator, Refusal
from node.dicom.outcomes import StoreOutcome, StoreResult
from node.dicom.sendable import Sendable
from node.logs import Sparing, title
from node.services.getting import sent_back
from node.services.identifier import Identifier, IdentifierError, Root, read_identifier
from node.services.messages import Messages, Request
from node.services.moving import moved
from node.services.sub_operations import MOST, UNABLE_TO_CALCULATE, Answers, Tally
from node.settings import RemoteSettings
from storage.audit import AuditAction, AuditEvent, Facts
from storage.catalogue import retrieval
from storage.catalogue.attributes import UNIQUE_KEYS, Level
from storage.catalogue.retrieval import TooManyObjectsError, UniqueKeys
from storage.errors import HeaderError
from storage.files import ObjectStore
from storage.header import check_uid

log = logging.getLogger(__name__)

MOVE_CLASSES = {
    str(PatientRootQueryRetrieveInformationModelMove): Root.PATIENT,
    str(StudyRootQueryRetrieveInformationModelMove): Root.STUDY,
    str(PatientStudyOnlyQueryRetrieveInformationModelMove): Root.PATIENT_STUDY,
}
GET_CLASSES = {
    str(PatientRootQueryRetrieveInformationModelGet): Root.PATIENT,
    str(StudyRootQueryRetrieveInformationModelGet): Root.STUDY,
    str(PatientStudyOnlyQueryRetrieveInformationModelGet): Root.PATIENT_STUDY,
}
UNKNOWN_DESTINATION = 0xA801

_Outcomes = Generator[StoreOutcome, None, None]


class RetrieveSCP:
    """Sends objects to who asks for them, or to whom is named, from several associations at once."""

    def __init__(
        self, remotes: Sequence[RemoteSettings], engine: Engine, files: ObjectStore, recorder: Recorder
    ) -> None:
        """`remotes` are those that objects can be moved to, where it is known where they listen; `recorder` takes who
        has got what."""
        self._recorder = recorder
        self._remotes, self._engine, self._files = tuple(remotes), engine, files
        self._sparing = Sparing(log)

    def move(self, messages: Messages, request: Request, identifier: bytes) -> None:
        """Serve a C-MOVE."""
        command = request.command
        destination = next(
            (it for it in self._remotes if it.ae_title == command.move_destination and it.can_be_called), None
        )
        if destination is None:
            reason = f"no remote {title(command.move_destination)} with host and port"
            self._refuse(messages, request, Refusal(UNKNOWN_DESTINATION, reason))
            return
        originator = Originator(_calling_ae(messages.assoc), command.message_id)
        self._serve(messages, request, identifier, lambda files: moved(files, destination, originator))

    def get(self, messages: Messages, request: Request, identifier: bytes) -> None:
        """Serve a C-GET."""
        self._serve(messages, request, identifier, lambda files: sent_back(files, messages))

    def _serve(
        self,
        messages: Messages,
        request: Request,
        encoded: bytes,
        send: Callable[[Sequence[Sendable]], _Outcomes],
    ) -> None:
        context = messages.assoc._accepted_cx[request.context_id]
        try:
            root = (MOVE_CLASSES | GET_CLASSES)[str(context.abstract_syntax)]
            identifier = read_identifier(encoded, context.transfer_syntax[0], root)
            files = self._matches(identifier)
        except IdentifierError as error:
            tags = () if error.tag is None else (int(error.tag),)
            self._refuse(messages, request, Refusal(MISMATCH, str(error), tags))
        except TooManyObjectsError as error:
            self._refuse(messages, request, Refusal(UNABLE_TO_CALCULATE, f"{error} match; ask for less at once"))
        except SQLAlchemyError:
            log.exception("retrieval: the objects cannot be looked up")
            self._refuse(messages, request, Refusal(UNABLE_TO_CALCULATE, "the objects cannot be looked up"))
        else:
            tally = Tally(len(files))
            studies = {each.header.study_instance_uid for each in files}
            record = _Record(messages, request, files)
            self._recorder.add(*record.begin())
            try:
                with self._files.locks.using(studies), closing(send(files)) as outcomes:
                    _answer(record.of(outcomes), tally, Answers(messages, request))
            finally:  # also where the one who asked is gone
                self._recorder.add(*record.end())
                log.info("%s: %s level, %s", _words(messages, request), identifier.level, tally)

    def _matches(self, identifier: Identifier) -> list[Sendable]:
        keys = _unique_keys(identifier)
        with self._engine.connect() as connection:
            found = retrieval.objects(connection, keys, MOST)
        return [Sendable(self._files.absolute(file), header, file.size) for header, file in found]

    def _refuse(self, messages: Messages, request: Request, refusal: Refusal) -> None:
        kind, who = f"retrieval refused with {refusal.status:04X}", messages.assoc.requestor.address
        self._sparing.write(logging.WARNING, kind, who, "%s: %s: %s", _words(messages, request), kind, refusal.reason)
        event = _event(AuditAction.SENT, messages, request)
        self._recorder.add_recurring(replace(event, succeeded=False, detail=refusal.reason))
        Answers(messages, request).refuse(refusal)


class _Record:
    """What is put on record of one request: of each study that it begins, and how many of its objects were sent."""

    def __init__(self, messages: Messages, request: Request, files: Sequence[Sendable]) -> None:
        self._begin = _event(AuditAction.SENDING, messages, request)
        self._end = _event(AuditAction.SENT, messages, request)
        self._classes = {it.path: it.header.sop_class_uid for it in files}
        self._wanted = Counter(it.header.study_instance_uid for it in files)
        self._sent: dict[str, Counter[str]] = {}

    def begin(self) -> list[AuditEvent]:
        """An event for each study."""
        return [
            replace(self._begin, study_instance_uid=uid, detail=f"{count} objects")
            for uid, count in self._wanted.items()
        ]

    def of(self, outcomes: _Outcomes) -> _Outcomes:
        """The same outcomes, counted."""
        for each in outcomes:
            if each.result is StoreResult.SENT:
                classes = self._sent.setdefault(each.study_instance_uid, Counter())
                classes[self._classes.get(each.path, "")] += 1
            yield each

    def end(self) -> list[AuditEvent]:
        """An event for each study: it succeeded where all of its objects were sent."""
        return [self._ended(uid, count) for uid, count in self._wanted.items()]

    def _ended(self, uid: str, count: int) -> AuditEvent:
        classes = self._sent.get(uid, Counter())
        facts, sent = replace(self._end.facts, sop_classes=dict(classes)), classes.total()
        said = f"{sent} of {count} objects"
        return replace(
            self._end, at=utc_now(), succeeded=sent == count, study_instance_uid=uid, detail=said, facts=facts
        )


def _event(action: AuditAction, messages: Messages, request: Request) -> AuditEvent:
    association, command = messages.assoc, request.command
    is_move = command.field == C_MOVE_RQ
    facts = Facts(service="C-MOVE" if is_move else "C-GET", destination=command.move_destination if is_move else "")
    address = str(association.requestor.address)
    return AuditEvent(utc_now(), action, True, address=address, remote=_calling_ae(association), facts=facts)


def _answer(outcomes: _Outcomes, tally: Tally, answers: Answers) -> None:
    """Tell what becomes of the objects, until all have ended or the request is cancelled."""
    while tally.remaining:
        if answers.cancelled:
            answers.cancel(tally)
            return
        tally.add(next(outcomes))
        if tally.remaining:
            answers.pending(tally)
    answers.end(tally)


def _unique_keys(identifier: Identifier) -> UniqueKeys:
    """Those of the level, and of all above it (PS3.4 C.4.2.2.1: the node does not offer relational retrieval).

    Raises:
        IdentifierError: that of the level has no value, or one of them is no UID.
    """
    said = {key.keyword: key.values for key in identifier.keys}
    values = {level: said.get(UNIQUE_KEYS[level], ()) for level in identifier.level.and_above}
    keyword, asked = UNIQUE_KEYS[identifier.level], values[identifier.level]
    if not asked or (identifier.level is Level.PATIENT and len(asked) > 1):
        what = "several values" if asked else "no value"
        raise IdentifierError(f"{keyword} has {what}", tag_for_keyword(keyword))
    patient = values.pop(Level.PATIENT, ())
    for level, uids in values.items():
        _check_uids(UNIQUE_KEYS[level], uids)
    of_level = (values.get(level, ()) for level in (Level.STUDY, Level.SERIES, Level.IMAGE))
    return UniqueKeys("".join(patient), *of_level)


def _check_uids(keyword: str, uids: Sequence[str]) -> None:
    try:
        for uid in uids:
            check_uid(uid, keyword)
    except HeaderError as error:
        raise IdentifierError(f"{keyword} is not a UID", tag_for_keyword(keyword)) from error


def _calling_ae(association: Association) -> str:
    return str(association.requestor.ae_title).strip()


def _words(messages: Messages, request: Request) -> str:
    """The request for a log."""
    association, command = messages.assoc, request.command
    who = f"from {title(_calling_ae(association))} at {association.requestor.address}"
    if command.field == C_MOVE_RQ:
        return f"C-MOVE {who} to {title(command.move_destination)}"
    return f"{'C-GET' if command.field == C_GET_RQ else 'retrieval'} {who}"
