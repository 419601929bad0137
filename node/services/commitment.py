"""The SCP of storage commitment (PS3.4 J.3): requests, and whether what they name is kept here.

A request is durable before it is accepted. It is reported over an association to the remote that asked
(`node.services.reporter`); to one that cannot be called, at once over its own.

An object is committed when it is registered under its SOP class and SOP Instance UID, and the data set in its file is
that which was acknowledged, byte for byte: the file is read again and its digest compared. Who asks may delete its own
copy by our word, and the report is in no hurry. Of several objects of one UID the last that came counts.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from pydicom import Dataset
from pynetdicom.events import Event
from sqlalchemy.exc import SQLAlchemyError

from node.clock import Clock, utc_now
from node.dicom.command import INVALID_ARGUMENT, NOT_AUTHORISED, PROCESSING_FAILURE, Refusal
from node.dicom.commitment import InvalidArgumentError, read_request, report_on, status_of, taken
from node.dicom.settlement import settle
from node.errors import TransientError, told
from node.logs import Sparing, title
from node.services.association import AcceptedAssociation
from storage.commitment_requests import CommitmentRequests, KeptObject
from storage.commitments import CommitmentReport, Commitments
from storage.errors import StorageError
from storage.files import ObjectStore
from storage.header import content_of
from storage.records import CommitmentRequest, Reference, StoredFile

log = logging.getLogger(__name__)

# Failure Reason (0008,1197), PS3.3 C.14.1.1.
NO_SUCH_INSTANCE, CONFLICT, DUPLICATE_TRANSACTION = 0x0112, 0x0119, 0x0131

#: For the report over the association of the request, in s; afterwards there is nobody any more who could take it.
_ON_THE_SAME_S = 300.0


class CommitmentSCP:
    """Takes requests for commitment, from several associations at once."""

    def __init__(self, files: ObjectStore, requests: CommitmentRequests, clock: Clock = utc_now) -> None:
        self._files, self._requests, self._clock = files, requests, clock
        self._sparing = Sparing(log)

    def __call__(self, event: Event) -> tuple[Dataset, None]:
        """Handler of EVT_N_ACTION."""
        refusal = self._refusal(event)
        _tell(self._sparing, event, "commitment request refused", refusal)
        return status_of(refusal), None

    def _refusal(self, event: Event) -> Refusal | None:
        askers = [it for it in event.assoc.remotes if it.may_commit]
        if not askers:
            return Refusal(NOT_AUTHORISED, "this remote may not ask for commitment")
        remote = next((it for it in askers if it.can_be_called), askers[0])
        try:
            transaction_uid, references = read_request(event)
        except InvalidArgumentError as error:
            return Refusal(INVALID_ARGUMENT, str(error))
        now = self._clock()
        report_at = now if remote.can_be_called else now + timedelta(seconds=_ON_THE_SAME_S)
        called = event.assoc.requestor.primitive.called_ae_title.strip()
        try:
            kept = self._requests.keep(transaction_uid, remote.name, called, references, now, report_at)
        except (SQLAlchemyError, StorageError) as error:
            return Refusal(PROCESSING_FAILURE, f"the request could not be written: {told(error)}")
        log.info("remote %s asks to commit %d objects: %s", remote.name, len(references), transaction_uid)
        if not remote.can_be_called:
            event.assoc.afterwards.append(partial(self._report_on, event.assoc, kept))
        return None

    def _report_on(self, association: AcceptedAssociation, identifier: int) -> None:
        """Report to one that cannot be called, while its association is there."""
        try:
            request = self._requests.request(identifier)
            committed, failed = judged(request, self._requests, self._files)
            report_on(association, request.transaction_uid, committed, failed)
            self._requests.taken(identifier)
        except (TransientError, OSError) as error:
            reason = f"{told(error)}; the remote has no host and port at which it could be called"
            self._requests.give_up(identifier, reason)
            log.error("commitment report %s is not sent any more: %s", request.transaction_uid, reason)
        except (SQLAlchemyError, StorageError) as error:
            log.error("commitment request %d could not be reported: %s", identifier, told(error))


class ReportTaker:
    """Takes what destinations report of storage commitment that they were asked for."""

    def __init__(self, commitments: Commitments, clock: Clock = utc_now) -> None:
        self._commitments, self._clock = commitments, clock
        self._sparing = Sparing(log)

    def __call__(self, event: Event) -> tuple[Dataset, None]:
        """Handler of EVT_N_EVENT_REPORT."""
        reporters = [it for it in event.assoc.remotes if it.commitment]

        def take(report: CommitmentReport) -> Refusal | None:
            try:
                return settle(report, reporters, self._commitments, self._clock())
            except SQLAlchemyError as error:
                return Refusal(PROCESSING_FAILURE, f"the report could not be written: {told(error)}")

        refusal = taken(event, take)
        _tell(self._sparing, event, "commitment report refused", refusal)
        return status_of(refusal), None


def _tell(sparing: Sparing, event: Event, what: str, refusal: Refusal | None) -> None:
    """One line a minute for what one remote is refused."""
    if refusal is not None:
        other = event.assoc.requestor
        who = f"{title(other.ae_title.strip())} at {other.address}"
        sparing.write(logging.WARNING, what, who, "%s: AE %s: 0x%04X, %s", what, who, refusal.status, refusal.reason)


def judged(
    request: CommitmentRequest, requests: CommitmentRequests, files: ObjectStore
) -> tuple[list[Reference], dict[Reference, int]]:
    """What of a request is committed, and why the rest is not (Failure Reason)."""
    if request.duplicate:
        return [], dict.fromkeys(request.references, DUPLICATE_TRANSACTION)
    committed: list[Reference] = []
    failed: dict[Reference, int] = {}
    kept = requests.kept([reference.sop_instance_uid for reference in request.references])
    for reference in request.references:
        reason = _why_not(reference, kept.get(reference.sop_instance_uid, []), files)
        if reason is None:
            committed.append(reference)
        else:
            failed[reference] = reason
    return committed, failed


def _why_not(reference: Reference, kept: Sequence[KeptObject], files: ObjectStore) -> int | None:
    if not kept:
        return NO_SUCH_INSTANCE
    of_class = [it.file for it in kept if it.sop_class_uid == reference.sop_class_uid]
    if not of_class:
        return CONFLICT
    if fault := _damage(of_class[-1], files):
        log.error("object %s is not committed: %s", reference.sop_instance_uid, fault)
        return PROCESSING_FAILURE
    return None


def _damage(file: StoredFile, files: ObjectStore) -> str:
    """What is wrong with a file; empty where its data set is the one that was stored."""
    path = files.absolute(file)
    try:
        if content_of(path).digest == file.digest:
            return ""
    except (OSError, StorageError) as error:
        return f"{file.path}: {told(error)}"
    return f"{file.path}: its content is not the one that was stored"
