"""Facts of the storage, frozen, and the one table of allowed study states.

All times are timezone-aware and in UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from storage.identity import Content, InstanceKey


@dataclass(frozen=True, slots=True)
class InstanceHeader:
    """The elements of a data set that the index needs: (0008,0016), (0008,0018), (0020,000D), (0020,000E)
    and, of the file meta information, (0002,0010).

    `made_here` and `sources` are what `storage.origin` tells of one that was read from bytes; they are not kept.
    """

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    made_here: bool = field(default=False, compare=False)
    sources: tuple[str, ...] = field(default=(), compare=False, repr=False)

    @property
    def key(self) -> InstanceKey:
        """Which object of its study it is."""
        return InstanceKey(self.series_instance_uid, self.sop_instance_uid)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A DICOM file of the object store.

    `path` is relative to the root of the store. `digest` is the SHA-256 (hex) of the data set bytes, without
    preamble and file meta information: the same data set has the same digest whatever implementation wrote
    the meta information. `size` is that of the whole file in bytes.
    """

    path: Path
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """One received revision of an instance.

    `revision` counts what arrived under its SOP Instance UID in the study, from 1 on: of one object the greatest is the
    one that arrived last.
    """

    header: InstanceHeader
    revision: int
    file: StoredFile
    calling_ae: str
    received_at: datetime

    @property
    def content(self) -> Content:
        """Its content."""
        return Content(self.file.digest, self.header.transfer_syntax_uid)


@dataclass(frozen=True, slots=True, order=True)
class PatientIdentity:
    """Whom a header names: digests of its Patient ID, of the issuer of that ID and of the birth date.

    Each is empty where the header states none. Who that is cannot be read from it, and is kept nowhere else.
    """

    identifier: str = ""
    issuer: str = ""
    born: str = ""


NOBODY = PatientIdentity()


@dataclass(frozen=True, slots=True)
class RejectionNote:
    """A key object note that rejects objects (IHE IOCM): code of its title (DCM), and the objects by their study."""

    title: str
    objects: tuple[tuple[str, InstanceKey], ...]


@dataclass(frozen=True, slots=True)
class OpenAssociation:
    """An association that stores objects; taken as ended after `until` unless its lease is renewed."""

    identifier: str
    until: datetime


class ObjectOrigin(StrEnum):
    """How an object came to be here.

    RETURNED are results of a node that came back under other UIDs than they were sent under; they belong to no study.
    """

    RECEIVED = "RECEIVED"
    MADE = "MADE"
    RETURNED = "RETURNED"


class Registration(StrEnum):
    """Outcome of registering a received instance."""

    NEW = "NEW"
    DUPLICATE = "DUPLICATE"
    REVISED = "REVISED"
    OWN_RESULT = "OWN_RESULT"


class StudyState(StrEnum):
    """Where a revision of a study stands."""

    RECEIVING = "RECEIVING"
    QUEUED = "QUEUED"
    COMPLETED = "COMPLETED"
    REFUSED = "REFUSED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


STUDY_TRANSITIONS: dict[StudyState, frozenset[StudyState]] = {
    StudyState.RECEIVING: frozenset({StudyState.QUEUED, StudyState.REFUSED, StudyState.FAILED}),
    StudyState.QUEUED: frozenset({StudyState.COMPLETED, StudyState.REFUSED, StudyState.FAILED, StudyState.CANCELLED}),
    StudyState.COMPLETED: frozenset(),
    StudyState.REFUSED: frozenset(),
    StudyState.FAILED: frozenset(),
    StudyState.CANCELLED: frozenset(),
}
"""Moves within one revision. Back to RECEIVING leads only the beginning of the next revision: from any state a new or
changed instance (`Index.register`), from one of `ENDED_STATES` a person (`storage.reruns`)."""

ENDED_STATES = frozenset({StudyState.COMPLETED, StudyState.REFUSED, StudyState.FAILED, StudyState.CANCELLED})


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """A study.

    `changed`: an instance of it arrived again with another content. `reason`: why it is in its state; what a RECEIVING
    one waits for, why others were refused or failed. `caution`: what those who read its results have to know of the
    images that were sent; completion says it of a revision that it queues.
    """

    study_instance_uid: str
    revision: int
    state: StudyState
    series_count: int
    instance_count: int
    first_received_at: datetime
    last_received_at: datetime
    changed: bool
    reason: str
    caution: str = ""


@dataclass(frozen=True, slots=True)
class ResultRecord:
    """An object that the node made for a revision of a study."""

    study_instance_uid: str
    revision: int
    role: str
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    file: StoredFile
    transfer_syntax_uid: str = "1.2.840.10008.1.2.1"  # Explicit VR Little Endian


REJECTION_NOTE = "rejection-note"
"""The role of a result that is a note: it rejects others where they are, and is for no other destination."""


class DeliveryState(StrEnum):
    """Where the delivery of one result to one destination stands.

    QUEUED: it is to be sent when its time has come. CLAIMED: a process sends it; another may take it when the lease has
    run out. STORED: the destination answered with status 0000 or a warning (Bxxx). COMMITTED: it has taken
    responsibility for it (PS3.4 Annex J). FAILED: it waits for a person. UNKNOWN: the files are there and what became
    of their deliveries is not (the index was made anew from them); nothing is sent until a person orders it, and where
    there is a reason, until a person names the object.
    STOPPED and REVOKED are those of results that name, or were made from, another patient than the study: they are
    never sent, or may have been sent and a person has to withdraw them there.
    """

    QUEUED = "QUEUED"
    CLAIMED = "CLAIMED"
    STORED = "STORED"
    COMMITTED = "COMMITTED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"
    STOPPED = "STOPPED"
    REVOKED = "REVOKED"


