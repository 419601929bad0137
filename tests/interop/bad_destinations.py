"""Destinations of results that go wrong in one way each, until they are told to recover.

Each is a context manager that gives a `Destination`. What it received is kept as a PACS keeps it: by SOP Instance UID.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from pydicom import Dataset
from pynetdicom import Association, evt
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from ..parts.processes import free_port
from ..parts.storage_scp import StorageSCP, running_storage_scp, uncompressed_storage

#: Time-out of the node for each answer, in s; short, as some destinations never answer.
TIMEOUT_S = 1.0
_FAR_S = 60.0


@dataclass(frozen=True)
class Destination:
    """A destination that goes wrong.

    Attributes:
        port: where the node sends to.
        wrong: how often it has gone wrong so far; where it cannot tell, for how many seconds.
        recover: makes it a good one.
        receiver: what it keeps; None where it runs only after `recover`.
    """

    port: int
    wrong: Callable[[], int]
    recover: Callable[[], None]
    receiver: Callable[[], StorageSCP]


@contextmanager
def down() -> Iterator[Destination]:
    """Nobody listens."""
    port, started, began = free_port(), [], time.monotonic()
    with ExitStack() as running:
        yield Destination(
            port,
            lambda: int(time.monotonic() - began),
            lambda: started.append(running.enter_context(running_storage_scp(port=port))),
            lambda: started[0],
        )


@contextmanager
def rejecting(result: int, source: int, diagnostic: int) -> Iterator[Destination]:
    """Every association is rejected (PS3.8 9.3.4)."""
    rejected, well = [], threading.Event()

    def reject(event: evt.Event) -> None:
        if not well.is_set():
            rejected.append(event)
            event.assoc.acse.send_reject(result, source, diagnostic)
            event.assoc.kill()

    with running_storage_scp(handlers=[(evt.EVT_REQUESTED, reject)]) as receiver:
        yield Destination(receiver.port, lambda: len(rejected), well.set, lambda: receiver)


@contextmanager
def answering(status: int) -> Iterator[Destination]:
    """Every object is answered with this status."""
    well = threading.Event()
    with running_storage_scp(lambda _event, _count: 0 if well.is_set() else status) as receiver:
        yield Destination(receiver.port, lambda: len(receiver.asked), well.set, lambda: receiver)


@contextmanager
def aborting_at(sop_instance_uid: str) -> Iterator[Destination]:
    """The association is aborted whenever this object comes."""
    well = threading.Event()

    def answer(event: evt.Event, _count: int) -> int | None:
        bad = event.request.AffectedSOPInstanceUID == sop_instance_uid
        return None if bad and not well.is_set() else 0

    with running_storage_scp(answer) as receiver:
        asked = receiver.asked
        yield Destination(
            receiver.port, lambda: sum(uid == sop_instance_uid for _, uid in asked), well.set, lambda: receiver
        )


@contextmanager
def answering_too_late() -> Iterator[Destination]:
    """Objects are kept, and answered when nobody waits any more."""
    well, late, given_up = threading.Event(), [], {}

    def answer(event: evt.Event, _count: int) -> int:
        if not well.is_set():
            late.append(event)
            assert given_up.setdefault(event.assoc, threading.Event()).wait(_FAR_S)
        return 0

    def end(event: evt.Event) -> None:
        given_up.setdefault(event.assoc, threading.Event()).set()

    ends = [(kind, end) for kind in (evt.EVT_CONN_CLOSE, evt.EVT_ABORTED)]
    with running_storage_scp(answer, handlers=ends) as receiver:
        yield Destination(receiver.port, lambda: len(late), well.set, lambda: receiver)


@contextmanager
def closing_after(byte_count: int) -> Iterator[Destination]:
    """The connection is closed when so many bytes of it have come: in the middle of an object."""
    well, closed = threading.Event(), []
    with running_storage_scp() as receiver, socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    sender, _ = listening.accept()
                except OSError:  # it is over
                    return
                threading.Thread(target=relay, args=[sender], daemon=True).start()

        def relay(sender: socket.socket) -> None:
            with sender, socket.create_connection(("127.0.0.1", receiver.port)) as inner:
                threading.Thread(target=_copy, args=[inner, sender, lambda _passed: False], daemon=True).start()
                passed = _copy(sender, inner, lambda passed: passed >= byte_count and not well.is_set())
                if passed >= byte_count and not well.is_set():
                    closed.append(passed)

        threading.Thread(target=serve, daemon=True).start()
        yield Destination(listening.getsockname()[1], lambda: len(closed), well.set, lambda: receiver)
        listening.shutdown(socket.SHUT_RDWR)


def _copy(source: socket.socket, target: socket.socket, enough: Callable[[int], bool]) -> int:
    """Pass bytes on until the source ends or it is enough; how many they were. Then the target is told the end."""
    passed = 0
    try:
        while not enough(passed) and (piece := source.recv(4096)):
            target.sendall(piece)
            passed += len(piece)
        target.shutdown(socket.SHUT_RDWR)
    except OSError:
        return passed  # one of the two sides is gone
    return passed


# --- storage commitment


@contextmanager
def healthy() -> Iterator[Destination]:
    """One that never goes wrong, and commits what it has."""
    with _committing(lambda _receiver, _event: 0) as found:
        found.recover()
        yield found


@contextmanager
def dropping() -> Iterator[Destination]:
    """Everything is lost after Success; asked whether it keeps it, it says that there is no such object."""

    def lose(receiver: StorageSCP, event: evt.Event) -> int:
        receiver.kept.clear()
        receiver.files.clear()
        return _report_later(event, [])

    with _committing(lose) as found:
        yield found


@contextmanager
def denying() -> Iterator[Destination]:
    """It has everything, and says that there is no such object."""
    with _committing(lambda _receiver, event: _report_later(event, [])) as found:
        yield found


@contextmanager
def lying() -> Iterator[Destination]:
    """It says that it keeps what nobody has asked it for, and nothing of what was asked."""

    def lie(_receiver: StorageSCP, event: evt.Event) -> int:
        asked = event.action_information
        for item in asked.ReferencedSOPSequence:
            item.ReferencedSOPInstanceUID += ".9"
        return _report_later(event, [str(it.ReferencedSOPInstanceUID) for it in asked.ReferencedSOPSequence])

    with _committing(lie) as found:
        yield found


@contextmanager
def never_reporting() -> Iterator[Destination]:
    """It takes each request for commitment, and never reports."""
    with _committing(lambda _receiver, _event: 0) as found:
        yield found


@contextmanager
def refusing_to_commit() -> Iterator[Destination]:
    """Each request for commitment is refused: resource limitation."""
    with _committing(lambda _receiver, _event: 0x0213) as found:
        yield found


@contextmanager
def aborting_at_commitment() -> Iterator[Destination]:
    """The association is aborted at each request for commitment."""

    def abort(_receiver: StorageSCP, event: evt.Event) -> int:
        event.assoc.abort()
        return 0

    with _committing(abort) as found:
        yield found


@contextmanager
def _committing(wrong: Callable[[StorageSCP, evt.Event], int]) -> Iterator[Destination]:
    """One that answers requests for commitment with a status as it likes; once it is well, it reports what is true."""
    well, gone_wrong = threading.Event(), []

    def commit(event: evt.Event) -> tuple[int, None]:
        if well.is_set():
            return _report_later(event, receiver.kept), None
        gone_wrong.append(event)
        return wrong(receiver, event), None

    contexts = [*uncompressed_storage(), build_context(StorageCommitmentPushModel)]
    with running_storage_scp(contexts=contexts, handlers=[(evt.EVT_N_ACTION, commit)]) as receiver:
        yield Destination(receiver.port, lambda: len(gone_wrong), well.set, lambda: receiver)


def _report_later(event: evt.Event, kept: Sequence[str]) -> int:
    """Accept the request, and report over its association which of the SOP Instance UIDs asked for are kept."""
    threading.Timer(0.05, _report, [event.assoc, event.action_information, tuple(kept)]).start()
    return 0


def _report(association: Association, asked: Dataset, kept: Sequence[str]) -> None:
    report = Dataset()
    report.TransactionUID = asked.TransactionUID
    items = list(asked.ReferencedSOPSequence)
    report.ReferencedSOPSequence = [it for it in items if it.ReferencedSOPInstanceUID in kept]
    report.FailedSOPSequence = [it for it in items if it.ReferencedSOPInstanceUID not in kept]
    for item in report.FailedSOPSequence:
        item.FailureReason = 0x0112  # no such object instance, PS3.3 C.14.1.1
    kind = 2 if report.FailedSOPSequence else 1
    association.send_n_event_report(report, kind, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
