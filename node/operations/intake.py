"""DICOM files that a person gives, taken in as the listener takes in what it receives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial

from node.operations.archives import Readable
from node.services.leases import Leases
from node.services.store import OUT_OF_RESOURCES, FileArrival, StorageSCP
from node.settings import ListenerSettings
from storage.errors import HeaderError
from storage.files import ObjectStore
from storage.header import file_meta
from storage.index import Index
from storage.records import Registration

_META = 2**18
"""Bytes of a file in which its file meta information ends, which has about 500."""
_PIECE = 2**20
_RENEWED_EVERY = timedelta(seconds=5)


class Became(StrEnum):
    """What became of a file."""

    NEW = "NEW"
    REVISED = "REVISED"
    DUPLICATE = "DUPLICATE"
    OWN_RESULT = "OWN_RESULT"
    QUARANTINED = "QUARANTINED"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class Taken:
    """A file, by the name that it was given under, and what became of it, with the reason where it is not stored."""

    name: str
    became: Became
    reason: str = ""
    study_instance_uid: str = ""

    @property
    def is_kept(self) -> bool:
        """Whether it is among the objects of the node."""
        return self.became not in (Became.QUARANTINED, Became.REFUSED)


class Giver:
    """Who gives files, as the sender of objects; hashed by identity."""

    def __init__(self, ae_title: str, address: str) -> None:
        self.ae_title, self.address = ae_title, address

    def is_alive(self) -> bool:
        """It is, until `Intake.given_by` ends."""
        return True


class Intake:
    """Takes files in, for several people at once; what comes is held in its study until its giver has ended."""

    def __init__(self, listener: ListenerSettings, files: ObjectStore, index: Index) -> None:
        self._leases = Leases(index)
        self._storage = StorageSCP(files, index, self._leases, listener.minimum_free_gb, listener.largest_object_gb)
        self._renewed_at = datetime.now(UTC)

    @contextmanager
    def given_by(self, ae_title: str, address: str) -> Iterator[Giver]:
        """Somebody who gives files until the end."""
        giver = Giver(ae_title, address)
        try:
            yield giver
        finally:
            self._leases.end(giver)

    def take(self, name: str, source: Readable, giver: Giver, study: str = "") -> Taken:
        """Take a file in; `study` is the one that it has to be of, where there is one."""
        beginning = source.read(_META)
        try:
            syntax, start = file_meta(beginning)
        except HeaderError as error:
            return Taken(name, Became.REFUSED, str(error))
        arrival = FileArrival(giver, syntax, beginning[:start], study)
        reception = self._storage.begin(arrival)
        try:
            reception.write(memoryview(beginning)[start:])
            for piece in iter(partial(source.read, _PIECE), b""):
                reception.write(memoryview(piece))
                self._renew()
            refusal = reception.end()
        finally:
            reception.discard()
        header = reception.header
        study_uid = header.study_instance_uid if header else ""
        if refusal is None:
            registration = reception.registration or Registration.OWN_RESULT
            return Taken(name, Became(registration.value), "", study_uid)
        held = refusal.status != OUT_OF_RESOURCES and (header is None or bool(arrival.mismatch(header)))
        return Taken(name, Became.QUARANTINED if held else Became.REFUSED, refusal.reason, study_uid)

    def _renew(self) -> None:
        now = datetime.now(UTC)
        if now - self._renewed_at >= _RENEWED_EVERY:
            self._renewed_at = now
            self._leases.renew()
