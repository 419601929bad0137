"""The log of the node: what is written of what, and how often."""

from __future__ import annotations

import logging

import pytest

from node.logs import Sparing

log = logging.getLogger("node.test")


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sparing(clock: Clock) -> Sparing:
    return Sparing(log, clock)


def complain(sparing: Sparing, kind: str = "bad PDU", address: str = "192.0.2.1") -> None:
    sparing.write(logging.WARNING, kind, address, "%s from %s", kind, address)


def test_the_same_kind_from_the_same_address_is_one_line_a_minute_with_a_count(sparing, clock, caplog):
    for _ in range(100):
        complain(sparing)
        clock.now += 0.5
    assert caplog.messages == ["bad PDU from 192.0.2.1"]
    clock.now += 30
    complain(sparing)
    assert caplog.messages[1:] == ["bad PDU from 192.0.2.1: 99 times more in a minute", "bad PDU from 192.0.2.1"]


def test_another_kind_and_another_address_have_lines_of_their_own(sparing, caplog):
    for _ in range(3):
        complain(sparing)
        complain(sparing, kind="silence")
        complain(sparing, address="192.0.2.2")
    assert sorted(caplog.messages) == ["bad PDU from 192.0.2.1", "bad PDU from 192.0.2.2", "silence from 192.0.2.1"]


def test_what_was_left_out_is_said_although_nothing_follows(sparing, clock, caplog):
    complain(sparing)
    complain(sparing)
    sparing.flush()
    assert len(caplog.messages) == 1
    clock.now += 61
    sparing.flush()
    sparing.flush()
    assert caplog.messages[1:] == ["bad PDU from 192.0.2.1: 1 times more in a minute"]


def test_nobody_can_make_it_remember_without_end(sparing, caplog):
    caplog.set_level(logging.CRITICAL, logger="node.test")
    for number in range(5000):
        sparing.write(logging.CRITICAL, "kind", f"address {number}", "line")
    assert len(sparing._kinds) == Sparing._MOST


def test_lines_below_the_level_cost_nothing(sparing, caplog):
    caplog.set_level(logging.WARNING, logger="node.test")
    sparing.write(logging.DEBUG, "kind", "", "line")
    assert sparing._kinds == {}
