"""What follows each end of an attempt, row by row of the table (`node.dicom.outcomes`), with real receivers."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, evt

from node.delivery.worker import DeliveryWorker
from node.dicom.outcomes import STATUS_POLICIES, StatusPolicy, StoreResult
from tests.parts.certificates import Authority, Certificate

from .queued import STUDY

OTHERS = [StatusPolicy(status, status, "refused", StoreResult.PERMANENT) for status in (0x0118, 0xA801, 0xFF00)]
AFTER_ONE = {StoreResult.SENT: "STORED", StoreResult.TRANSIENT: "QUEUED", StoreResult.PERMANENT: "FAILED"}


@pytest.mark.parametrize("policy", [*STATUS_POLICIES, *OTHERS], ids=lambda policy: policy.statuses)
def test_a_status_has_the_state_of_its_row_and_is_shown(receiving, destination, queue, policy):
    pacs = receiving(lambda _event, _count: policy.last)
    settings = destination(pacs.port, maximum_attempts=3, first_retry_s=10, longest_retry_s=20)
    worker = DeliveryWorker(settings, queue.rows, queue.files, queue.clock)
    assert worker.deliver_due() == 2
    assert queue.states() == [AFTER_ONE[policy.result]] * 2
    assert queue.attempts() == [1, 1]
    assert queue.reasons() == {""} if policy.last == 0 else all(f"{policy.last:04X}" in it for it in queue.reasons())
    for _ in range(20):
        queue.clock.move(20)
        worker.deliver_due()
    assert len(pacs.asked) == (6 if policy.result is StoreResult.TRANSIENT else 2)
    assert queue.states() == ["STORED" if policy.result is StoreResult.SENT else "FAILED"] * 2


def test_an_object_without_a_presentation_context_waits_for_a_person(destination, queue):
    with scp(CTImageStorage) as port:
        worker = DeliveryWorker(destination(port), queue.rows, queue.files, queue.clock)
        assert worker.deliver_due() == 2
    assert queue.states() == ["FAILED"] * 2
    assert all("no presentation context accepted" in reason for reason in queue.reasons())


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"\x03\x00\x00\x00\x00\x04\x00\x01\x01\x03", "calling AE title not recognised"),
        (b"\x03\x00\x00\x00\x00\x04\x00\x01\x01\x07", "called AE title not recognised"),
        (b"\x03\x00\x00\x00\x00\x04\x00\x02\x03\x01", "temporary congestion"),
        (b"\x03\x00\x00\x00\x00\x04\x00\x02\x03\x02", "local limit of associations exceeded"),
        (b"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x00", "no connection"),
        (b"", "no connection"),
    ],
    ids=["calling", "called", "congestion", "limit", "aborted", "silent"],
)
def test_who_gives_no_association_is_waited_for_and_no_attempt_is_counted(
    receiving, destination, queue, unused_port, answer, said
):
    settings = destination(unused_port, maximum_attempts=2, first_retry_s=10, longest_retry_s=60, timeout_s=1)
    worker = DeliveryWorker(settings, queue.rows, queue.files, queue.clock)
    with answering(unused_port, answer):
        for _ in range(4):
            worker.deliver_due()
            queue.clock.move(60)
    assert queue.states() == ["QUEUED"] * 2
    assert queue.attempts() == [0, 0]
    assert {said in reason for reason in queue.reasons()} == {True}, queue.reasons()
    pacs = receiving(port=unused_port)
    worker.deliver_due()
    assert queue.states() == ["STORED"] * 2
    assert len(pacs.kept) == 2


def test_who_never_answers_costs_the_object_an_attempt_each_time_and_ends(receiving, destination, queue):
    """The time-out of an answer; the object that was under way is told from those that had no turn."""
    hold = threading.Event()
    pacs = receiving(lambda _event, _count: 0 * hold.wait(5))
    settings = destination(pacs.port, maximum_attempts=1, timeout_s=0.3)
    DeliveryWorker(settings, queue.rows, queue.files, queue.clock).deliver_due()
    hold.set()
    assert sorted(queue.states()) == ["FAILED", "QUEUED"]
    assert "gave up after 1 attempts: object" in " ".join(queue.reasons())


# --- several destinations


def test_a_destination_that_is_down_or_never_answers_delays_no_other(receiving, destination, queue, unused_port):
    queue.ledger.record(queue.ledger.all_results(STUDY), ["down", "silent", "archive"], queue.clock())
    done = threading.Event()
    archive = receiving(lambda _event, count: done.set() or 0 if count == 2 else 0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ports = {"down": unused_port, "silent": silent.getsockname()[1], "archive": archive.port}
        workers = [
            DeliveryWorker(destination(port, timeout_s=30).model_copy(update={"name": name}), queue.rows, queue.files)
            for name, port in ports.items()
        ]
        for worker in workers:
            worker.start()
        assert done.wait(20), "the others waited for the one that is silent"
    for worker in workers:
        worker.stop()
    states = {it.destination: str(it.state) for it in queue.deliveries()}
    assert states["archive"] == "STORED"
    assert states["down"] == states["silent"] == "QUEUED"


# --- TLS


def test_a_destination_with_another_certificate_gets_nothing_and_is_waited_for(
    destination,
    queue,
    authority,
    receiving_by_tls,
):
    pacs, node = authority.issue("pacs", ("127.0.0.1",)), authority.issue("node")
    with receiving_by_tls(authority, pacs) as (port, kept):
        trusted = {"tls": True, "credentials": authority.credentials(node), "timeout_s": 10}
        other = destination(port, **trusted, certificate_sha256=(node.fingerprint,), first_retry_s=1)
        DeliveryWorker(other, queue.rows, queue.files, queue.clock).deliver_due()
        assert (queue.states(), queue.attempts(), kept) == (["QUEUED"] * 2, [0, 0], [])
        assert all("its certificate is none of its `certificate_sha256`" in reason for reason in queue.reasons())
        DeliveryWorker(destination(port, **trusted), queue.rows, queue.files, queue.clock).deliver_due()
        assert queue.states() == ["STORED"] * 2
        assert len(kept) == 2


@pytest.fixture
def receiving_by_tls():
    """A receiver that wants a certificate of the site."""

    @contextmanager
    def start(authority: Authority, shown: Certificate) -> Iterator[tuple[int, list[str]]]:
        kept: list[str] = []
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.path))
        context.load_cert_chain(shown.path, shown.key)
        context.verify_mode = ssl.CERT_REQUIRED
        ae = AE(ae_title="PACS")
        ae.add_supported_context(MRImageStorage, ExplicitVRLittleEndian)
        handlers = [(evt.EVT_C_STORE, lambda event: kept.append(event.request.AffectedSOPInstanceUID) or 0)]
        server = ae.start_server(("127.0.0.1", 0), block=False, ssl_context=context, evt_handlers=handlers)
        yield server.server_address[1], kept
        ae.shutdown()

    return start


# --- hours


@pytest.mark.parametrize(
    ("hours", "sent"), [("", True), ("07:00-09:00", True), ("22:00-09:00", True), ("09:00-07:00", False)]
)
def test_results_are_sent_in_the_delivery_hours_of_the_site(receiving, destination, queue, hours, sent):
    queue.clock.show(datetime(2026, 12, 1, 0, 30, tzinfo=UTC))  # 08:30 in Shanghai
    pacs = receiving()
    settings = destination(pacs.port, delivery_hours=hours)
    worker = DeliveryWorker(settings, queue.rows, queue.files, queue.clock, time_zone="Asia/Shanghai")
    worker.deliver_due()
    assert queue.states() == ["STORED" if sent else "QUEUED"] * 2


def test_what_is_left_when_the_hours_end_waits_for_the_next(receiving, destination, queue):
    queue.clock.show(datetime(2026, 12, 1, 5, 59, 50, tzinfo=UTC))
    pacs = receiving(lambda _event, _count: queue.clock.move(20) or 0)
    settings = destination(pacs.port, delivery_hours="22:00-06:00")
    worker = DeliveryWorker(settings, queue.rows, queue.files, queue.clock, time_zone="UTC")
    worker.deliver_due()
    assert sorted(queue.states()) == ["QUEUED", "STORED"]
    queue.clock.show(datetime(2026, 12, 1, 22, 0, tzinfo=UTC))
    worker.deliver_due()
    assert queue.states() == ["STORED"] * 2
    assert queue.attempts() == [1, 1]


@contextmanager
def scp(sop_class: str) -> Iterator[int]:
    """A receiver of one SOP class; its port."""
    ae = AE(ae_title="PACS")
    ae.add_supported_context(sop_class)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda _event: 0)])
    try:
        yield server.server_address[1]
    finally:
        ae.shutdown()


@contextmanager
def answering(port: int, answer: bytes) -> Iterator[None]:
    """Whoever asks for an association gets this."""
    listening = socket.create_server(("127.0.0.1", port))

    def serve() -> None:
        while True:
            try:
                peer, _ = listening.accept()
            except OSError:
                return
            with peer:
                peer.settimeout(10)
                if peer.recv(65536):
                    peer.sendall(answer)
                    while peer.recv(65536):
                        pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()
