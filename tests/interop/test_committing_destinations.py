"""Destinations that go wrong about what they have stored, each beside a healthy one: all is committed in the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import evt
from pynetdicom.events import Event
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from node.clock import utc_now
from node.delivery.commitment import CommitmentWorker
from node.delivery.worker import DeliveryWorker
from node.settings import RemoteSettings
from storage.commitments import Commitments
from storage.database import open_engine
from storage.deliveries import Deliveries
from storage.files import ObjectStore
from storage.ledger import Ledger

from ..node.delivery.queued import Queue
from ..parts.processes import wait_for
from ..parts.storage_scp import StorageSCP, running_storage_scp

CONTEXTS = [build_context(it, ExplicitVRLittleEndian) for it in (MRImageStorage, StorageCommitmentPushModel)]
SUCCESS, NO_SUCH_INSTANCE, RESOURCES = 0x0000, 0x0112, 0x0213


@dataclass
class Archive:
    """A PACS that commits what it has, once it is well.

    Attributes:
        requests: how often it was asked for commitment.
        well: until then it goes wrong.
        has: SOP Instance UIDs of what it keeps, as often as it was given them since it lost them.
    """

    storage: StorageSCP | None = None
    requests: int = 0
    well: threading.Event = field(default_factory=threading.Event)
    has: list[str] = field(default_factory=list)

    def store(self, event: Event, _count: int) -> int:
        """Answer a C-STORE."""
        self.has.append(str(event.request.AffectedSOPInstanceUID))
        return SUCCESS

    def report(self, event: Event, committed: list[str], failed: list[str]) -> int:
        """Accept the request, and report over its association."""
        report = Dataset()
        report.TransactionUID = event.action_information.TransactionUID
        report.ReferencedSOPSequence = [_item(uid) for uid in committed]
        report.FailedSOPSequence = [_item(uid, NO_SUCH_INSTANCE) for uid in failed]
        uids = StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        kind = 2 if failed else 1
        threading.Timer(0.05, lambda: event.assoc.is_established and _send(event.assoc, report, kind, uids)).start()
        return SUCCESS


def _send(association: Any, report: Dataset, kind: int, uids: tuple[str, str]) -> None:
    association.send_n_event_report(report, kind, *uids)


def _item(uid: str, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = MRImageStorage, uid
    if reason is not None:
        item.FailureReason = reason
    return item


Wrong = Callable[[Archive, Event, list[str]], int]


def drops(archive: Archive, event: Event, asked: list[str]) -> int:
    """What it has acknowledged is gone."""
    archive.has.clear()
    return archive.report(event, [], asked)


def lies(archive: Archive, event: Event, asked: list[str]) -> int:
    """It commits what nobody has asked for, and nothing else."""
    return archive.report(event, [f"{uid}.9" for uid in asked], [])


def never_reports(_archive: Archive, _event: Event, _asked: list[str]) -> int:
    return SUCCESS


def refuses(_archive: Archive, _event: Event, _asked: list[str]) -> int:
    return RESOURCES


def aborts(_archive: Archive, event: Event, _asked: list[str]) -> int:
    event.assoc.abort()
    return SUCCESS


@contextmanager
def running(wrong: Wrong) -> Iterator[Archive]:
    """An archive that goes wrong in one way."""
    archive = Archive()

    def take(event: Event) -> tuple[int, None]:
        archive.requests += 1
        asked = [str(it.ReferencedSOPInstanceUID) for it in event.action_information.ReferencedSOPSequence]
        if not archive.well.is_set():
            return wrong(archive, event, asked), None
        committed = [uid for uid in asked if uid in archive.has]
        return archive.report(event, committed, [uid for uid in asked if uid not in committed]), None

    with running_storage_scp(archive.store, contexts=CONTEXTS, handlers=[(evt.EVT_N_ACTION, take)]) as storage:
        archive.storage = storage
        yield archive


@pytest.mark.parametrize(
    "wrong",
    [drops, *(pytest.param(it, marks=pytest.mark.interop) for it in (lies, never_reports, refuses, aborts))],
    ids=lambda it: it.__name__,
)
def test_a_destination_that(wrong: Wrong, tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'index.sqlite'}")
    queue = Queue(ObjectStore(tmp_path), Ledger(engine), Deliveries(engine), utc_now)
    with running(wrong) as bad, running(wrong) as healthy:
        healthy.well.set()
        workers: list[DeliveryWorker | CommitmentWorker] = []
        for name, archive in (("bad", bad), ("healthy", healthy)):
            assert archive.storage is not None
            settings = RemoteSettings(
                name=name, ae_title="PACS", host="127.0.0.1", port=archive.storage.port, receives_results=True,
                commitment=True, commitment_after_s=0.1, commitment_wait_s=0.5, commitment_attempts=100,
                first_retry_s=0.2, longest_retry_s=0.5, timeout_s=1,
            )  # fmt: skip
            workers += [
                DeliveryWorker(settings, queue.rows, queue.files),
                CommitmentWorker(settings, Commitments(engine)),
            ]
        for worker in workers:
            worker.start()

        def states(destination: str) -> set[str]:
            return {str(it.state) for it in queue.deliveries() if it.destination == destination}

        queue.add(1, 2, 3, destinations=("bad", "healthy"))
        wait_for(lambda: bad.requests >= 3, "it goes wrong again and again", 60)
        queue.add(4, 5, 6, destinations=("bad", "healthy"))
        wait_for(lambda: states("healthy") == {"COMMITTED"}, "the healthy one is not delayed", 60)
        assert "COMMITTED" not in states("bad")
        bad.well.set()
        wait_for(lambda: states("bad") == {"COMMITTED"}, "all is committed once it is well", 60)
        for worker in workers:
            worker.stop()
        named = sorted(it.result.sop_instance_uid for it in queue.deliveries() if it.destination == "bad")
        assert sorted(bad.has) == sorted(healthy.has) == named
        assert len(named) == 6
