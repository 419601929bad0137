"""A destination's queue: delivered once, postponed while the destination is away, stopped where it refuses."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest
from pynetdicom import evt
from sqlalchemy import event

from node.clock import utc_now
from node.delivery.connections import UNSETTLED
from node.delivery.worker import DeliveryWorker
from node.operations.status import collect
from node.settings import Settings
from storage.database import open_engine
from storage.deliveries import Deliveries
from storage.overview import StudyQuery

from .queued import STUDY, uid

WORKS_UNTIL_ITS_INPUT_ENDS = """
import sys
from pathlib import Path
from node.delivery.worker import DeliveryWorker
from node.settings import RemoteSettings
from storage.database import open_engine
from storage.deliveries import Deliveries
from storage.files import ObjectStore
settings, url, root = sys.argv[1:]
worker = DeliveryWorker(
    RemoteSettings.model_validate_json(settings), Deliveries(open_engine(url)), ObjectStore(Path(root))
)
worker.start()
sys.stdin.read()
worker.stop()
"""


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def until_all_is_delivered(delivery: DeliveryWorker, queue, longest_s: float) -> float:
    """Move the clock a second at a time; the seconds that it took."""
    for second in range(int(longest_s)):
        delivery.deliver_due()
        if set(queue.states()) == {"STORED"}:
            return second
        queue.clock.move(1)
    raise AssertionError(f"not within {longest_s} s: {Counter(queue.states())}")


def test_what_is_due_is_delivered_once(receiving, destination, queue):
    pacs = receiving()
    delivery = DeliveryWorker(destination(pacs.port), queue.rows, queue.files, queue.clock)
    assert delivery.deliver_due() == 2
    assert delivery.deliver_due() == 0
    assert pacs.kept == ["1.2.3.1.1", "1.2.3.1.2"]
    assert queue.states() == ["STORED"] * 2


def test_the_thread_goes_on_until_it_is_stopped(receiving, destination, queue):
    both = threading.Event()
    pacs = receiving(lambda _event, count: both.set() or 0 if count == 2 else 0)
    delivery = DeliveryWorker(destination(pacs.port), queue.rows, queue.files)
    delivery.start()
    assert both.wait(60)
    delivery.stop()
    assert queue.states() == ["STORED"] * 2


def test_what_becomes_due_is_sent_at_once_where_the_thread_is_told(receiving, destination, queue, monkeypatch):
    monkeypatch.setattr("node.delivery.worker._LOOK_S", 3600.0)
    pacs = receiving()
    delivery = DeliveryWorker(destination(pacs.port), queue.rows, queue.files, queue.clock)
    delivery.start()
    until(lambda: queue.states() == ["STORED"] * 2)
    for number in (3, 4):
        queue.add(number)
        delivery.wake()
        until(lambda: queue.states() == ["STORED"] * number)  # noqa: B023 - asked within the round
    delivery.stop()


# --- a destination that is away


def test_a_destination_that_is_away_is_tried_again_after_its_wait_and_then_served(
    receiving, destination, queue, unused_port
):
    delivery = DeliveryWorker(destination(unused_port, first_retry_s=10), queue.rows, queue.files, queue.clock)
    delivery.deliver_due()
    assert (queue.states(), queue.reasons()) == (["QUEUED"] * 2, {"no connection"})
    pacs = receiving(port=unused_port)
    queue.clock.move(9.9)
    assert delivery.deliver_due() == 0
    assert pacs.asked == []
    queue.clock.move(0.2)
    assert delivery.deliver_due() == 2
    assert queue.states() == ["STORED"] * 2


def test_a_destination_that_is_away_costs_no_object_an_attempt_however_long(destination, queue, unused_port):
    settings = destination(unused_port, maximum_attempts=2, first_retry_s=1, longest_retry_s=60)
    delivery = DeliveryWorker(settings, queue.rows, queue.files, queue.clock)
    for _ in range(10):
        delivery.deliver_due()
        queue.clock.move(60)
    assert (queue.states(), queue.attempts()) == (["QUEUED"] * 2, [0, 0])


def test_the_wait_of_a_destination_doubles_and_holds_for_what_is_new_as_well(destination, queue, unused_port, caplog):
    settings = destination(unused_port, first_retry_s=10, longest_retry_s=60)
    delivery = DeliveryWorker(settings, queue.rows, queue.files, queue.clock)
    for wait in (10, 20, 40, 60, 60):
        caplog.clear()
        delivery.deliver_due()
        assert [record.getMessage() for record in caplog.records if record.name.startswith("node")] == [
            f"destination pacs: no connection; {len(queue.states())} objects wait, next try in {wait} s"
        ]
        queue.clock.move(wait - 1)
        queue.add(len(queue.states()) + 1)
        caplog.clear()
        assert delivery.deliver_due() == 0
        assert caplog.records == []
        queue.clock.move(1)


def test_an_object_that_is_stored_ends_the_wait_of_the_destination(receiving, destination, queue, unused_port, caplog):
    delivery = DeliveryWorker(destination(unused_port, first_retry_s=10), queue.rows, queue.files, queue.clock)
    for wait in (10, 20, 40):
        delivery.deliver_due()
        queue.clock.move(wait)
    queue.add(3)
    receiving(lambda _event, count: 0 if count <= 1 else None, port=unused_port)
    delivery.deliver_due()
    assert queue.states() == ["STORED", "QUEUED", "QUEUED"]
    assert "1 objects wait, next try in 1 s" in caplog.text


# --- a receiver that ends associations


def test_a_receiver_that_ends_each_association_after_8_objects_gets_all_of_them_in_minutes(
    receiving, destination, queue
):
    pacs = receiving(lambda _event, count: 0 if count <= 8 else None)
    queue.add(*range(3, 61))
    delivery = DeliveryWorker(destination(pacs.port), queue.rows, queue.files, queue.clock)
    assert until_all_is_delivered(delivery, queue, 120) < 60
    assert Counter(pacs.kept) == dict.fromkeys((f"1.2.3.1.{n}" for n in range(1, 61)), 1)


def test_only_the_object_that_was_under_way_has_used_an_attempt(receiving, destination, queue):
    pacs = receiving(lambda _event, count: 0 if count <= 1 else None)
    queue.add(3, 4)
    DeliveryWorker(destination(pacs.port), queue.rows, queue.files, queue.clock).deliver_due()
    assert queue.states() == ["STORED", "QUEUED", "QUEUED", "QUEUED"]
    assert queue.attempts() == [1, 1, 0, 0]
    assert [delivery.reason for delivery in queue.deliveries()] == [
        "",
        "object 1.2.3.1.2: the association was lost before the answer",
        "the association ended before its turn",
        "the association ended before its turn",
    ]


@pytest.mark.parametrize("at", [1, 3], ids=["first", "middle"])
def test_an_object_at_which_the_receiver_always_aborts_holds_up_none_behind_it(receiving, destination, queue, at):
    """The others go on after a second, and it comes back last, also behind what is new."""
    pacs = receiving(lambda event, _count: None if event.request.AffectedSOPInstanceUID == uid(at) else 0)
    queue.add(3, 4, 5)
    settings = destination(pacs.port, first_retry_s=10, maximum_attempts=3)
    delivery = DeliveryWorker(settings, queue.rows, queue.files, queue.clock)
    delivery.deliver_due()
    queue.clock.move(1)
    delivery.deliver_due()
    assert queue.states() == ["QUEUED" if number == at else "STORED" for number in range(1, 6)]
    queue.add(6, 7)
    queue.clock.move(9)
    delivery.deliver_due()
    assert [asked for _, asked in pacs.asked][-3:] == [uid(6), uid(7), uid(at)]
    queue.clock.move(20)
    delivery.deliver_due()
    assert [delivery.reason for delivery in queue.deliveries() if delivery.state == "FAILED"] == [
        f"gave up after 3 attempts: object {uid(at)}: the association was lost before the answer"
    ]
    assert Counter(pacs.kept) == {uid(number): 1 for number in range(1, 8) if number != at}


def test_a_receiver_that_aborts_at_every_object_is_left_alone_for_longer_each_time(
    receiving, destination, queue, caplog
):
    pacs = receiving(lambda _event, _count: None)
    queue.add(*range(3, 7))
    delivery = DeliveryWorker(destination(pacs.port, first_retry_s=10), queue.rows, queue.files, queue.clock)
    for wait in (1, 10, 20):
        caplog.clear()
        delivery.deliver_due()
        assert f"objects wait, next try in {wait} s" in caplog.text
        queue.clock.move(wait)


def test_the_status_of_the_study_names_the_object_at_which_the_receiver_aborts(receiving, destination, queue):
    pacs = receiving(lambda event, _count: None if event.request.AffectedSOPInstanceUID == uid(2) else 0)
    queue.revoke()  # the study is known
    queue.add(3)
    delivery = DeliveryWorker(destination(pacs.port), queue.rows, queue.files, queue.clock)
    delivery.deliver_due()
    queue.clock.move(1)
    delivery.deliver_due()
    (line,) = collect(Settings(root=queue.files.root), StudyQuery(study_instance_uid=STUDY)).studies
    assert line.deliveries == {"pacs": {"STORED": 2, "QUEUED": 1}}
    assert line.delivery_reasons == (f"pacs: object {uid(2)}: the association was lost before the answer",)


# --- several associations, many verdicts


def test_several_associations_send_each_object_once(receiving, destination, queue):
    def wait_for_the_other(event: evt.Event, count: int) -> int:
        if count == 2:
            until(lambda: len(event.assoc.ae.active_associations) == 2)
        return 0

    pacs = receiving(wait_for_the_other)
    queue.add(*range(3, 31))
    delivery = DeliveryWorker(destination(pacs.port, associations=2), queue.rows, queue.files, queue.clock)
    assert delivery.deliver_due() == 30
    assert len(pacs.associations) == 2
    assert Counter(pacs.kept) == {uid(number): 1 for number in range(1, 31)}
    assert set(queue.states()) == {"STORED"}


def test_a_receiver_that_takes_fewer_associations_gets_all_over_those_that_it_takes(
    receiving, destination, queue, caplog
):
    pacs = receiving(at_once=1)
    queue.add(*range(3, 31))
    delivery = DeliveryWorker(destination(pacs.port, associations=3), queue.rows, queue.files, queue.clock)
    assert delivery.deliver_due() == 30
    assert set(queue.states()) == {"STORED"}
    assert "next try" not in caplog.text


def test_the_verdicts_on_many_objects_take_few_commits(receiving, destination, queue, tmp_path):
    pacs = receiving()
    queue.add(*range(3, 81))
    engine, commits = open_engine(f"sqlite:///{tmp_path / 'index.sqlite'}"), []
    event.listen(engine, "commit", commits.append)
    DeliveryWorker(destination(pacs.port), Deliveries(engine), queue.files, queue.clock).deliver_due()
    assert set(queue.states()) == {"STORED"}
    assert len(commits) <= 80 / UNSETTLED + 20


def test_what_a_killed_process_had_not_settled_goes_once_more_and_nothing_else(
    receiving, destination, stored_at, tmp_path
):
    url = f"sqlite:///{tmp_path / 'index.sqlite'}"
    queue = stored_at(url)
    queue.add(*range(1, 121))
    begun, killed = threading.Event(), threading.Event()

    def hold_the_60th(_event: object, count: int) -> int:
        if count == 60:
            begun.set()
            assert killed.wait(60)
        return 0

    pacs = receiving(hold_the_60th)
    settings = destination(pacs.port, timeout_s=600).model_dump_json()
    process = subprocess.Popen(
        [sys.executable, "-c", WORKS_UNTIL_ITS_INPUT_ENDS, settings, url, str(tmp_path)], stdin=subprocess.PIPE
    )
    assert begun.wait(60)
    process.kill()
    process.communicate()
    killed.set()
    after_its_lease = DeliveryWorker(
        destination(pacs.port), queue.rows, queue.files, lambda: utc_now() + timedelta(hours=1)
    )
    after_its_lease.deliver_due()
    assert set(queue.states()) == {"STORED"}
    times = Counter(asked for _, asked in pacs.asked)
    assert len(times) == 120
    assert max(times.values()) <= 2
    assert sum(times.values()) - 120 <= 2 * UNSETTLED


# --- several at one queue


def test_two_processes_at_one_queue_send_each_object_once(receiving, destination, stored_at, url, tmp_path):
    pacs = receiving()
    queue = stored_at(url)
    queue.add(*range(1, 41))
    settings = destination(pacs.port).model_dump_json()
    call = [sys.executable, "-c", WORKS_UNTIL_ITS_INPUT_ENDS, settings, url, str(tmp_path)]
    processes = [subprocess.Popen(call, stdin=subprocess.PIPE) for _ in range(2)]
    until(lambda: set(queue.states()) == {"STORED"})
    for process in processes:
        process.communicate(timeout=60)
    assert Counter(pacs.kept) == {uid(number): 1 for number in range(1, 41)}


def test_what_one_sends_for_longer_than_its_lease_no_other_sends(receiving, destination, queue):
    """The lease is 0.3 s, and the receiver takes its time; the time of day is the real one."""
    slow = threading.Event()
    pacs = receiving(lambda _event, _count: (slow.wait(1.5) and 0) or 0)
    first, second = (DeliveryWorker(destination(pacs.port), queue.rows, queue.files, lease_s=0.3) for _ in range(2))
    first.start()
    until(lambda: pacs.asked)
    deadline = time.monotonic() + 1.2
    while time.monotonic() < deadline:
        assert second.deliver_due() == 0
        time.sleep(0.05)
    slow.set()
    until(lambda: set(queue.states()) == {"STORED"})
    first.stop()
    assert Counter(pacs.kept) == {uid(1): 1, uid(2): 1}


def test_what_a_process_had_claimed_when_it_died_another_sends_when_the_lease_has_run_out(
    receiving, destination, queue
):
    queue.rows.claim("pacs", "dead", queue.clock(), queue.clock() + timedelta(seconds=30), 10)
    pacs = receiving()
    delivery = DeliveryWorker(destination(pacs.port), queue.rows, queue.files, queue.clock)
    queue.clock.move(29)
    assert delivery.deliver_due() == 0
    queue.clock.move(1)
    assert delivery.deliver_due() == 2


def test_what_a_process_of_this_root_had_claimed_when_it_was_killed_is_sent_at_the_next_start(
    receiving, destination, queue, tmp_path
):
    """The clock stands still: no lease runs out."""
    go_on = threading.Event()
    pacs = receiving(lambda _event, _count: (go_on.wait(60) and 0) or 0)
    settings = destination(pacs.port)
    url = f"sqlite:///{tmp_path / 'index.sqlite'}"
    call = [sys.executable, "-c", WORKS_UNTIL_ITS_INPUT_ENDS, settings.model_dump_json(), url, str(tmp_path)]
    process = subprocess.Popen(call, stdin=subprocess.PIPE)
    until(lambda: pacs.asked)
    living = DeliveryWorker(settings, queue.rows, queue.files, queue.clock)
    living.start()
    assert queue.states() == ["CLAIMED"] * 2  # who lives keeps what it has claimed
    living.stop()
    process.kill()
    process.communicate()
    go_on.set()
    delivery = DeliveryWorker(settings, queue.rows, queue.files, queue.clock)
    delivery.start()
    until(lambda: queue.states() == ["STORED"] * 2)
    delivery.stop()
    assert not list((tmp_path / "delivery").iterdir())


def test_who_stops_gives_back_what_it_has_not_tried(receiving, destination, queue, unused_port):
    queue.add(*range(3, 10))
    delivery = DeliveryWorker(destination(unused_port), queue.rows, queue.files)
    stopping = threading.Thread(target=delivery.stop)

    def stop_at_the_second(_event: object, count: int) -> int:
        if count == 2:
            stopping.start()
            until(lambda: delivery.stopping)
        return 0

    receiving(stop_at_the_second, unused_port)
    delivery.start()
    until(lambda: stopping.ident is not None and not stopping.is_alive())
    assert Counter(queue.states()) == {"STORED": 2, "QUEUED": 7}


# --- answers


def test_a_refusal_by_the_destination_stops_at_once_with_its_reason(receiving, destination, queue):
    pacs = receiving(lambda _event, _count: 0xA900)
    DeliveryWorker(destination(pacs.port), queue.rows, queue.files, queue.clock).deliver_due()
    assert queue.states() == ["FAILED"] * 2
    assert "A900" in queue.deliveries()[0].reason
    assert len(pacs.asked) == 2


def test_a_full_destination_is_tried_again_after_the_wait_of_each_object(receiving, destination, queue):
    pacs = receiving(lambda _event, _count: 0xA700)
    delivery = DeliveryWorker(destination(pacs.port, first_retry_s=60), queue.rows, queue.files, queue.clock)
    assert delivery.deliver_due() == 2
    assert queue.states() == ["QUEUED"] * 2
    queue.clock.move(59)
    assert delivery.deliver_due() == 0
    queue.clock.move(1)
    assert delivery.deliver_due() == 2


def test_after_the_last_attempt_the_object_waits_for_a_person(receiving, destination, queue):
    pacs = receiving(lambda _event, _count: 0xA700)
    settings = destination(pacs.port, first_retry_s=10, maximum_attempts=2)
    delivery = DeliveryWorker(settings, queue.rows, queue.files, queue.clock)
    delivery.deliver_due()
    queue.clock.move(10)
    delivery.deliver_due()
    assert queue.states() == ["FAILED"] * 2
    assert "gave up after 2 attempts" in queue.deliveries()[0].reason


def test_the_wait_doubles_up_to_the_longest(destination):
    settings = destination(1, first_retry_s=10, longest_retry_s=60)
    assert [settings.retry_delay_s(n) for n in (0, 1, 2, 3, 4, 5000)] == [10, 20, 40, 60, 60, 60]


def test_a_round_that_fails_for_a_reason_that_nobody_foresaw_is_not_repeated_every_second(destination, queue, caplog):
    """A port that is no number, as no configuration can have it."""
    impossible = destination(1, first_retry_s=10).model_copy(update={"port": "none"})
    delivery = DeliveryWorker(impossible, queue.rows, queue.files, queue.clock)
    delivery.start()
    deadline = time.monotonic() + 60
    while "next try in" not in caplog.text:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert delivery.deliver_due() == 0
    delivery.stop()
    assert "destination pacs: the round failed; 0 objects wait, next try in 10 s" in caplog.text
    assert queue.states() == ["QUEUED"] * 2


# --- results of another patient


def test_what_is_stopped_while_others_are_on_their_way_is_not_sent(receiving, destination, queue):
    """The round has begun and holds both; the study ends as one of two patients when the first is stored."""
    pacs = receiving(lambda _event, _count: queue.revoke("1.2.3.1.1", "1.2.3.1.2") or 0)
    delivery = DeliveryWorker(destination(pacs.port), queue.rows, queue.files, queue.clock)
    assert delivery.deliver_due() == 1
    assert pacs.kept == ["1.2.3.1.1"]
    assert queue.states() == ["REVOKED", "STOPPED"]


def test_what_was_sent_while_it_was_stopped_is_named_in_the_log(receiving, destination, queue, caplog):
    pacs = receiving(lambda _event, _count: queue.revoke("1.2.3.1.1", "1.2.3.1.2") or 0)
    DeliveryWorker(destination(pacs.port), queue.rows, queue.files, queue.clock).deliver_due()
    (record,) = (record for record in caplog.records if record.levelname == "ERROR")
    assert "object 1.2.3.1.1: destination pacs: " in record.getMessage()
    assert "withdrawn" in record.getMessage()
