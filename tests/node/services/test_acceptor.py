"""Connections before they are associations: stray ones cost nobody a slot."""

from __future__ import annotations

import os
import resource
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from node.services.acceptor import Acceptor, AcceptorLimits, ReceivedRequest
from node.settings import RemoteSettings

LIMIT = "rejected 2 3 2"  # transient, presentation, local limit exceeded
QUICK = AcceptorLimits(request_s=0.2, closing_s=0.2)


def wait_until(condition, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def threads() -> int:
    return threading.active_count()


# --- stray connections


def test_connections_that_close_hold_no_slot(start, scanner):
    receiving = start(maximum_associations=2)
    for _ in range(20):
        scanner(receiving.port).close()
    assert scanner(receiving.port).associate() == "accepted"


def test_a_connection_waits_no_more_before_its_association_begins(scanner):
    """Who is accepted may look at once."""
    waiting: list[int] = []

    def begin(request: ReceivedRequest) -> None:
        waiting.append(acceptor.waiting)
        request.socket.close()
        request.slot.release()

    acceptor = Acceptor(1, 1, begin)
    port = acceptor.bind("127.0.0.1", 0)
    acceptor.start()
    try:
        scanner(port).associate()
    finally:
        acceptor.close()
    assert waiting == [0]


def test_a_fault_at_one_connection_ends_that_one_alone(scanner, caplog):
    """The thread that accepts is the only one."""
    begun: list[str] = []

    def begin(request: ReceivedRequest) -> None:
        if not begun:
            begun.append("fails")
            raise ValueError("a fault of the node")
        begun.append("accepted")
        request.socket.close()
        request.slot.release()

    acceptor = Acceptor(1, 1, begin)
    port = acceptor.bind("127.0.0.1", 0)
    acceptor.start()
    try:
        assert scanner(port).associate() == "rejected 2 3 1"  # transient, temporary congestion
        scanner(port).associate()
    finally:
        acceptor.close()
    assert begun == ["fails", "accepted"]
    assert "a fault of the node" in caplog.text


def test_connections_that_say_nothing_hold_no_slot_and_no_thread(start, scanner):
    receiving = start(maximum_associations=2)
    before = threads()
    silent = [scanner(receiving.port) for _ in range(50)]
    assert scanner(receiving.port).associate() == "accepted"
    assert threads() - before <= 2  # those of the association
    assert receiving.listener.waiting_connections == len(silent)


def test_a_silent_connection_is_closed_after_a_while(start, scanner):
    receiving = start(limits=QUICK)
    assert scanner(receiving.port).answer() == "closed"
    assert receiving.listener.waiting_connections == 0


def test_the_time_is_that_of_the_whole_request_and_not_of_each_byte(start, scanner):
    """A peer that sends a byte now and then would hold its connection for ever."""
    receiving = start(limits=QUICK)
    slow = scanner(receiving.port)
    drip = threading.Thread(target=send_slowly, args=(slow, b"\x01\x00\x00\x00\x10\x00" + bytes(4096)))
    drip.start()
    assert slow.answer() == "closed"
    drip.join()


def send_slowly(scanner, data: bytes) -> None:
    try:
        for byte in data:
            scanner.send(bytes([byte]))
            time.sleep(0.02)
    except ConnectionError:
        return


@pytest.mark.parametrize(
    "words",
    [
        b"GET / HTTP/1.1\r\nHost: node\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b"\x04\0\0\0\0\x06\0\0\0\2\1\3",
    ],
    ids=["HTTP", "TLS", "P-DATA"],
)
def test_what_is_no_association_request_is_aborted_at_once(receiving, scanner, words):
    stranger = scanner(receiving.port)
    before = threads()
    stranger.send(words)
    assert stranger.answer() == "aborted 2 0"
    assert stranger.answer() == "closed"
    assert threads() <= before
    assert receiving.listener.counts == {}


@pytest.mark.parametrize("length", [0, 67, 2**20 + 1, 2**32 - 1])
def test_a_request_of_impossible_length_is_aborted_and_not_waited_for(receiving, scanner, length):
    stranger = scanner(receiving.port)
    stranger.send(b"\x01\x00" + length.to_bytes(4, "big"))
    assert stranger.answer() == "aborted 2 6"


@pytest.mark.parametrize(
    "damage",
    [
        lambda request: request[:74] + b"\x10\0\xff\xff" + request[78:],  # an item longer than the request
        lambda request: request + b"\x10\0",
        lambda request: request[:-3] + b"\xff\xff\xff",
        lambda request: b"\x01\0\0\0\x40\0" + request[6:74] + b"\x99\0\0\0" * 4079,
    ],
    ids=["item too long", "half an item", "a UID that is no text", "too many items"],
)
def test_a_request_whose_items_do_not_fit_is_aborted(receiving, scanner, damage):
    stranger = scanner(receiving.port)
    request = damage(stranger.request())
    stranger.send(request[:2] + (len(request) - 6).to_bytes(4, "big") + request[6:])
    assert stranger.answer().startswith("aborted")
    wait_until(lambda: receiving.listener.open_associations == 0, 3)


def test_the_largest_honest_request_is_accepted(receiving, scanner):
    assert scanner(receiving.port).associate(contexts=128, syntaxes=40) == "accepted"


def test_a_request_that_comes_in_pieces_is_accepted(receiving, scanner):
    slow = scanner(receiving.port)
    request = slow.request()
    for piece in (request[:1], request[1:5], request[5:6], request[6:80], request[80:]):
        slow.send(piece)
        time.sleep(0.02)
    assert slow.answer() == "accepted"


def test_of_too_many_that_wait_the_oldest_silent_one_goes(start, scanner):
    receiving = start(limits=AcceptorLimits(connections=3))
    talking = scanner(receiving.port)
    talking.send(talking.request()[:10])
    silent = [scanner(receiving.port) for _ in range(3)]
    assert silent[0].answer() == "closed"
    talking.send(talking.request()[10:])
    assert talking.answer() == "accepted"
    assert silent[2].associate() == "accepted"


def test_of_too_many_bytes_that_wait_the_oldest_go(start, scanner):
    receiving = start(limits=AcceptorLimits(all_bytes=100_000))
    greedy = [scanner(receiving.port) for _ in range(3)]
    for each in greedy:
        each.send(b"\x01\x00\x00\x0f\x00\x00" + bytes(40_000))
    assert greedy[0].answer() == "closed"
    assert scanner(receiving.port).associate() == "accepted"


def test_a_machine_out_of_descriptors_makes_room_and_goes_on(receiving, scanner, descriptors):
    sockets = [socket.socket() for _ in range(20)]
    descriptors.leave(4)
    silent = [scanner(receiving.port, each) for each in sockets[:-1]]
    assert scanner(receiving.port, sockets[-1]).associate() == "accepted"
    descriptors.restore()
    assert silent[0].answer() == "closed"


@pytest.fixture
def descriptors() -> Iterator[Descriptors]:
    limited = Descriptors()
    yield limited
    limited.restore()


class Descriptors:
    """How many more this process may open."""

    def __init__(self) -> None:
        self._usual = resource.getrlimit(resource.RLIMIT_NOFILE)

    def leave(self, count: int) -> None:
        free = [os.dup(0) for _ in range(count)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(free) + 1, self._usual[1]))
        for each in free:
            os.close(each)

    def restore(self) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, self._usual)


