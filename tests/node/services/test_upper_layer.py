"""PDUs of an established association that cannot be: their cost, and the one line that says so."""

from __future__ import annotations

import logging
import time

import pytest

RELEASE = b"\x05\0\0\0\0\4\0\0\0\0"


@pytest.fixture
def talking(receiving, scanner):
    """A scanner with an association."""
    connected = scanner(receiving.port)
    assert connected.associate() == "accepted"
    return connected


def lines(caplog, receiving) -> list[str]:
    """What the node has logged when every association has ended."""
    deadline = time.monotonic() + 10
    while receiving.listener.open_associations:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return [record.getMessage() for record in caplog.records if record.levelno > logging.DEBUG and is_ours(record)]


def is_ours(record: logging.LogRecord) -> bool:
    return record.name.startswith("node")


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"\x04\0\xff\xff\xff\xff", "a PDU that announces more than 1048576 bytes"),
        (b"\x04\0\x00\x10\x00\x01", "a PDU that announces more than 1048576 bytes"),
        (b"\x42\0\x00\x00\x00\x04", "a PDU of an unknown type"),
        (b"\x04\0\x00\x00\x00\x06\x00\x00\xff\xff\x01\x03", "a PDU that cannot be"),
        (b"\x01\0\x00\x00\x00\x04abcd", "a PDU that cannot be decoded"),
    ],
)
def test_a_pdu_that_cannot_be_ends_the_association_with_one_line(receiving, talking, caplog, sent, reason):
    talking.send(sent + b"what follows is not read " * 10_000)
    assert talking.answer().startswith("aborted")
    assert talking.answer() == "closed"
    (line,) = lines(caplog, receiving)
    assert line.startswith(f"association from 127.0.0.1: {reason}")
    assert not any(record.exc_info for record in caplog.records if is_ours(record))


def test_the_same_fault_again_within_a_minute_is_counted_and_not_written(receiving, scanner, caplog):
    for _ in range(10):
        each = scanner(receiving.port)
        each.associate()
        each.send(b"\x42\0\x00\x00\x00\x04")
        assert each.answer() == "aborted 2 0"
    assert lines(caplog, receiving) == ["association from 127.0.0.1: a PDU of an unknown type"]


def test_a_pdu_that_does_not_belong_there_ends_the_association(receiving, talking):
    talking.send(talking.request())
    assert talking.answer() == "aborted 2 0"


def test_a_connection_that_ends_inside_a_pdu_is_one_line(receiving, talking, caplog):
    talking.send(b"\x04\0\0\0\x10\0half")
    talking.close()
    assert lines(caplog, receiving) == ["association from 127.0.0.1: a connection that ended inside a PDU"]


def test_an_orderly_end_is_no_line(receiving, talking, caplog):
    assert talking.release() == "released"
    assert lines(caplog, receiving) == []


def test_silence_inside_a_pdu_ends_the_association_after_the_network_timeout(start, scanner, caplog):
    receiving = start(network_timeout_s=0.2)
    silent = scanner(receiving.port)
    assert silent.associate() == "accepted"
    silent.send(b"\x04\0\0\0\x10\0half")
    assert silent.answer() in ("closed", "aborted 0 0")
    assert "silence inside a PDU" in "".join(lines(caplog, receiving))


def test_stopping_does_not_wait_for_who_is_silent_inside_a_pdu(receiving, talking):
    talking.send(b"\x04\0\0\0\x10\0half")
    begin = time.monotonic()
    receiving.listener.stop(patience_s=0.1)
    assert time.monotonic() - begin < 10
    assert receiving.listener.open_associations == 0


def test_a_fault_is_written_at_a_level_that_is_seen(receiving, talking, caplog):
    talking.send(b"\x42\0\x00\x00\x00\x04")
    lines(caplog, receiving)
    assert [record.levelno for record in caplog.records if is_ours(record)] == [logging.WARNING]
