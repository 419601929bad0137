"""Destinations that go wrong, each beside a healthy one: the right state meanwhile, and each object once in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from node.clock import utc_now
from node.delivery.commitment import CommitmentWorker
from node.delivery.worker import DeliveryWorker
from node.operations.resend import resend
from node.settings import RemoteSettings, Settings
from storage.commitments import Commitments
from storage.database import open_engine
from storage.deliveries import Deliveries
from storage.files import ObjectStore
from storage.index import Index
from storage.ledger import Ledger
from storage.records import DeliveryRecord, InstanceHeader, StoredFile

from ..node.delivery.queued import STUDY, Queue, uid
from ..parts.processes import wait_for
from ..parts.storage_scp import StorageSCP
from .bad_destinations import (
    TIMEOUT_S,
    Destination,
    aborting_at,
    aborting_at_commitment,
    answering,
    answering_too_late,
    closing_after,
    denying,
    down,
    dropping,
    healthy,
    lying,
    never_reporting,
    refusing_to_commit,
    rejecting,
)
from .objects import data_set_bytes

#: Results of the study, each of 100 kB; those after the first three come while the destination goes wrong.
FIRST, LATER, ROWS = (1, 2, 3), (4, 5, 6), 6250
OPEN = frozenset({"QUEUED", "CLAIMED"})
COMMITMENT = {"commitment": True, "commitment_after_s": 0.1, "commitment_wait_s": 30, "commitment_attempts": 100}
#: Where the report that is waited for never comes.
ASKING_AGAIN = COMMITMENT | {"commitment_wait_s": 0.5}


@dataclass(frozen=True)
class Case:
    """How a destination goes wrong, and what the node makes of it.

    Attributes:
        name: in words.
        make: the destination.
        states: of the deliveries to it meanwhile.
        reason: of deliveries to it meanwhile.
        times: how often it goes wrong before it recovers; where it cannot tell, for how many seconds.
        short: also in the suite.
        by_a_person: what it is sent again by, once it has recovered.
        repeats: whether it keeps objects that the node cannot know it has: these come again.
        end: state of the deliveries once it has recovered.
        settings: of the destination.
    """

    name: str
    make: Callable[[], AbstractContextManager[Destination]]
    states: frozenset[str]
    reason: str
    times: int = 3
    short: bool = False
    by_a_person: bool = False
    repeats: bool = False
    end: str = "STORED"
    settings: dict[str, Any] = field(default_factory=dict)


CASES = (
    Case("is down for long", down, OPEN, "no connection", times=60),
    Case("rejects for good", lambda: rejecting(1, 1, 7), OPEN, "rejected: called AE title not recognised"),
    Case("rejects for now", lambda: rejecting(2, 3, 2), OPEN, "rejected: local limit of associations exceeded"),
    Case("is full", lambda: answering(0xA700), OPEN, "status 0xA700", short=True),
    Case("refuses every object", lambda: answering(0xA900), frozenset({"FAILED"}), "status 0xA900", by_a_person=True),
    Case("understands no object", lambda: answering(0xC000), frozenset({"FAILED"}), "status 0xC000", by_a_person=True),
    Case("closes in the middle", lambda: closing_after(50_000), OPEN, "lost before the answer", short=True),
    Case(
        "aborts for ever at one object",
        lambda: aborting_at(uid(2)),
        frozenset({"FAILED", "STORED"}),
        f"gave up after 3 attempts: object {uid(2)}: the association was lost before the answer",
        short=True,
        by_a_person=True,
        settings={"maximum_attempts": 3},
    ),
    Case(
        "answers after the time-out",
        answering_too_late,
        OPEN,
        "lost before the answer",
        repeats=True,
        settings={"timeout_s": TIMEOUT_S},
    ),
    Case(
        "drops everything after Success",
        dropping,
        OPEN | {"STORED"},
        "commitment failed: 0x0112, no such object instance",
        short=True,
        end="COMMITTED",
        settings=COMMITMENT,
    ),
    Case(
        "denies what it has",
        denying,
        OPEN | {"STORED"},
        "commitment failed: 0x0112, no such object instance",
        end="COMMITTED",
        repeats=True,
        settings=COMMITMENT,
    ),
    *(
        Case(name, make, frozenset({"STORED"}), "", end="COMMITTED", settings=ASKING_AGAIN)
        for name, make in (
            ("never reports", never_reporting),
            ("commits what nobody has asked for", lying),
            ("refuses to commit", refusing_to_commit),
            ("aborts when it is asked to commit", aborting_at_commitment),
        )
    ),
)


class Sending:
    """A node's queues of two destinations, worked off by threads of their own, as `node.service` has them."""

    def __init__(self, folder: Path, bad: int, good: int, **settings: Any) -> None:
        engine = open_engine(f"sqlite:///{folder / 'index.sqlite'}")
        self.queue = Queue(ObjectStore(folder), Ledger(engine), Deliveries(engine), utc_now)
        waits = {"first_retry_s": 0.2, "longest_retry_s": 1.0, "ae_title": "PACS", "host": "127.0.0.1"}
        remotes = (
            RemoteSettings(name="bad", port=bad, receives_results=True, **(waits | settings)),
            RemoteSettings(name="healthy", port=good, receives_results=True, **waits, **COMMITMENT),
        )
        self._settings = Settings(root=folder, remotes=remotes)
        self._workers = [
            *(DeliveryWorker(remote, self.queue.rows, self.queue.files) for remote in remotes),
            *(CommitmentWorker(remote, Commitments(engine)) for remote in remotes if remote.commitment),
        ]
        header = InstanceHeader(MRImageStorage, f"{STUDY}.8.1", STUDY, f"{STUDY}.8", ExplicitVRLittleEndian)
        Index(engine).register(header, StoredFile(Path("x"), "a" * 64, 1), "SCANNER", utc_now())

    @contextmanager
    def running(self) -> Iterator[None]:
        """Its threads."""
        for worker in self._workers:
            worker.start()
        yield
        for worker in self._workers:
            worker.stop()

    def add(self, *numbers: int) -> None:
        """Results for both destinations."""
        self.queue.add(*numbers, destinations=("bad", "healthy"), rows=ROWS)

    def to(self, destination: str) -> list[DeliveryRecord]:
        """The deliveries to a destination."""
        return [it for it in self.queue.deliveries() if it.destination == destination]

    def all_are(self, state: str, destination: str, count: int) -> bool:
        """Whether so many deliveries are there, all in this state."""
        return [str(it.state) for it in self.to(destination)] == [state] * count

    def resend(self) -> None:
        """What a person orders once the destination is right again."""
        resend(self._settings, STUDY, "bad")

    def bytes_by_uid(self) -> dict[str, bytes]:
        """The encoded data sets as they lie here."""
        files = {it.result.sop_instance_uid: it.result.file for it in self.to("healthy")}
        return {uid: data_set_bytes(self.queue.files.absolute(file).read_bytes()) for uid, file in files.items()}