# --- slots


def test_one_over_the_limit_is_rejected_at_once_and_the_next_enters_when_one_has_gone(start, scanner):
    receiving = start(maximum_associations=1)
    for _ in range(10):
        first, second = scanner(receiving.port), scanner(receiving.port)
        assert first.associate() == "accepted"
        assert second.associate() == LIMIT
        assert second.answer() == "closed"
        assert first.release() == "released"


@pytest.mark.parametrize("end", ["close", "abort", "reset"])
def test_an_association_that_breaks_off_frees_its_slot(start, scanner, end):
    receiving = start(maximum_associations=1)
    first = scanner(receiving.port)
    assert first.associate() == "accepted"
    if end == "abort":
        first.send(b"\x07\0\0\0\0\4\0\0\0\0")
    if end == "reset":
        first.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    first.close()
    wait_until(lambda: scanner(receiving.port).associate() == "accepted", 3)


def test_who_is_rejected_for_its_title_holds_no_slot(start, scanner):
    receiving = start(maximum_associations=1)
    strangers = [scanner(receiving.port) for _ in range(10)]
    for each in strangers:
        each.send(each.request(called=b"SOMEBODY        "))
    assert scanner(receiving.port).associate() == "accepted"
    assert {each.answer() for each in strangers} == {"rejected 1 1 7"}


def test_two_hundred_at_once_have_an_answer_each(start, scanner):
    receiving = start(maximum_associations=4)
    crowd = [scanner(receiving.port) for _ in range(200)]
    for each in crowd:
        each.send(each.request())
    answers = [each.answer() for each in crowd]
    assert answers.count("accepted") == 4
    assert answers.count(LIMIT) == 196
    assert receiving.listener.counts == {"accepted": 4, "rejected": 196}


def test_a_peer_that_closes_while_it_negotiates_frees_its_slot(start, scanner):
    receiving = start(maximum_associations=1)
    for _ in range(5):
        hasty = scanner(receiving.port)
        hasty.send(hasty.request())
        hasty.close()
    wait_until(lambda: scanner(receiving.port).associate() == "accepted", 3)


def test_a_listener_that_stops_sends_away_who_waits(start, scanner):
    receiving = start()
    silent = scanner(receiving.port)
    wait_until(lambda: receiving.listener.waiting_connections == 1)
    receiving.listener.stop()
    assert silent.answer() == "closed"


# --- AE titles


@pytest.mark.parametrize(
    ("called", "calling"),
    [
        (b"RECTALNODE\0\0\0\0\0\0", b"SCANNER         "),
        (b"RECTALNODE      ", b"SCANNER\0\0\0\0\0\0\0\0\0"),
        (b"RECTALNODE\0     ", b"SCANNER\0        "),
        (b"  RECTALNODE    ", b" SCANNER        "),
        (b"RECTALNODE\0\xfe\xed\x00\x01\x02", b"SCANNER\0garbage "),
    ],
)
def test_titles_count_without_the_blanks_and_nuls_around_them(start, scanner, called, calling):
    receiving = start(remotes=(RemoteSettings(name="scanner", ae_title="SCANNER", may_store=True),))
    assert scanner(receiving.port).associate(called=called, calling=calling) == "accepted"


@pytest.mark.parametrize(
    "title", [b"R\xc3\xb6ntgen        ", b" " * 16, bytes(16), b"A\\B             ", b"A\nB             "]
)
def test_what_is_no_title_is_rejected_as_not_recognised(receiving, scanner, title):
    assert scanner(receiving.port).associate(calling=title) == "rejected 1 1 3"
    assert scanner(receiving.port).associate(called=title) == "rejected 1 1 7"
    assert receiving.listener.counts == {"rejected": 2}


def test_another_version_of_the_protocol_is_rejected_and_a_further_bit_is_not(receiving, scanner):
    """PS3.8 9.3.2: only the bit of version 1 is looked at."""
    assert scanner(receiving.port).associate(version=2) == "rejected 1 2 2"
    assert scanner(receiving.port).associate(version=3) == "accepted"
