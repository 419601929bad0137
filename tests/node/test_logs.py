"""The log of the node: what is written of what, and how often."""

from __future__ import annotations

import io
import logging
import threading
import warnings
from collections.abc import Iterator

import pydicom
import pytest

from node import logs
from node.errors import PermanentError, Refusal, told
from node.logs import Sparing
from storage.errors import HeaderError

log = logging.getLogger("node.test")


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    """The log as `serve` sets it up, at DEBUG; what it changes for all is put back."""
    root, hook, show = logging.getLogger(), threading.excepthook, warnings.showwarning
    queue = logging.getLogger("dbos")
    before = queue.handlers, queue.propagate
    handlers, levels = root.handlers[:], {name: logging.getLogger(name).level for name in ("", *logs._OWN)}
    root.handlers[:] = []  # those of pytest are not to be closed
    stream = io.StringIO()
    logs.configure("DEBUG", stream)
    yield stream
    logging.captureWarnings(False)
    root.handlers[:], threading.excepthook, warnings.showwarning = handlers, hook, show
    queue.handlers, queue.propagate = before
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def written(output: io.StringIO) -> list[str]:
    """The lines, without their times."""
    return [line.split(" ", 1)[1] for line in output.getvalue().splitlines()]


# --- a message is a line


@pytest.mark.parametrize("end", ["\n", "\r\n", "\x0b", "\x85", "\u2028", "\x1b[2K\r"])
def test_no_text_of_others_can_make_a_line_of_its_own(output, end):
    log.warning("called by %s", f"SCANNER{end}2026-01-01T00:00:00Z INFO node.service: all is well")
    (line,) = written(output)
    assert line.startswith("WARNING node.test: called by SCANNER\\")
    assert line.isprintable()


def test_text_that_cannot_be_encoded_is_written_all_the_same(output):
    log.warning("file %s", "\udce4.dcm")
    assert written(output) == ["WARNING node.test: file \\udce4.dcm"]


# --- errors


def test_an_error_of_ours_is_told_as_it_is():
    assert told(Refusal("E-DECODE", "1.2.3: cannot be read")) == "E-DECODE: 1.2.3: cannot be read"
    assert told(HeaderError("cut short")) == "cut short"


def test_an_error_of_a_library_is_told_without_the_value_that_it_repeats():
    with pytest.raises(ValueError, match="Seeded") as caught:
        float("Seeded^Name")
    assert told(caught.value).startswith("ValueError at test_logs.py:")


def test_an_error_of_the_system_is_told_without_its_path():
    assert told(FileNotFoundError(2, "No such file or directory", "Seeded^Name.dcm")) == (
        "FileNotFoundError: No such file or directory"
    )


NAME = "Seeded^Name"


def fail() -> None:
    try:
        float(NAME)
    except ValueError as error:
        raise PermanentError("1.2.3: the value is no number") from error


def test_a_traceback_names_the_places_and_not_the_values(output):
    try:
        fail()
    except PermanentError:
        log.exception("study 1.2.3 failed")
    text = output.getvalue()
    assert "study 1.2.3 failed" in text
    assert "test_logs.py" in text
    assert "  ValueError at test_logs.py:" in text
    assert text.rstrip().endswith("1.2.3: the value is no number")
    assert NAME not in text


def test_a_thread_that_ends_by_an_error_says_so_in_the_log(output):
    thread = threading.Thread(target=fail, name="door")
    thread.start()
    thread.join()
    assert "ERROR   node.logs: thread door ended by an error" in output.getvalue()


# --- libraries


def test_of_the_libraries_that_read_dicom_nothing_is_written(output):
    for name in ("pydicom", "pynetdicom.dul", "highdicom.sr"):
        logging.getLogger(name).critical("Seeded^Name")
    pydicom.Dataset().PatientBirthDate = "Seeded"  # pydicom warns
    assert written(output) == []


@pytest.mark.parametrize("name", ["apscheduler", "dbos"])
def test_of_other_libraries_errors_are_written(output, name):
    logging.getLogger(name).warning("nothing of note")
    logging.getLogger(name).error("job\nfailed")
    assert written(output) == [f"ERROR   {name}: job\\nfailed"]


# --- one line a minute


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
    assert caplog.messages[1:] == ["bad PDU from 192.0.2.1: 99 more in a minute", "bad PDU from 192.0.2.1"]


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
    assert caplog.messages[1:] == ["bad PDU from 192.0.2.1: 1 more in a minute"]


def test_nobody_can_make_it_remember_without_end(sparing, caplog):
    caplog.set_level(logging.CRITICAL, logger="node.test")
    for number in range(5000):
        sparing.write(logging.CRITICAL, "kind", f"address {number}", "line")
    assert len(sparing._kinds) == Sparing._MOST


def test_a_flood_from_many_addresses_has_so_many_lines_a_minute_and_one_that_counts_the_others(sparing, clock, caplog):
    for number in range(5000):
        complain(sparing, address=f"2001:db8::{number:x}")
    assert len(caplog.messages) == Sparing._MOST - 1
    clock.now += 61
    sparing.flush()
    others = 5000 - (Sparing._MOST - 1)
    assert caplog.messages[-1] == f"other kinds and addresses: {others} more in a minute"


def test_lines_below_the_level_cost_nothing(sparing, caplog):
    caplog.set_level(logging.WARNING, logger="node.test")
    sparing.write(logging.DEBUG, "kind", "", "line")
    assert sparing._kinds == {}