def cases() -> list[Any]:
    """Each with its mark."""
    return [pytest.param(it, id=it.name, marks=() if it.short else pytest.mark.interop) for it in CASES]


@pytest.mark.parametrize("case", cases())
def test_a_destination_that(case: Case, tmp_path: Path) -> None:
    count = len(FIRST) + len(LATER)
    with case.make() as bad, healthy() as good:
        sending = Sending(tmp_path, bad.port, good.port, **case.settings)
        with sending.running():
            sending.add(*FIRST)
            wait_for(lambda: bad.wrong() >= 1, "it goes wrong", 60)
            sending.add(*LATER)
            wait_for(lambda: sending.all_are("COMMITTED", "healthy", count), "the healthy one is not delayed", 60)
            wait_for(lambda: bad.wrong() >= case.times, "it goes on going wrong", 120)
            wait_for(lambda: as_expected(case, sending.to("bad")), f"{case.states}: {case.reason}", 60)
            bad.recover()
            if case.by_a_person:
                sending.resend()
            wait_for(lambda: sending.all_are(case.end, "bad", count), "all has arrived", 120)
    expected = sending.bytes_by_uid()
    assert len(expected) == count
    has_each_once(good.receiver(), expected)
    has_each_once(bad.receiver(), expected, case.repeats)


def as_expected(case: Case, deliveries: list[DeliveryRecord]) -> bool:
    states, reasons = {str(it.state) for it in deliveries}, [it.reason for it in deliveries]
    return states <= case.states and any(case.reason in reason for reason in reasons)


def has_each_once(receiver: StorageSCP, expected: dict[str, bytes], repeats: bool = False) -> None:
    """Each object was kept once; one that `repeats` came again, with the same bytes, as long as nobody knew of it."""
    kept = [(name, data_set_bytes(file)) for name, file in zip(receiver.kept, receiver.files, strict=True)]
    assert dict(kept) == expected
    assert set(kept) == set(expected.items())
    if not repeats:
        assert Counter(receiver.kept) == dict.fromkeys(expected, 1)
