"""Faults of this machine cost no object an attempt, and are said once a minute."""

from __future__ import annotations

import resource
import sqlite3
import threading
import time
from collections import Counter

from sqlalchemy import event as database_event

from node.delivery.worker import DeliveryWorker
from node.failure import Fault
from node.local_faults import LocalFaults
from storage import database
from storage.deliveries import Deliveries

AWAY = "this machine cannot read or send it: No such file or directory"


def own_lines(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("node")]


def test_objects_whose_folder_is_away_for_long_are_delivered_when_it_is_back(receiving, destination, queue, caplog):
    pacs = receiving()
    settings = destination(pacs.port, maximum_attempts=1, first_retry_s=5)
    delivery = DeliveryWorker(settings, queue.rows, queue.files, queue.clock)
    objects = queue.files.root / "objects"
    objects.rename(queue.files.root / "away")
    for _ in range(20):
        delivery.deliver_due()
        assert (queue.states(), queue.attempts(), queue.reasons()) == (["QUEUED"] * 2, [0, 0], {AWAY})
        queue.clock.move(5)
    (queue.files.root / "away").rename(objects)
    delivery.deliver_due()
    assert queue.states() == ["STORED"] * 2
    assert own_lines(caplog) == [
        f"object 1.2.3.1.1: destination pacs: {AWAY}",
        f"object 1.2.3.1.1: destination pacs: {AWAY} (and 23 times more in the last minute)",
    ]


def test_without_descriptors_nothing_is_lost(receiving, destination, queue):
    pacs = receiving()
    delivery = DeliveryWorker(destination(pacs.port, first_retry_s=5), queue.rows, queue.files, queue.clock)
    queue.deliveries()  # the connection of the database is open
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        delivery.deliver_due()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (queue.states(), queue.attempts()) == (["QUEUED"] * 2, [0, 0])
    assert queue.reasons() == {"this machine cannot read or send it: Too many open files"}
    queue.clock.move(5)
    delivery.deliver_due()
    assert queue.states() == ["STORED"] * 2


def test_a_file_that_is_there_and_no_whole_object_stops_at_once(receiving, destination, queue):
    pacs = receiving()
    path = queue.files.absolute(queue.deliveries()[0].result.file)
    path.write_bytes(path.read_bytes()[:-20])
    DeliveryWorker(destination(pacs.port), queue.rows, queue.files, queue.clock).deliver_due()
    assert queue.states() == ["FAILED", "STORED"]
    assert "cut short" in queue.deliveries()[0].reason


def test_what_was_sent_while_the_database_was_locked_is_not_sent_again(receiving, destination, queue, tmp_path, caplog):
    """Another process holds the write lock for longer than the node waits for it."""
    locker = sqlite3.connect(tmp_path / "index.sqlite", isolation_level=None, check_same_thread=False)
    said = threading.Event()

    def lock(_event: object, count: int) -> int:
        if count == 1:
            locker.execute("BEGIN IMMEDIATE")
        return 0

    def unlock() -> None:
        while not any("locked" in line for line in own_lines(caplog)):
            time.sleep(0.01)
        said.set()
        locker.execute("ROLLBACK")

    pacs = receiving(lock)
    delivery = DeliveryWorker(destination(pacs.port), impatient(tmp_path), queue.files, queue.clock)
    unlocking = threading.Thread(target=unlock, daemon=True)
    unlocking.start()
    assert delivery.deliver_due() == 2
    assert said.wait(60)
    assert Counter(pacs.kept) == {"1.2.3.1.1": 1, "1.2.3.1.2": 1}
    assert (queue.states(), queue.attempts()) == (["STORED"] * 2, [1, 1])
    assert own_lines(caplog) == ["destination pacs: this machine: database is locked"]


def impatient(folder) -> Deliveries:
    """The queue of a node that waits only a moment for a lock."""
    engine = database.open_engine(f"sqlite:///{folder / 'index.sqlite'}")
    engine.dispose()
    database_event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=10"))
    return Deliveries(engine)


def test_each_kind_of_fault_is_said_at_once_and_then_once_a_minute(clock, caplog):
    faults = LocalFaults(None, "", clock)
    for _ in range(100):
        faults.report(Fault.DISK_FULL, "the disk is full", "disk")
        faults.report(Fault.SHORT, "no memory", "memory")
        clock.move(0.59)
    assert own_lines(caplog) == ["the disk is full", "no memory"]
    clock.move(1)
    faults.report(Fault.DISK_FULL, "the disk is still full", "disk")
    assert own_lines(caplog)[2:] == ["the disk is still full (and 99 times more in the last minute)"]
