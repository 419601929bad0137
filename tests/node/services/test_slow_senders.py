"""Senders that are slow, or too many, or send too much: what they hold, and for how long."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from pynetdicom.dsutils import split_dataset

COMMAND, LAST = 1, 2
LIMIT = "rejected 2 3 2"
DRIP_S = 0.05


@pytest.fixture
def drip() -> Iterator:
    """Sends bytes one by one, until told to stop or the connection has ended."""
    stop, threads = threading.Event(), []

    def begin(scanner, data: bytes) -> None:
        def send() -> None:
            for byte in data:
                try:
                    scanner.send(bytes([byte]))
                except OSError:
                    return
                if stop.wait(DRIP_S):
                    return

        threads.append(threading.Thread(target=send))
        threads[-1].start()

    yield begin
    stop.set()
    for thread in threads:
        thread.join()


def store_command(scanner) -> bytes:
    elements = {0x0002: scanner.MR + b"\0", 0x0100: b"\1\0", 0x0110: b"\1\0", 0x0700: b"\0\0", 0x0800: b"\1\0"}
    return scanner.command(elements | {0x1000: b"1.2.3.4.1\0"})


def test_a_pdu_that_drips_ends_with_the_time_of_a_pdu(start, scanner, drip):
    receiving = start(network_timeout_s=0.5)
    slow = scanner(receiving.port)
    assert slow.associate() == "accepted"
    begin = time.monotonic()
    drip(slow, b"\x04\0\0\0\x10\0" + b"\0\0\x0f\xfc\1\1" + bytes(4090))
    assert slow.answer() in ("closed", "aborted 0 0")
    assert time.monotonic() - begin < 5


def test_a_message_of_whole_pdus_that_drip_ends_with_the_time_of_a_message(start, scanner):
    """Each PDU is in time; together they bring next to nothing."""
    receiving = start(network_timeout_s=0.5, slowest_kb_s=100)
    slow = scanner(receiving.port)
    assert slow.associate() == "accepted"
    slow.say(slow.fragment(COMMAND | LAST, store_command(slow)))
    begin, answer = time.monotonic(), "closed"
    try:
        while time.monotonic() - begin < 10:
            slow.say(slow.fragment(0, b"xx"))
            time.sleep(DRIP_S)
    except OSError:
        answer = "ended"
    assert answer == "ended"
    assert time.monotonic() - begin < 5
    assert list(receiving.store.spool.iterdir()) == []


def test_a_large_object_may_take_longer_than_the_time_of_silence(start, scanner, make_image):
    receiving = start(network_timeout_s=0.5, slowest_kb_s=20)
    data_set = make_image(pixels=100_000).read_bytes()[-100_400:]
    sender = scanner(receiving.port)
    assert sender.associate() == "accepted"
    sender.say(sender.fragment(COMMAND | LAST, store_command(sender)))
    for start_of_piece in range(0, len(data_set), 10_000):
        last = LAST if start_of_piece + 10_000 >= len(data_set) else 0
        sender.say(sender.fragment(last, data_set[start_of_piece : start_of_piece + 10_000]))
        time.sleep(0.1)
    assert sender.status().endswith(" to 1")


def test_one_address_leaves_slots_to_the_others(start, scanner):
    receiving = start(maximum_associations=4, maximum_associations_per_remote=3)
    crowd = [scanner(receiving.port) for _ in range(5)]
    assert [each.associate() for each in crowd] == ["accepted"] * 3 + [LIMIT] * 2
    assert scanner(receiving.port, bound_to("127.0.0.2")).associate() == "accepted"
    assert scanner(receiving.port, bound_to("127.0.0.3")).associate() == LIMIT


def bound_to(address: str) -> socket.socket:
    unconnected = socket.socket()
    unconnected.bind((address, 0))
    return unconnected


def test_an_object_over_the_limit_is_refused_and_the_others_are_stored(start, scanner, make_image):
    receiving = start(largest_object_gb=5e-6)  # 5 kB
    path = make_image(pixels=2048)
    data_set = path.read_bytes()[split_dataset(path)[1] :]
    sender = scanner(receiving.port)
    assert sender.associate() == "accepted"
    command = sender.fragment(COMMAND | LAST, store_command(sender))
    for content, status in ((data_set, "0000"), (data_set + bytes(200_000), "A700"), (data_set, "0000")):
        sender.say(command)
        for begin in range(0, len(content), 1000):
            sender.say(sender.fragment(LAST if begin + 1000 >= len(content) else 0, content[begin : begin + 1000]))
        assert sender.status() == f"{status} to 1"
    assert receiving.index.study("1.2.3").instance_count == 1
    assert list(receiving.store.spool.iterdir()) == []
    assert receiving.quarantined() == ()
