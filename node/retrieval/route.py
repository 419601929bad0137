"""The ways by which objects of a remote come here: sent to the listener by C-MOVE, or taken by C-GET."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from pynetdicom import StoragePresentationContexts

from node.audit.recorder import Recorder
from node.dicom.association import RemoteAE
from node.dicom.command import Command, Refusal
from node.dicom.find import find_sop_classes
from node.retrieval.exchange import Answer, Keys, Line, get, move
from node.services.brought import Brought, received
from node.services.leases import Leases, Sender
from node.services.messages import IncomingObject
from node.services.store import Arrival, StorageSCP
from node.settings import ListenerSettings
from storage.files import ObjectStore
from storage.index import Index

#: What is asked for by C-GET where the remote does not say what it has: the storage classes of the standard.
_STORAGE = tuple(str(context.abstract_syntax) for context in StoragePresentationContexts)


class Route(Protocol):
    """A way by which objects come."""

    @property
    def words(self) -> str:
        """The way, for a sentence that says why nothing came."""

    def __call__(self, remote: RemoteAE, keys: Keys, line: Line) -> Iterator[Answer]:
        """Have objects come; the last answer is not pending.

        Raises:
            TransientError: the remote cannot be asked, or did not answer to the end.
        """


@dataclass(frozen=True, slots=True)
class ByMove:
    """C-MOVE to the listener, which the remote knows by an AE title."""

    destination: str

    @property
    def words(self) -> str:
        """The destination."""
        return f"to {self.destination}"

    def __call__(self, remote: RemoteAE, keys: Keys, line: Line) -> Iterator[Answer]:
        """As of `Route`."""
        return move(remote, keys, line, self.destination)


@dataclass(eq=False, slots=True, weakref_slot=True)
class _Source:
    """Who sends objects on an association that asks for them."""

    ae_title: str
    address: str
    open: bool = True

    def is_alive(self) -> bool:
        """Whether the association stands."""
        return self.open


class ByGet:
    """C-GET: each object is taken in as one that the listener receives."""

    def __init__(self, settings: ListenerSettings, leases: Leases, index: Index, files: ObjectStore) -> None:
        self._leases, self._engine, self._files = leases, index.engine, files
        self.recorder = Recorder(index.engine)
        self.storage = StorageSCP(
            files, index, leases, settings.minimum_free_gb, settings.largest_object_gb, self._received
        )

    @property
    def words(self) -> str:
        """Nobody else is there."""
        return "on the same association"

    def __call__(self, remote: RemoteAE, keys: Keys, line: Line) -> Iterator[Answer]:
        """As of `Route`."""
        source = _Source(remote.called_ae, remote.host)

        def begin(command: Command, syntax: str, refusal: Refusal | None) -> IncomingObject:
            return self.storage.begin(Arrival(source, command, syntax, refusal))

        classes = find_sop_classes(remote, keys.study_instance_uid) or _STORAGE
        try:
            yield from get(remote, keys, line, sorted(classes), begin)
        finally:
            source.open = False
            self._leases.end(source)
            self._received(source, self.storage.brought_by(source))

    def _received(self, sender: Sender, brought: dict[str, Brought]) -> None:
        self.recorder.add(*received(sender, "C-GET", brought, self._engine, self._files))


@contextmanager
def by_get(settings: ListenerSettings, files: ObjectStore, index: Index) -> Iterator[ByGet]:
    """The way by C-GET, as long as it is used; limits of objects and disk are those of the listener."""
    leases = Leases(index)
    leases.start()
    by_get = ByGet(settings, leases, index, files)
    try:
        yield by_get
    finally:
        by_get.storage.wait_until_idle()
        leases.stop()
        by_get.recorder.close()
