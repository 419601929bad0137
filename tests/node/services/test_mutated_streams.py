"""Whole associations, mutated: the listener lives, others are served meanwhile, and memory stays where it was.

200 in the suite; 20,000 with RECTAL_NODE_LONG=1 (`make receiving`).
"""

from __future__ import annotations

import os
import random
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

import pytest
from pynetdicom.dsutils import split_dataset

from .conftest import RawScanner, a_pdu
from .test_damaged_traffic import damaged
from .test_leases import LISTENER

LONG = os.environ.get("RECTAL_NODE_LONG") == "1"
STREAMS = int(os.environ.get("RECTAL_NODE_STREAMS", 20_000 if LONG else 200))
PATIENCE_S = 1.0 if LONG else 5.0  # the suite shares its machine with other tests
SENDERS = 8
LARGEST_GROWTH = 40e6  # bytes; a leak of 4 kB a stream would be 80 MB in the long form


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int, Path]]:
    """A process that listens with short time limits, its port, and what it writes."""
    log = tmp_path / "log"
    short = LISTENER.replace("ListenerSettings(", "ListenerSettings(network_timeout_s=1, ")
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", short, str(tmp_path)], stdout=subprocess.PIPE, stderr=file, text=True
        )
    assert process.stdout is not None
    yield process, int(process.stdout.readline()), log
    process.kill()
    process.wait()


def resident(process: subprocess.Popen[str]) -> int:
    """Bytes of memory."""
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def traffic(data_set: bytes) -> list[bytes]:
    """The PDUs of an association: request, a C-STORE in three fragments, a C-ECHO, release."""
    command = {0x0002: RawScanner.MR + b"\0", 0x0100: b"\1\0", 0x0110: b"\1\0", 0x0700: b"\0\0", 0x0800: b"\1\0"}
    echo = {0x0002: RawScanner.VERIFICATION + b"\0", 0x0100: b"\x30\0", 0x0110: b"\2\0", 0x0800: b"\1\1"}
    half = len(data_set) // 2
    fragments = (
        RawScanner.fragment(3, RawScanner.command(command | {0x1000: b"1.2.3.4.1\0"})),
        RawScanner.fragment(0, data_set[:half]),
        RawScanner.fragment(2, data_set[half:]),
        RawScanner.fragment(3, RawScanner.command(echo), context=3),
    )
    return [RawScanner.request(contexts=2), *(a_pdu(0x04, each) for each in fragments), a_pdu(0x05, bytes(4))]


def mutated(pdus: list[bytes], draw: random.Random) -> list[bytes]:
    """Bytes changed in one or more PDUs, or PDUs doubled, cut, or of another length; the request in one of four."""
    changed = list(pdus)
    for _ in range(draw.choice((1, 1, 2, 3))):
        at = draw.randrange(1, len(changed)) if draw.randrange(4) else 0
        match draw.randrange(6):
            case 0 | 1 | 2:
                changed[at] = damaged(changed[at], draw)
            case 3:  # what is cut twice may be one byte
                changed[at] = changed[at][: draw.randrange(1, max(len(changed[at]), 2))]
            case 4:
                changed.insert(at, changed[draw.randrange(len(changed))])
            case 5:
                changed[at] = changed[at][:2] + struct.pack(">L", draw.randrange(2**20)) + changed[at][6:]
    return [each for each in changed if each]


def send_streams(port: int, data_set: bytes, seed: int, count: int) -> int:
    """Send so many, one after the other; how many of the associations were accepted.

    What follows a whole request waits until it has been answered: what came before would end the association.
    """
    draw, pdus, accepted = random.Random(seed), traffic(data_set), 0
    for _ in range(count):
        request, *others = mutated(pdus, draw)
        sender = RawScanner(port)
        try:
            sender.send(request)
            if request == pdus[0]:
                accepted += sender.answer() == "accepted"
            for pdu in others:
                sender.send(pdu)
            sender.socket.shutdown(socket.SHUT_WR)
            while sender.socket.recv(2**16):
                pass
        except OSError:
            pass  # it has been ended, as it should be
        finally:
            sender.close()
    return accepted


def ask(port: int) -> str:
    """An honest association with a C-ECHO."""
    scanner = RawScanner(port)
    try:
        answer = scanner.associate(contexts=2)
        if answer != "accepted":
            return answer
        scanner.say(scanner.fragment(3, scanner.command({**ECHO}), context=3))
        return f"{scanner.status()}, {scanner.release()}"
    finally:
        scanner.close()


ECHO = {0x0002: RawScanner.VERIFICATION + b"\0", 0x0100: b"\x30\0", 0x0110: b"\2\0", 0x0800: b"\1\1"}


@pytest.mark.timeout(1800 if LONG else 120)
def test_mutated_streams_crash_nothing_hold_up_nobody_and_cost_no_memory(listening, make_image):
    process, port, log = listening
    path = make_image(pixels=256)
    data_set = path.read_bytes()[split_dataset(path)[1] :]
    slowest = 0.0
    with ThreadPoolExecutor(SENDERS) as senders:

        def begin(streams: int, *seeds: int) -> list[Future[int]]:
            return [senders.submit(send_streams, port, data_set, seed, streams // SENDERS) for seed in seeds]

        wait(begin(STREAMS // 5, *range(SENDERS)))  # fills caches and arenas of as many threads
        before = resident(process)
        sending = begin(STREAMS, *range(SENDERS, 2 * SENDERS))
        while not all(each.done() for each in sending):
            begun = time.monotonic()
            # From an address of many associations at once an honest one may be told to wait.
            assert ask(port) in ("0000 to 2, released", "rejected 2 3 2")
            slowest = max(slowest, time.monotonic() - begun)
            time.sleep(0.05)
    assert sum(each.result() for each in sending) > STREAMS / 2
    time.sleep(1.5)  # beyond the time limits of what is still open
    assert process.poll() is None
    assert ask(port) == "0000 to 2, released"
    assert slowest < PATIENCE_S
    assert resident(process) - before < LARGEST_GROWTH
    assert "Traceback" not in log.read_text()
