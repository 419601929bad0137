"""The storage SCP: what becomes of an object that a C-STORE, or a request of STOW-RS, brings.

The received bytes are stored as they came, and Success is said only when file and index row are durable. What
cannot be indexed goes to quarantine with its reason and a failure status: nothing is lost. How a series will be
used plays no part here.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from weakref import WeakKeyDictionary

from sqlalchemy.exc import SQLAlchemyError

from node.dicom.command import MISMATCH, Command, Refusal
from node.logs import Sparing, title
from node.recognition.header.rejections import rejection_note
from node.services import part10
from node.services.brought import Brought
from node.services.leases import Leases, Sender
from storage.errors import HeaderError, StorageError
from storage.files import ObjectStore
from storage.header import read_header
from storage.index import Index
from storage.known_answer import AE_TITLE, is_of_check
from storage.records import InstanceHeader, OpenAssociation, Registration
from storage.reopening import changes_plan
from storage.spool import SpooledFile

log = logging.getLogger(__name__)

OUT_OF_RESOURCES = 0xA700
CANNOT_UNDERSTAND = 0xC000

_GIGABYTE = 1e9
_MOST_STUDIES = 100
_LONGEST_S = 600.0
"""A sender that has brought so many studies, or for so long, is put on record before its end: memory has a bound, and
what a kill would lose of it as well."""

Recorded = Callable[[Sender, "dict[str, Brought]"], None]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A C-STORE whose data set is coming, and, where its command was refused already, why."""

    sender: Sender
    command: Command
    transfer_syntax: str
    refusal: Refusal | None = None

    @property
    def head(self) -> bytes:
        """Preamble and file meta information; of a refused command only what is sure."""
        if self.refusal is not None:
            return part10.head_without_uids(self.transfer_syntax)
        return part10.head(self.command.sop_class_uid, self.command.sop_instance_uid, self.transfer_syntax)

    def mismatch(self, header: InstanceHeader) -> str:
        """How command and data set contradict one another; empty when they agree (PS3.4 B.2.3, status A9xx)."""
        pairs = (
            ("SOP Class UID", header.sop_class_uid, self.command.sop_class_uid),
            ("SOP Instance UID", header.sop_instance_uid, self.command.sop_instance_uid),
        )
        for name, in_data_set, in_command in pairs:
            if in_data_set != in_command:
                return f"{name} is {in_command} in the command and {in_data_set} in the data set"
        return ""


@dataclass(frozen=True, slots=True)
class FileArrival:
    """A file whose data set is coming.

    Attributes:
        head: preamble and file meta information as they came.
        study: that it must be of; empty where any will do.
    """

    sender: Sender
    transfer_syntax: str
    head: bytes
    study: str = ""
    refusal: Refusal | None = None

    def mismatch(self, header: InstanceHeader) -> str:
        """That it is of another study than the one that is meant; empty where it is not."""
        if self.study and header.study_instance_uid != self.study:
            return f"Study Instance UID is {header.study_instance_uid}, and the request is for {self.study}"
        return ""


class Incoming(Protocol):
    """An object whose data set is coming, by whatever protocol."""

    @property
    def sender(self) -> Sender:
        """Who sends it."""

    @property
    def transfer_syntax(self) -> str:
        """What its data set is encoded in."""

    @property
    def head(self) -> bytes:
        """What stands before the data set in its file."""

    @property
    def refusal(self) -> Refusal | None:
        """Why it is refused already."""

    def mismatch(self, header: InstanceHeader) -> str:
        """How the data set contradicts what was said before it; empty where it does not."""


class Reception:
    """A data set on its way into the spool; of one that is refused meanwhile nothing is kept.

    Attributes:
        header: of an object that could be indexed, once it is whole.
        registration: what registering it meant; None where that has not come to be.
    """

    def __init__(self, scp: StorageSCP, arrival: Incoming) -> None:
        self.arrival = arrival
        self.header: InstanceHeader | None = None
        self.registration: Registration | None = None
        self.file: SpooledFile | None = None
        self.refusal: Refusal | None = None
        self._scp = scp

    def write(self, piece: memoryview) -> None:
        """Append to the file, unless the object is refused already."""
        if self.file is None:
            return
        if self.file.data_set_size + len(piece) > self._scp.largest_object:
            self._scp.refuse_size(self)
            return
        try:
            self.file.write(piece)
        except OSError as error:
            self._scp.refuse_for(self, error)

    def end(self) -> Refusal | None:
        """Keep the object; why it is refused, None when it is acknowledged."""
        return self._scp.take(self)

    def discard(self) -> None:
        """Remove what has come."""
        if self.file is not None:
            self.file.discard()
            self.file = None


