"""The sender against receivers of pynetdicom and DCMTK, which answer, refuse, fall silent and die."""

from __future__ import annotations

import os
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, MRImageStorage, SegmentationStorage
from pynetdicom import AE, evt
from pynetdicom.dsutils import split_dataset
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import Verification

from node.dicom.association import RemoteAE, accepts_nothing, refusal
from node.dicom.outcomes import StoreResult, classify
from node.dicom.scu import Sending, echo, store
from node.dicom.sendable import Sendable, candidates
from storage.header import read_header

from ...parts.dcmtk import running_storescp
from ...parts.processes import free_port
from .upper_layer import ABORT, RawReceiver, pdu

SENT, TRANSIENT, PERMANENT = StoreResult.SENT, StoreResult.TRANSIENT, StoreResult.PERMANENT
NOT_TRIED, LOCAL_FAULT = StoreResult.NOT_TRIED, StoreResult.LOCAL_FAULT


@pytest.fixture
def make_object(tmp_path: Path) -> Callable[..., Path]:
    """Write an object `number` of a SOP class and transfer syntax."""

    def make(
        number: int, sop_class: str = MRImageStorage, syntax: str = ExplicitVRLittleEndian, length: int = 1000
    ) -> Path:
        made = Dataset()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = syntax
        made.SOPClassUID, made.SOPInstanceUID = sop_class, f"1.2.3.4.{number}"
        made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.3", "1.2.3.4"
        made.PixelData = bytes(length)
        made["PixelData"].VR = "OW"
        path = tmp_path / f"{number}.dcm"
        made.save_as(path, enforce_file_format=True)
        return path

    return make


@pytest.fixture
def receiver() -> Iterator[Callable[..., int]]:
    """Start a storage SCP whose C-STORE handler a test gives; its port."""
    running = []

    def start(handler: Callable[[evt.Event], object], *others: Any, called: str = "") -> int:
        ae = AE(ae_title=called or "PACS")
        ae.require_called_aet = bool(called)
        contexts = [
            build_context(uid, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
            for uid in (Verification, MRImageStorage)
        ]
        server = ae.start_server(
            ("127.0.0.1", 0), block=False, contexts=contexts, evt_handlers=[(evt.EVT_C_STORE, handler), *others]
        )
        running.append(ae)
        return server.server_address[1]

    yield start
    for ae in running:
        ae.shutdown()


def send(paths: list[Path], port: int, timeout_s: float = 60, host: str = "127.0.0.1"):
    return list(store(paths, host, port, "PACS", "NODE", timeout_s))


# --- what the statuses mean


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (0x0000, SENT),
        (0x0111, SENT),
        (0xB000, SENT),
        (0xB006, SENT),
        (0xB007, SENT),
        (0xA700, TRANSIENT),
        (0xA7FF, TRANSIENT),
        (0x0110, TRANSIENT),
        (0x0213, TRANSIENT),
        (0xA800, PERMANENT),
        (0xA900, PERMANENT),
        (0xA9FF, PERMANENT),
        (0x0117, PERMANENT),
        (0x0122, PERMANENT),
        (0x0124, PERMANENT),
        (0xC000, PERMANENT),
        (0xCFFF, PERMANENT),
        (0x1234, PERMANENT),
    ],
)
def test_a_status_is_sent_transient_or_permanent(status, result):
    assert classify(status) is result


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (0x0000, ""),
        (0xB006, "status 0xB006, Element Discarded"),
        (0xA700, "status 0xA700, Refused: Out of Resources"),
        (0xC123, "status 0xC123, Cannot Understand"),
    ],
)
def test_the_outcome_tells_status_and_meaning(receiver, make_object, status, reason):
    (outcome,) = send([make_object(1)], receiver(lambda _: status))
    assert (outcome.status, outcome.reason, outcome.result) == (status, reason, classify(status))
    assert (outcome.study_instance_uid, outcome.sop_instance_uid) == ("1.2.3", "1.2.3.4.1")


def test_the_comment_of_the_receiver_is_part_of_the_reason(receiver, make_object):
    answer = Dataset()
    answer.Status, answer.ErrorComment = 0xA900, "wrong colour"
    (outcome,) = send([make_object(1)], receiver(lambda _: answer))
    assert outcome.reason == "status 0xA900, Data Set Does Not Match SOP Class, wrong colour"


# --- what is sent


