"""A destination's queue: delivered once, postponed while the destination is away, stopped where it refuses."""

from __future__ import annotations

import threading
import time
from collections import Counter

from node.delivery.dicom import Delivery, retry_delay_s


def until_all_is_delivered(delivery: Delivery, queue, longest_s: float) -> float:
    """Move the clock a second at a time; the seconds that it took."""
    for second in range(int(longest_s)):
        delivery.deliver_due()
        if set(queue.states()) == {"DELIVERED"}:
            return second
        queue.clock.move(1)
    raise AssertionError(f"not within {longest_s} s: {Counter(queue.states())}")


def test_what_is_due_is_delivered_once(receiving, destination, queue):
    pacs = receiving()
    delivery = Delivery(destination(pacs.port), queue.rows, queue.files, queue.clock)
    assert delivery.deliver_due() == 2
    assert delivery.deliver_due() == 0
    assert pacs.kept == ["1.2.3.1.1", "1.2.3.1.2"]
    assert queue.states() == ["DELIVERED"] * 2


def test_the_thread_goes_on_until_it_is_stopped(receiving, destination, queue):
    both = threading.Event()
    pacs = receiving(lambda _event, count: both.set() or 0 if count == 2 else 0)
    delivery = Delivery(destination(pacs.port), queue.rows, queue.files)
    delivery.start()
    assert both.wait(60)
    delivery.stop()
    assert queue.states() == ["DELIVERED"] * 2


# --- a destination that is away


def test_a_destination_that_is_away_is_tried_again_after_its_wait_and_then_served(
    receiving, destination, queue, unused_port
):
    delivery = Delivery(destination(unused_port, first_retry_s=10), queue.rows, queue.files, queue.clock)
    delivery.deliver_due()
    assert (queue.states(), queue.reasons()) == (["PENDING"] * 2, {"no connection"})
    pacs = receiving(port=unused_port)
    queue.clock.move(9.9)
    assert delivery.deliver_due() == 0
    assert pacs.asked == []
    queue.clock.move(0.2)
    assert delivery.deliver_due() == 2
    assert queue.states() == ["DELIVERED"] * 2


def test_a_destination_that_is_away_costs_no_object_an_attempt_however_long(destination, queue, unused_port):
    settings = destination(unused_port, maximum_attempts=2, first_retry_s=1, longest_retry_s=60)
    delivery = Delivery(settings, queue.rows, queue.files, queue.clock)
    for _ in range(10):
        delivery.deliver_due()
        queue.clock.move(60)
    assert (queue.states(), queue.attempts()) == (["PENDING"] * 2, [0, 0])


def test_the_wait_of_a_destination_doubles_and_holds_for_what_is_new_as_well(destination, queue, unused_port, caplog):
    settings = destination(unused_port, first_retry_s=10, longest_retry_s=60)
    delivery = Delivery(settings, queue.rows, queue.files, queue.clock)
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
    delivery = Delivery(destination(unused_port, first_retry_s=10), queue.rows, queue.files, queue.clock)
    for wait in (10, 20, 40):
        delivery.deliver_due()
        queue.clock.move(wait)
    queue.add(3)
    receiving(lambda _event, count: 0 if count <= 1 else None, port=unused_port)
    delivery.deliver_due()
    assert queue.states() == ["DELIVERED", "PENDING", "PENDING"]
    assert "1 objects wait, next try in 1 s" in caplog.text


# --- a receiver that ends associations


def test_a_receiver_that_ends_each_association_after_8_objects_gets_all_of_them_in_minutes(
    receiving, destination, queue
):
    pacs = receiving(lambda _event, count: 0 if count <= 8 else None)
    queue.add(*range(3, 61))
    delivery = Delivery(destination(pacs.port), queue.rows, queue.files, queue.clock)
    assert until_all_is_delivered(delivery, queue, 120) < 60
    assert Counter(pacs.kept) == dict.fromkeys((f"1.2.3.1.{n}" for n in range(1, 61)), 1)


def test_only_the_object_that_was_under_way_has_used_an_attempt(receiving, destination, queue):
    pacs = receiving(lambda _event, count: 0 if count <= 1 else None)
    queue.add(3, 4)
    Delivery(destination(pacs.port), queue.rows, queue.files, queue.clock).deliver_due()
    assert queue.states() == ["DELIVERED", "PENDING", "PENDING", "PENDING"]
    assert queue.attempts() == [1, 1, 0, 0]
    assert [delivery.reason for delivery in queue.deliveries()] == [
        "",
        "the association was lost before the answer",
        "the association ended before its turn",
        "the association ended before its turn",
    ]