OPEN_DELIVERIES = frozenset({DeliveryState.QUEUED, DeliveryState.CLAIMED})
"""States of what is still to be sent."""

UNSETTLED_DELIVERIES = OPEN_DELIVERIES | {DeliveryState.FAILED, DeliveryState.REVOKED}
"""States in which something is still to be done, by the node or by a person."""

NOT_ARRIVED = frozenset({DeliveryState.FAILED, DeliveryState.UNKNOWN})
"""States of what is not sent, or sent again, until a person orders it."""

DELIVERED = frozenset({DeliveryState.STORED, DeliveryState.COMMITTED})
"""States of what the destination has, as it said itself."""

DELIVERY_TRANSITIONS: dict[DeliveryState, frozenset[DeliveryState]] = {
    DeliveryState.QUEUED: frozenset({DeliveryState.CLAIMED, DeliveryState.STORED, DeliveryState.STOPPED}),
    DeliveryState.CLAIMED: frozenset(
        {
            DeliveryState.QUEUED,
            DeliveryState.CLAIMED,
            DeliveryState.STORED,
            DeliveryState.FAILED,
            DeliveryState.STOPPED,
        }
    ),
    DeliveryState.STORED: frozenset(
        {DeliveryState.QUEUED, DeliveryState.COMMITTED, DeliveryState.FAILED, DeliveryState.REVOKED}
    ),
    DeliveryState.COMMITTED: frozenset({DeliveryState.QUEUED, DeliveryState.REVOKED}),
    DeliveryState.FAILED: frozenset({DeliveryState.QUEUED, DeliveryState.STOPPED}),
    DeliveryState.UNKNOWN: frozenset({DeliveryState.QUEUED, DeliveryState.REVOKED}),
    DeliveryState.STOPPED: frozenset({DeliveryState.QUEUED, DeliveryState.REVOKED}),
    DeliveryState.REVOKED: frozenset({DeliveryState.QUEUED, DeliveryState.STORED, DeliveryState.UNKNOWN}),
}
"""Moves of a delivery; what has ended only a person brings back to QUEUED, save what the destination stored and then,
asked for commitment, says that it has not: it is QUEUED again some times, then FAILED. QUEUED becomes STORED where the
one who sent it had lost the claim before the answer came."""


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """One result for one destination; `attempts` counts those made, `reason` is that of the last one."""

    identifier: int
    result: ResultRecord
    destination: str
    state: DeliveryState
    attempts: int
    next_attempt_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Reference:
    """An object that is named by its SOP class and its SOP Instance UID (Referenced SOP Sequence, PS3.3 C.14)."""

    sop_class_uid: str
    sop_instance_uid: str


class CommitmentState(StrEnum):
    """Where a transaction stands by which a destination is asked for storage commitment (PS3.4 Annex J).

    ASKED: the request is about to be sent, or was sent and not answered. ACCEPTED: the destination will report.
    REPORTED: it has. REFUSED: it has refused the request. UNSUPPORTED: it accepts no presentation context for it.
    """

    ASKED = "ASKED"
    ACCEPTED = "ACCEPTED"
    REPORTED = "REPORTED"
    REFUSED = "REFUSED"
    UNSUPPORTED = "UNSUPPORTED"


class ReportState(StrEnum):
    """What became of a request for commitment that came here; the report of a QUEUED one is still to be taken."""

    QUEUED = "QUEUED"
    TAKEN = "TAKEN"
    GIVEN_UP = "GIVEN_UP"


@dataclass(frozen=True, slots=True)
class CommitmentRequest:
    """A request for commitment that was accepted here (N-ACTION, PS3.4 J.3.2).

    `remote` is the name of the one that asked, `called_ae` what it calls this node. `duplicate`: another request had
    its Transaction UID before. `attempts` counts those to report, `reason` is that of the last one.
    """

    identifier: int
    transaction_uid: str
    remote: str
    called_ae: str
    references: tuple[Reference, ...]
    duplicate: bool
    received_at: datetime
    state: ReportState
    attempts: int
    next_attempt_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Revocation:
    """Which results of earlier revisions of a study are of another patient, all that are, and why."""

    sop_instance_uids: frozenset[str]
    reason: str


class QuarantineState(StrEnum):
    """State of bytes in quarantine."""

    HELD = "HELD"
    RELEASED = "RELEASED"
    DISCARDED = "DISCARDED"


@dataclass(frozen=True, slots=True)
class QuarantineRecord:
    """Received bytes that cannot be indexed, kept with the reason.

    `ended_because`: why a person released or discarded them, at `ended_at`; the file of what was discarded is gone.
    """

    identifier: int
    file: StoredFile
    reason: str
    calling_ae: str
    received_at: datetime
    state: QuarantineState = QuarantineState.HELD
    ended_at: datetime | None = None
    ended_because: str = ""