def test_files_are_sent_as_they_are_over_one_association(receiver, make_object):
    received, associations = {}, set()

    def keep(event: evt.Event) -> int:
        associations.add(event.assoc)
        received[str(event.request.AffectedSOPInstanceUID)] = event.request.DataSet.getvalue()
        return 0

    paths = [make_object(n, syntax=(ExplicitVRLittleEndian, ImplicitVRLittleEndian)[n % 2]) for n in range(6)]
    outcomes = send(paths, receiver(keep))
    assert [outcome.path for outcome in outcomes] == paths
    assert {outcome.result for outcome in outcomes} == {SENT}
    assert len(associations) == 1
    for path in paths:
        assert received[dcmread(path).SOPInstanceUID] == path.read_bytes()[split_dataset(path)[1] :]


def test_dcmtk_receives_the_same_bytes(tmp_path, make_object):
    path = make_object(1)
    with running_storescp(tmp_path / "received", "+xa") as storescp:
        assert [outcome.result for outcome in send([path], storescp.port)] == [SENT]
        (received,) = storescp.files()
    assert received.read_bytes()[split_dataset(received)[1] :] == path.read_bytes()[split_dataset(path)[1] :]


def test_the_command_carries_the_uids_of_the_data_set_where_the_file_meta_has_others(receiver, make_object):
    commands = []

    def keep(event: evt.Event) -> int:
        commands.append((event.request.AffectedSOPInstanceUID, event.request.DataSet.getvalue()))
        return 0

    path = make_object(1)
    bytes_before = path.read_bytes()
    data_set = bytes_before[split_dataset(path)[1] :]
    path.write_bytes(bytes_before.replace(b"1.2.3.4.1\0", b"1.2.3.9.9\0", 1))
    assert split_dataset(path)[0].MediaStorageSOPInstanceUID == "1.2.3.9.9"
    assert send([path], receiver(keep))[0].result is SENT
    assert commands == [("1.2.3.4.1", data_set)]


def test_a_file_that_is_no_whole_object_is_a_permanent_failure_and_one_that_cannot_be_read_is_none(
    receiver, make_object, tmp_path
):
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(b"no DICOM")
    outcomes = send([broken, tmp_path / "missing.dcm", make_object(1)], receiver(lambda _: 0))
    assert [outcome.result for outcome in outcomes] == [PERMANENT, LOCAL_FAULT, SENT]
    assert "no DICM prefix" in outcomes[0].reason
    assert outcomes[1].reason == "this machine cannot read or send it: No such file or directory"


def test_without_a_descriptor_for_a_connection_nothing_is_tried(receiver, make_object, tmp_path):
    port, path, broken = receiver(lambda _: 0), make_object(1), tmp_path / "broken.dcm"
    broken.write_bytes(b"no DICOM")
    sending = store([path, broken], "127.0.0.1", port, "PACS", "NODE", 60)
    assert next(sending).result is PERMANENT  # all headers are read now
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        (outcome,) = sending
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (outcome.result, outcome.reason) == (LOCAL_FAULT, "this machine cannot read or send it: Too many open files")
    assert [again.result for again in send([path], port)] == [SENT]


def test_a_file_that_becomes_shorter_while_it_is_sent_leaves_the_receiver_no_half_message(receiver, make_object):
    """The command and a part of the data set are on their way by then: what followed would be taken for the rest."""
    stored, path = [], make_object(1, length=64_000_000)

    def keep(event: evt.Event) -> int:
        stored.append(event)
        return 0

    def cut(event: evt.Event) -> None:
        if event.data.startswith(b"\x04"):  # P-DATA
            os.truncate(path, 1000)

    association = RemoteAE("127.0.0.1", receiver(keep, (evt.EVT_DATA_RECV, cut)), "PACS", "NODE", 60).associate(
        [(MRImageStorage, ExplicitVRLittleEndian)]
    )
    sending = Sending(association, 60)
    outcome = sending.store(Sendable(path, read_header(path)))
    assert (outcome.result, outcome.reason) == (
        LOCAL_FAULT,
        "this machine cannot read or send it: the file became shorter while it was read",
    )
    assert sending.is_over
    assert stored == []


def test_a_file_of_another_size_than_was_stored_is_not_sent(receiver, make_object):
    association = RemoteAE("127.0.0.1", receiver(lambda _: 0), "PACS", "NODE", 60).associate(
        [(MRImageStorage, ExplicitVRLittleEndian)]
    )
    path = make_object(1)
    size, header = path.stat().st_size, read_header(path)
    with closing(Sending(association, 60)) as sending:
        outcomes = [sending.store(Sendable(path, header, known)) for known in (size + 1, size - 1, size)]
    assert [outcome.result for outcome in outcomes] == [PERMANENT, PERMANENT, SENT]
    assert "cut short" in outcomes[0].reason


# --- what goes wrong


