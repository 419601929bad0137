"""A destination's queue: delivered once, postponed while the destination is away, stopped where it refuses."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, evt
from pynetdicom.sop_class import MRImageStorage as MR_CONTEXT

from node.delivery.dicom import Delivery, retry_delay_s
from node.settings import DestinationSettings
from storage.files import ObjectStore
from storage.ledger import Ledger
from storage.records import DeliveryState, InstanceHeader, ResultRecord
from storage.schema import open_engine

STUDY = "1.2.3"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def destination() -> Iterator[Callable[[int], tuple[int, list[str]]]]:
    """Start a store SCP that answers a status; gives its port and the SOP Instance UIDs that it saw."""
    servers = []

    def start(status: int = 0x0000, port: int = 0) -> tuple[int, list[str]]:
        seen: list[str] = []

        def handle(event: evt.Event) -> int:
            seen.append(str(event.request.AffectedSOPInstanceUID))
            return status

        ae = AE(ae_title="PACS")
        ae.add_supported_context(MR_CONTEXT, ExplicitVRLittleEndian)
        port = port or free_port()
        servers.append(ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, handle)]))
        return port, seen

    yield start
    for server in servers:
        server.shutdown()


@pytest.fixture
def files(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path)


@pytest.fixture
def ledger(tmp_path: Path, files: ObjectStore) -> Ledger:
    """A ledger with two results that wait for the destination "pacs"."""
    found = Ledger(open_engine(f"sqlite:///{tmp_path / 'index.sqlite'}"))
    results = [result(files, tmp_path, number) for number in (1, 2)]
    found.record(results, ["pacs"], datetime.now(UTC))
    return found


def result(files: ObjectStore, folder: Path, number: int) -> ResultRecord:
    header = InstanceHeader(MRImageStorage, f"{STUDY}.1.{number}", STUDY, f"{STUDY}.1", ExplicitVRLittleEndian)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = header.sop_class_uid, header.sop_instance_uid
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = header.study_instance_uid, header.series_instance_uid
    dataset.Rows = dataset.Columns = 8
    dataset.BitsAllocated = 16
    dataset.PixelData = np.arange(64, dtype=np.uint16).tobytes()
    path = folder / f"{number}.dcm"
    dataset.save_as(path, enforce_file_format=True)
    stored = files.store(path.read_bytes(), header)
    return ResultRecord(STUDY, 1, "super", *header_uids(header), stored)


def header_uids(header: InstanceHeader) -> tuple[str, str, str]:
    return header.sop_class_uid, header.sop_instance_uid, header.series_instance_uid


def settings(port: int, **changes: float) -> DestinationSettings:
    return DestinationSettings(name="pacs", ae_title="PACS", host="127.0.0.1", port=port, timeout_s=3, **changes)


def states(ledger: Ledger) -> list[DeliveryState]:
    return [delivery.state for delivery in ledger.deliveries(STUDY)]


def test_what_is_due_is_delivered_once(
    destination: Callable[..., tuple[int, list[str]]], ledger: Ledger, files: ObjectStore
) -> None:
    port, seen = destination()
    delivery = Delivery(settings(port), ledger, files)
    assert delivery.deliver_due() == 2
    assert delivery.deliver_due() == 0
    assert seen == [f"{STUDY}.1.1", f"{STUDY}.1.2"]
    assert states(ledger) == [DeliveryState.DELIVERED] * 2


def test_a_destination_that_is_away_is_tried_again_later_and_then_served(
    destination: Callable[..., tuple[int, list[str]]], ledger: Ledger, files: ObjectStore
) -> None:
    port = free_port()
    delivery = Delivery(settings(port, first_retry_s=0.001), ledger, files)
    delivery.deliver_due()
    assert states(ledger) == [DeliveryState.PENDING] * 2
    assert all("connect" in d.reason or "connection" in d.reason for d in ledger.deliveries(STUDY))
    destination(port=port)
    delivery.deliver_due()
    assert states(ledger) == [DeliveryState.DELIVERED] * 2


def test_a_postponed_object_is_not_due_before_its_time(ledger: Ledger, files: ObjectStore) -> None:
    delivery = Delivery(settings(free_port(), first_retry_s=60), ledger, files)
    assert delivery.deliver_due() == 2
    assert delivery.deliver_due() == 0
    soon = datetime.now(UTC) + timedelta(seconds=50)
    assert all(d.next_attempt_at > soon for d in ledger.deliveries(STUDY))


def test_a_refusal_by_the_destination_stops_at_once_with_its_reason(
    destination: Callable[..., tuple[int, list[str]]], ledger: Ledger, files: ObjectStore
) -> None:
    port, seen = destination(0xA900)
    Delivery(settings(port), ledger, files).deliver_due()
    assert states(ledger) == [DeliveryState.FAILED] * 2
    assert "A900" in ledger.deliveries(STUDY)[0].reason
    assert len(seen) == 2


def test_a_full_destination_is_tried_again(
    destination: Callable[..., tuple[int, list[str]]], ledger: Ledger, files: ObjectStore
) -> None:
    port, _ = destination(0xA700)
    Delivery(settings(port), ledger, files).deliver_due()
    assert states(ledger) == [DeliveryState.PENDING] * 2


def test_after_the_last_attempt_the_object_waits_for_a_person(ledger: Ledger, files: ObjectStore) -> None:
    delivery = Delivery(settings(free_port(), first_retry_s=0.001, maximum_attempts=2), ledger, files)
    delivery.deliver_due()
    delivery.deliver_due()
    assert states(ledger) == [DeliveryState.FAILED] * 2
    assert "gave up after 2 attempts" in ledger.deliveries(STUDY)[0].reason


def test_the_wait_doubles_up_to_the_longest() -> None:
    waits = [retry_delay_s(n, settings(1, first_retry_s=10, longest_retry_s=60)) for n in range(5)]
    assert waits == [10, 20, 40, 60, 60]


def test_the_thread_goes_on_until_it_is_stopped(
    destination: Callable[..., tuple[int, list[str]]], ledger: Ledger, files: ObjectStore
) -> None:
    port, seen = destination()
    delivery = Delivery(settings(port), ledger, files)
    delivery.start()
    end = datetime.now(UTC) + timedelta(seconds=10)
    while len(seen) < 2 and datetime.now(UTC) < end:
        delivery_states = states(ledger)
        assert DeliveryState.FAILED not in delivery_states
    delivery.stop()
    assert states(ledger) == [DeliveryState.DELIVERED] * 2