@dataclass(slots=True)
class _Load:
    """What a sender has brought since a moment, by study."""

    since: float
    studies: dict[str, Brought] = field(default_factory=dict)


class StorageSCP:
    """Takes objects in, from several associations at once.

    Attributes:
        largest_object: bytes of a data set; a larger one is refused.
    """

    def __init__(
        self,
        store: ObjectStore,
        index: Index,
        leases: Leases,
        minimum_free_gb: float,
        largest_object_gb: float,
        recorded: Recorded | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`recorded` puts on record what a sender has brought that does not end soon; None: it is not counted."""
        self._store, self._index, self._leases = store, index, leases
        self._minimum_free = minimum_free_gb * _GIGABYTE
        self.largest_object = int(largest_object_gb * _GIGABYTE)
        self._sparing = Sparing(log)
        self._storing = 0
        self._counts: Counter[str] = Counter()
        self._brought: WeakKeyDictionary[Sender, _Load] = WeakKeyDictionary()
        self._recorded, self._clock = recorded, clock
        # Associations count in threads of their own; who stops waits until none is in the middle of an object.
        self._idle = threading.Condition()

    @property
    def counts(self) -> dict[str, int]:
        """Objects since the start, by how they ended."""
        with self._idle:
            return dict(self._counts)

    def wait_until_idle(self) -> None:
        """Return when no object that has come whole is in the middle of being stored."""
        with self._idle:
            self._idle.wait_for(lambda: self._storing == 0)

    def begin(self, arrival: Incoming) -> Reception:
        """What takes the data set of an object."""
        reception = Reception(self, arrival)
        if self._store.free_bytes() < self._minimum_free:
            self._tell(logging.ERROR, arrival, "object refused", f"disk below {self._minimum_free / _GIGABYTE:g} GB")
            reception.refusal = Refusal(OUT_OF_RESOURCES, "disk space is low")
            return reception
        try:
            reception.file = self._store.spool_file(arrival.head, arrival.transfer_syntax)
        except OSError as error:
            self.refuse_for(reception, error)
        return reception

    def refuse_size(self, reception: Reception) -> None:
        """The object is larger than the settings allow."""
        reception.discard()
        limit = f"larger than {self.largest_object / _GIGABYTE:g} GB"
        self._tell(logging.WARNING, reception.arrival, "object refused", limit)
        reception.refusal = Refusal(OUT_OF_RESOURCES, f"the object is {limit}")

    def refuse_for(self, reception: Reception, error: Exception) -> None:
        """The object cannot be stored now."""
        reception.discard()
        self._tell(logging.ERROR, reception.arrival, "object could not be stored", str(error))
        reception.refusal = Refusal(OUT_OF_RESOURCES, "the object could not be stored")

    def take(self, reception: Reception) -> Refusal | None:
        """Keep an object whose data set is whole; why it is refused, None when it is acknowledged."""
        with self._counted():
            if reception.file is not None:
                try:
                    reception.refusal = self._keep(reception.file, reception)
                except (OSError, MemoryError, StorageError, SQLAlchemyError) as error:
                    self.refuse_for(reception, error)
                finally:
                    reception.discard()
            refusal = reception.refusal
            self._count(f"status {0 if refusal is None else refusal.status:04X}")
            self._note(reception, refusal)
        return refusal

    def brought_by(self, sender: Sender) -> dict[str, Brought]:
        """What a sender has brought until now, by study; from here on it is counted anew."""
        with self._idle:
            load = self._brought.pop(sender, None)
        return load.studies if load else {}

    def _note(self, reception: Reception, refusal: Refusal | None) -> None:
        if self._recorded is None:
            return
        header, sender = reception.header, reception.arrival.sender
        now = self._clock()
        with self._idle:
            load = self._brought.setdefault(sender, _Load(now))
            brought = load.studies.setdefault(header.study_instance_uid if header else "", Brought())
            if refusal is None and header is not None:
                brought.stored[header.sop_class_uid] += 1
            else:
                brought.refused += 1
            is_long = len(load.studies) >= _MOST_STUDIES or now - load.since >= _LONGEST_S
        if is_long:
            self._recorded(sender, self.brought_by(sender))

    def _keep(self, file: SpooledFile, reception: Reception) -> Refusal | None:
        arrival = reception.arrival
        if arrival.refusal is not None:
            return self._quarantine(file, arrival, arrival.refusal)
        try:
            reception.header = header = read_header(file)
        except HeaderError as error:
            return self._quarantine(file, arrival, Refusal(CANNOT_UNDERSTAND, str(error)))
        if is_of_check(header.study_instance_uid) != (arrival.sender.ae_title == AE_TITLE):
            return Refusal(MISMATCH, "studies of the known-answer check, and no others, are stored by it")
        if mismatch := arrival.mismatch(header):
            return self._quarantine(file, arrival, Refusal(MISMATCH, mismatch))
        reception.registration = registration = self._register(file, header, arrival)
        self._count(registration)
        log.debug("object %s of study %s: %s", header.sop_instance_uid, header.study_instance_uid, registration)
        return None

    def _register(self, file: SpooledFile, header: InstanceHeader, arrival: Incoming) -> Registration:
        now = datetime.now(UTC)
        claim = self._leases.claim(arrival.sender, header.study_instance_uid, now)
        registration = admit(file, header, arrival.sender.ae_title, now, self._store, self._index, claim)
        if claim is not None and registration is not Registration.OWN_RESULT and changes_plan(header):
            self._leases.keep(arrival.sender, header.study_instance_uid, claim)
        return registration

    def _quarantine(self, spooled: SpooledFile, arrival: Incoming, refusal: Refusal) -> Refusal:
        file = self._store.quarantine(spooled, refusal.reason)
        self._index.keep_quarantine(file, refusal.reason, arrival.sender.ae_title, datetime.now(UTC))
        self._count("quarantined")
        self._tell(logging.WARNING, arrival, "object kept in quarantine", f"{refusal.reason} ({file.path.name})")
        return refusal

    def _tell(self, level: int, arrival: Incoming, what: str, why: str) -> None:
        """One line a minute for what happens to each object of a series."""
        sender = f"{title(arrival.sender.ae_title)} at {arrival.sender.address}"
        self._sparing.write(level, what, sender, "%s from %s: %s", what, sender, why)

    def _count(self, what: str) -> None:
        with self._idle:
            self._counts[what] += 1

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._idle:
            self._storing += 1
        try:
            yield
        finally:
            with self._idle:
                self._storing -= 1
                self._idle.notify_all()


def admit(
    spooled: Path | SpooledFile,
    header: InstanceHeader,
    calling_ae: str,
    now: datetime,
    store: ObjectStore,
    index: Index,
    claim: OpenAssociation | None = None,
) -> Registration:
    """Keep an object that can be indexed and make it known; of a result of this node nothing has to be kept.

    Args:
        spooled: a complete file in the spool, which is moved.
        header: of that file.
        calling_ae: who sent it.
        now: the time of its arrival.
        store: where its bytes are kept.
        index: where it is made known.
        claim: the association that brings it, where it is the first object of its study in it.
    """
    if index.has_uid_of_result(header.sop_instance_uid):
        return Registration.OWN_RESULT
    # A removal of the same content that is under way must not take the file that the row is about to name.
    with store.locks.using([header.study_instance_uid]):
        placed = store.place(spooled, header)
        note = rejection_note(store.absolute(placed.file), header.sop_class_uid)
        # The folder is synced meanwhile. Where the power goes in between, the row may be there without it: see
        # `recovery`.
        try:
            return index.register(header, placed.file, calling_ae, now, claim, note)
        finally:
            placed.wait()