def test_a_class_that_the_receiver_does_not_take_is_permanent_and_the_rest_is_sent(receiver, make_object):
    outcomes = send([make_object(1, SegmentationStorage), make_object(2)], receiver(lambda _: 0))
    assert [outcome.result for outcome in outcomes] == [PERMANENT, SENT]
    assert outcomes[0].status is None
    assert outcomes[0].reason == (
        f"no presentation context accepted for SOP class {SegmentationStorage} "
        f"with transfer syntax {ExplicitVRLittleEndian} or {ImplicitVRLittleEndian}"
    )


def test_no_context_accepted_at_all_is_permanent(receiver, make_object):
    (outcome,) = send([make_object(1, SegmentationStorage)], receiver(lambda _: 0))
    assert outcome.result is PERMANENT
    assert "no presentation context accepted" in outcome.reason


def test_a_receiver_that_aborts_after_it_accepted_some_contexts_has_refused_no_object(make_object):
    """Of the contexts of an object it took one, so the others are not accepted: that is no refusal."""
    receiver = RawReceiver(16384, then=pdu(ABORT, bytes(4)))
    association = RemoteAE("127.0.0.1", receiver.port, "PACS", "NODE", 60).associate(
        candidates(read_header(make_object(1)))
    )
    receiver.told.set()
    receiver.stop()
    deadline = time.monotonic() + 60
    while association.is_established:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert association.rejected_contexts
    assert not accepts_nothing(association)
    assert refusal(association) == "association aborted"


def test_where_nobody_listens_nothing_is_tried(make_object):
    paths = [make_object(1), make_object(2)]
    outcomes = send(paths, free_port())
    assert [(outcome.result, outcome.reason) for outcome in outcomes] == [(NOT_TRIED, "no connection")] * 2


def test_at_a_host_without_address_nothing_is_tried(make_object):
    (outcome,) = send([make_object(1)], 104, host="no-such-host.invalid")
    assert outcome.result is NOT_TRIED
    assert outcome.reason.startswith("no connection")


def test_in_a_rejected_association_nothing_is_tried_and_the_reason_is_said(receiver, make_object):
    (outcome,) = send([make_object(1)], receiver(lambda _: 0, called="ARCHIVE"))
    assert outcome.result is NOT_TRIED
    assert outcome.reason == "association rejected: called AE title not recognised"


def test_when_a_receiver_aborts_only_the_object_under_way_has_failed(receiver, make_object):
    answered = []

    def third_is_too_much(event: evt.Event) -> int:
        answered.append(event)
        if len(answered) == 3:
            event.assoc.abort()
        return 0

    outcomes = send([make_object(n) for n in range(5)], receiver(third_is_too_much))
    assert [outcome.result for outcome in outcomes] == [SENT, SENT, TRANSIENT, NOT_TRIED, NOT_TRIED]
    assert outcomes[2].reason == "the association was lost before the answer"
    assert {outcome.reason for outcome in outcomes[3:]} == {"the association ended before its turn"}


def test_a_receiver_that_never_answers_is_given_up_after_the_time_limit(receiver, make_object):
    given_up = threading.Event()

    def silent(_event: evt.Event) -> int:
        assert given_up.wait(60)
        return 0

    outcomes = send([make_object(1), make_object(2)], receiver(silent), timeout_s=3)
    given_up.set()
    assert [outcome.result for outcome in outcomes] == [TRANSIENT, NOT_TRIED]


def test_a_receiver_that_accepts_the_connection_and_is_silent_is_given_up_after_the_time_limit(make_object):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        (outcome,) = send([make_object(1)], silent.getsockname()[1], timeout_s=0.5)
    assert outcome.result is NOT_TRIED


def test_closing_the_iterator_releases_the_association(receiver, make_object):
    released = threading.Event()

    def keep(event: evt.Event) -> int:
        event.assoc.bind(evt.EVT_RELEASED, lambda _: released.set())
        return 0

    outcomes = store([make_object(1), make_object(2)], "127.0.0.1", receiver(keep), "PACS", "NODE", 60)
    assert next(outcomes).result is SENT
    outcomes.close()
    assert released.wait(60)


# --- C-ECHO


def test_echo_is_empty_when_the_system_answers(receiver):
    assert echo("127.0.0.1", receiver(lambda _: 0), "PACS", "NODE", 60) == ""


def test_echo_says_why_not(receiver):
    assert echo("127.0.0.1", free_port(), "PACS", "NODE", 60) == "no connection"
    refusal = echo("127.0.0.1", receiver(lambda _: 0, called="ARCHIVE"), "PACS", "NODE", 60)
    assert refusal == "association rejected: called AE title not recognised"
    assert echo("no-such-host.invalid", 104, "PACS", "NODE", 60).startswith("no connection")
