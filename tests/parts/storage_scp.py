"""A storage SCP of pynetdicom's that answers as a test wants."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO

import pydicom
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import Verification

#: Gives the status of a request from its event and how many its association has had; None: the association is aborted.
Answer = Callable[[evt.Event, int], int | None]


@dataclass
class StorageSCP:
    """Where it listens, what it was asked to store in which association, and what it kept.

    Attributes:
        port: where it listens.
        ae: of pynetdicom.
        asked: number of the association, and SOP Instance UID.
        kept: SOP Instance UIDs, one as often as it was kept.
        files: what was kept, as DICOM files.
        associations: in which something was asked for.
        echoes: how often it was asked whether it answers.
    """

    port: int
    ae: AE
    asked: list[tuple[int, str]] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    files: list[bytes] = field(default_factory=list)
    associations: list[object] = field(default_factory=list)
    echoes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def data_sets(self) -> list[pydicom.Dataset]:
        """What was kept, read; one as often as it came."""
        return [pydicom.dcmread(BytesIO(each)) for each in self.files]

    def take(self, event: evt.Event, answer: Answer) -> int:
        """Handle a C-STORE."""
        uid = str(event.request.AffectedSOPInstanceUID)
        with self._lock:
            if event.assoc not in self.associations:
                self.associations.append(event.assoc)
            number = self.associations.index(event.assoc)
            self.asked.append((number, uid))
            status = answer(event, sum(known == number for known, _ in self.asked))
            if status == 0:
                self.kept.append(uid)
                self.files.append(event.encoded_dataset())
        if status is None:
            event.assoc.abort()
        return status or 0

    def count_echo(self, _event: evt.Event) -> int:
        """Handle a C-ECHO."""
        self.echoes += 1
        return 0


def uncompressed_storage() -> list[PresentationContext]:
    """Every storage SOP class that pynetdicom knows, and verification, uncompressed."""
    known = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
    return [build_context(uid, [ExplicitVRLittleEndian, ImplicitVRLittleEndian]) for uid in (*known, Verification)]


@contextmanager
def running_storage_scp(
    answer: Answer = lambda _event, _count: 0,
    port: int = 0,
    at_once: int = 10,
    contexts: Sequence[PresentationContext] = (),
    ae_title: str = "PACS",
    handlers: Sequence[tuple[object, object]] = (),
) -> Iterator[StorageSCP]:
    """One that takes `at_once` associations; without `contexts` all storage, uncompressed; `handlers` are added."""
    ae = AE(ae_title=ae_title)
    ae.maximum_associations = at_once
    found = StorageSCP(port, ae)
    bound = [(evt.EVT_C_STORE, found.take, [answer]), (evt.EVT_C_ECHO, found.count_echo), *handlers]
    server = ae.start_server(
        ("127.0.0.1", port), block=False, contexts=list(contexts) or uncompressed_storage(), evt_handlers=bound
    )
    found.port = server.server_address[1]
    try:
        yield found
    finally:
        ae.shutdown()
