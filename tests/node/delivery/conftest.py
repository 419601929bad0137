"""Results that wait for a destination, and receivers that answer as a test wants."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, evt

from node.settings import RemoteSettings
from storage.database import open_engine
from storage.deliveries import Deliveries
from storage.files import ObjectStore
from storage.index import Index
from storage.ledger import Ledger
from storage.records import DeliveryRecord, InstanceHeader, ResultRecord, Revocation, StoredFile, StudyState

STUDY = "1.2.3"


@dataclass
class Receiver:
    """A storage SCP: what it was asked to store, in which association, and what it kept."""

    port: int
    asked: list[tuple[int, str]] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    associations: list[object] = field(default_factory=list)


@dataclass
class Queue:
    """Results that wait for the destination "pacs"."""

    files: ObjectStore
    ledger: Ledger
    rows: Deliveries
    clock: Any

    def add(self, *numbers: int) -> None:
        results = [self._result(number) for number in numbers]
        self.ledger.record(results, ["pacs"], self.clock())

    def revoke(self, *uids: str) -> None:
        """The study turns out to name two patients."""
        index = Index(open_engine(f"sqlite:///{self.files.root / 'index.sqlite'}"))
        if index.study(STUDY) is None:
            header = InstanceHeader(MRImageStorage, "1.2.3.8.1", STUDY, "1.2.3.8", ExplicitVRLittleEndian)
            index.register(header, StoredFile(Path("x"), "a" * 64, 1), "SCANNER", self.clock())
            index.move(STUDY, 1, StudyState.QUEUED)
        revocation = Revocation(frozenset(uids), "two patients")
        self.ledger.conclude(STUDY, 1, StudyState.REFUSED, "two patients", [], [], self.clock(), revocation)

    def deliveries(self) -> tuple[DeliveryRecord, ...]:
        return self.rows.records(STUDY)

    def states(self) -> list[str]:
        return [str(delivery.state) for delivery in self.deliveries()]

    def attempts(self) -> list[int]:
        return [delivery.attempts for delivery in self.deliveries()]

    def reasons(self) -> set[str]:
        return {delivery.reason for delivery in self.deliveries()}

    def _result(self, number: int) -> ResultRecord:
        header = InstanceHeader(MRImageStorage, uid(number), STUDY, f"{STUDY}.1", ExplicitVRLittleEndian)
        made = Dataset()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.SOPClassUID, made.SOPInstanceUID = header.sop_class_uid, header.sop_instance_uid
        made.StudyInstanceUID, made.SeriesInstanceUID = header.study_instance_uid, header.series_instance_uid
        made.Rows = made.Columns = 8
        made.BitsAllocated = 16
        made.PixelData = np.arange(64, dtype=np.uint16).tobytes()
        path = self.files.root / f"{number}.dcm"
        made.save_as(path, enforce_file_format=True)
        stored = self.files.store(path.read_bytes(), header)
        uids = header.sop_class_uid, header.sop_instance_uid, header.series_instance_uid
        return ResultRecord(STUDY, 1, "super", *uids, stored)


def uid(number: int) -> str:
    """SOP Instance UID of a result."""
    return f"{STUDY}.1.{number}"


@pytest.fixture
def stored_at(tmp_path: Path, clock: Any) -> Callable[[str], Queue]:
    """An empty queue in a database."""

    def make(url: str) -> Queue:
        engine = open_engine(url)
        return Queue(ObjectStore(tmp_path), Ledger(engine), Deliveries(engine), clock)

    return make


@pytest.fixture
def queue(stored_at: Callable[[str], Queue], tmp_path: Path) -> Queue:
    """Two results that wait."""
    found = stored_at(f"sqlite:///{tmp_path / 'index.sqlite'}")
    found.add(1, 2)
    return found


@pytest.fixture
def receiving() -> Iterator[Callable[..., Receiver]]:
    """Start receivers; `answer` gives the status of a request from its event and how many this association has had.

    `None` ends the association without an answer. It takes `at_once` associations.
    """
    running = []

    def start(
        answer: Callable[[evt.Event, int], int | None] = lambda _event, _count: 0, port: int = 0, at_once: int = 10
    ) -> Receiver:
        found = Receiver(port)
        lock = threading.Lock()

        def handle(event: evt.Event) -> int:
            asked = str(event.request.AffectedSOPInstanceUID)
            with lock:
                if event.assoc not in found.associations:
                    found.associations.append(event.assoc)
                number = found.associations.index(event.assoc)
                found.asked.append((number, asked))
                status = answer(event, sum(known == number for known, _ in found.asked))
                if status == 0:
                    found.kept.append(asked)
            if status is None:
                event.assoc.abort()
            return status or 0

        ae = AE(ae_title="PACS")
        ae.maximum_associations = at_once
        ae.add_supported_context(MRImageStorage, ExplicitVRLittleEndian)
        server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, handle)])
        found.port = server.server_address[1]
        running.append(ae)
        return found

    yield start
    for ae in running:
        ae.shutdown()


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def destination() -> Callable[..., RemoteSettings]:
    """Settings of the destination "pacs" at a port."""

    def make(port: int, **changes: float) -> RemoteSettings:
        return RemoteSettings(name="pacs", ae_title="PACS", host="127.0.0.1", port=port, **changes)

    return make