def test_an_object_at_which_the_receiver_always_aborts_holds_up_none_behind_it(receiving, destination, queue):
    pacs = receiving(lambda event, _count: None if event.request.AffectedSOPInstanceUID == "1.2.3.1.1" else 0)
    queue.add(3, 4)
    settings = destination(pacs.port, first_retry_s=10, maximum_attempts=3)
    delivery = Delivery(settings, queue.rows, queue.files, queue.clock)
    delivery.deliver_due()
    queue.clock.move(10)
    delivery.deliver_due()
    assert [asked for _, asked in pacs.asked] == ["1.2.3.1.1", "1.2.3.1.2", "1.2.3.1.3", "1.2.3.1.4", "1.2.3.1.1"]
    assert queue.states() == ["PENDING", "DELIVERED", "DELIVERED", "DELIVERED"]
    queue.clock.move(20)
    delivery.deliver_due()
    assert queue.states()[0] == "FAILED"
    assert queue.deliveries()[0].reason == "gave up after 3 attempts: the association was lost before the answer"


# --- answers


def test_a_refusal_by_the_destination_stops_at_once_with_its_reason(receiving, destination, queue):
    pacs = receiving(lambda _event, _count: 0xA900)
    Delivery(destination(pacs.port), queue.rows, queue.files, queue.clock).deliver_due()
    assert queue.states() == ["FAILED"] * 2
    assert "A900" in queue.deliveries()[0].reason
    assert len(pacs.asked) == 2


def test_a_full_destination_is_tried_again_after_the_wait_of_each_object(receiving, destination, queue):
    pacs = receiving(lambda _event, _count: 0xA700)
    delivery = Delivery(destination(pacs.port, first_retry_s=60), queue.rows, queue.files, queue.clock)
    assert delivery.deliver_due() == 2
    assert queue.states() == ["PENDING"] * 2
    queue.clock.move(59)
    assert delivery.deliver_due() == 0
    queue.clock.move(1)
    assert delivery.deliver_due() == 2


def test_after_the_last_attempt_the_object_waits_for_a_person(receiving, destination, queue):
    pacs = receiving(lambda _event, _count: 0xA700)
    settings = destination(pacs.port, first_retry_s=10, maximum_attempts=2)
    delivery = Delivery(settings, queue.rows, queue.files, queue.clock)
    delivery.deliver_due()
    queue.clock.move(10)
    delivery.deliver_due()
    assert queue.states() == ["FAILED"] * 2
    assert "gave up after 2 attempts" in queue.deliveries()[0].reason


def test_the_wait_doubles_up_to_the_longest(destination):
    settings = destination(1, first_retry_s=10, longest_retry_s=60)
    assert [retry_delay_s(n, settings) for n in (0, 1, 2, 3, 4, 5000)] == [10, 20, 40, 60, 60, 60]


def test_a_round_that_fails_for_a_reason_that_nobody_foresaw_is_not_repeated_every_second(destination, queue, caplog):
    """A port that is no number, as no configuration can have it."""
    impossible = destination(1, first_retry_s=10).model_copy(update={"port": "none"})
    delivery = Delivery(impossible, queue.rows, queue.files, queue.clock)
    delivery.start()
    deadline = time.monotonic() + 60
    while "next try in" not in caplog.text:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert delivery.deliver_due() == 0
    delivery.stop()
    assert "destination pacs: the round failed; 0 objects wait, next try in 10 s" in caplog.text
    assert queue.states() == ["PENDING"] * 2


# --- results of another patient


def test_what_is_stopped_while_others_are_on_their_way_is_not_sent(receiving, destination, queue):
    """The round has begun and holds both; the study ends as one of two patients when the first is stored."""
    pacs = receiving(lambda _event, _count: queue.revoke("1.2.3.1.1", "1.2.3.1.2") or 0)
    delivery = Delivery(destination(pacs.port), queue.rows, queue.files, queue.clock)
    assert delivery.deliver_due() == 1
    assert pacs.kept == ["1.2.3.1.1"]
    assert queue.states() == ["REVOKED", "STOPPED"]


def test_what_was_sent_while_it_was_stopped_is_named_in_the_log(receiving, destination, queue, caplog):
    pacs = receiving(lambda _event, _count: queue.revoke("1.2.3.1.1", "1.2.3.1.2") or 0)
    Delivery(destination(pacs.port), queue.rows, queue.files, queue.clock).deliver_due()
    (record,) = (record for record in caplog.records if record.levelname == "ERROR")
    assert "object 1.2.3.1.1: destination pacs: " in record.getMessage()
    assert "withdrawn" in record.getMessage()
