"""The storage SCP: what becomes of an object that a C-STORE brings.

The received bytes are stored as they came, and Success is said only when file and index row are durable. What
cannot be indexed goes to quarantine with its reason and a failure status: nothing is lost. How a series will be
used plays no part here.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID
from pynetdicom import Association
from pynetdicom.dsutils import create_file_meta, encode_file_meta
from sqlalchemy.exc import OperationalError

from node.dicom.command import MISMATCH, Command, Refusal
from node.logs import Sparing, title
from node.recognition.header.rejections import rejection_note
from node.services.leases import Leases
from storage.errors import HeaderError, StorageError
from storage.files import ObjectStore
from storage.header import read_header
from storage.index import Index
from storage.records import InstanceHeader, OpenAssociation, Registration
from storage.reopening import changes_plan

log = logging.getLogger(__name__)

OUT_OF_RESOURCES = 0xA700
CANNOT_UNDERSTAND = 0xC000

_GIGABYTE = 1e9


@dataclass(frozen=True, slots=True)
class Received:
    """A C-STORE whose data set is there, and, where its command was refused already, why."""

    association: Association
    command: Command
    transfer_syntax: str
    data_set: BytesIO
    refusal: Refusal | None = None

    @property
    def calling_ae(self) -> str:
        """Who sent it."""
        return self.association.requestor.ae_title.strip()

    @property
    def address(self) -> str:
        """Where from."""
        return self.association.requestor.address

    @property
    def head(self) -> bytes:
        """Preamble and file meta information; of a refused command only what is sure."""
        if self.refusal is None:
            command = self.command
            meta = encode_file_meta(
                create_file_meta(
                    sop_class_uid=UID(command.sop_class_uid),
                    sop_instance_uid=UID(command.sop_instance_uid),
                    transfer_syntax=UID(self.transfer_syntax),
                )
            )
        else:
            known = FileMetaDataset()
            known.TransferSyntaxUID = UID(self.transfer_syntax)
            buffer = DicomBytesIO()
            write_file_meta_info(buffer, known, enforce_standard=False)
            meta = buffer.getvalue()
        return b"\0" * 128 + b"DICM" + meta


class StorageSCP:
    """Takes objects in, from several associations at once."""

    def __init__(self, store: ObjectStore, index: Index, leases: Leases, minimum_free_gb: float) -> None:
        self._store, self._index, self._leases = store, index, leases
        self._minimum_free = minimum_free_gb * _GIGABYTE
        self._sparing = Sparing(log)
        self._storing = 0
        self._counts: Counter[str] = Counter()
        # Associations count in threads of their own; who stops waits until none is in the middle of an object.
        self._idle = threading.Condition()

    @property
    def counts(self) -> dict[str, int]:
        """Objects since the start, by how they ended."""
        with self._idle:
            return dict(self._counts)

    def wait_until_idle(self) -> None:
        """Return when no object is in the middle of being stored."""
        with self._idle:
            self._idle.wait_for(lambda: self._storing == 0)

    def take(self, received: Received) -> Refusal | None:
        """Keep an object; why it is refused, None when it is acknowledged."""
        with self._counted():
            try:
                refusal = self._take(received)
            except (OSError, StorageError, OperationalError) as error:
                self._tell(logging.ERROR, received, "object could not be stored", str(error))
                refusal = Refusal(OUT_OF_RESOURCES, "the object could not be stored")
            self._count(f"status {0 if refusal is None else refusal.status:04X}")
        return refusal

    def _take(self, received: Received) -> Refusal | None:
        if self._store.free_bytes() < self._minimum_free:
            self._tell(logging.ERROR, received, "object refused", f"disk below {self._minimum_free / _GIGABYTE:g} GB")
            return Refusal(OUT_OF_RESOURCES, "disk space is low")
        with received.data_set.getbuffer() as data:
            path = self._store.spooled(received.head, data)
        try:
            return self._keep(path, received)
        finally:
            path.unlink(missing_ok=True)

    def _keep(self, path: Path, received: Received) -> Refusal | None:
        if received.refusal is not None:
            return self._quarantine(path, received, received.refusal)
        try:
            header = read_header(path)
        except HeaderError as error:
            return self._quarantine(path, received, Refusal(CANNOT_UNDERSTAND, str(error)))
        mismatch = _mismatch(header, received.command)
        if mismatch:
            return self._quarantine(path, received, Refusal(MISMATCH, mismatch))
        registration = self._register(path, header, received)
        self._count(registration)
        log.debug("object %s of study %s: %s", header.sop_instance_uid, header.study_instance_uid, registration)
        return None

    def _register(self, path: Path, header: InstanceHeader, received: Received) -> Registration:
        now = datetime.now(UTC)
        claim = self._leases.claim(received.association, header.study_instance_uid, now)
        registration = admit(path, header, received.calling_ae, now, self._store, self._index, claim)
        if claim is not None and registration is not Registration.OWN_RESULT and changes_plan(header):
            self._leases.keep(received.association, header.study_instance_uid, claim)
        return registration

    def _quarantine(self, path: Path, received: Received, refusal: Refusal) -> Refusal:
        file = self._store.quarantine(path, refusal.reason)
        self._index.keep_quarantine(file, refusal.reason, received.calling_ae, datetime.now(UTC))
        self._count("quarantined")
        self._tell(logging.WARNING, received, "object kept in quarantine", f"{refusal.reason} ({file.path.name})")
        return refusal

    def _tell(self, level: int, received: Received, what: str, why: str) -> None:
        """One line a minute for what happens to each object of a series."""
        sender = f"{title(received.calling_ae)} at {received.address}"
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
    path: Path,
    header: InstanceHeader,
    calling_ae: str,
    now: datetime,
    store: ObjectStore,
    index: Index,
    claim: OpenAssociation | None = None,
) -> Registration:
    """Keep an object that can be indexed and make it known; of a result of this node nothing has to be kept.

    Args:
        path: a complete file in the spool, which is moved.
        header: of that file.
        calling_ae: who sent it.
        now: the time of its arrival.
        store: where its bytes are kept.
        index: where it is made known.
        claim: the association that brings it, where it is the first object of its study in it.
    """
    if index.has_uid_of_result(header.sop_instance_uid):
        return Registration.OWN_RESULT
    file = store.store(path, header)
    note = rejection_note(store.absolute(file), header.sop_class_uid)
    return index.register(header, file, calling_ae, now, claim, note)


def _mismatch(header: InstanceHeader, command: Command) -> str:
    """How command and data set contradict one another; empty when they agree (PS3.4 B.2.3, status A9xx)."""
    pairs = (
        ("SOP Class UID", header.sop_class_uid, command.sop_class_uid),
        ("SOP Instance UID", header.sop_instance_uid, command.sop_instance_uid),
    )
    for name, in_data_set, in_command in pairs:
        if in_data_set != in_command:
            return f"{name} is {in_command} in the command and {in_data_set} in the data set"
    return ""
