"""Several listener processes behind one port: one counts, all serve, and one that dies is replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydicom import dcmread

from node.codes import Alert
from node.dicom.scu import store
from storage.alerts import Alerts

from .test_leases import LISTENER

LIMIT = "rejected 2 3 2"


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(identifier: int) -> bool:
    try:
        return Path(f"/proc/{identifier}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children(identifier: int) -> list[int]:
    threads = Path(f"/proc/{identifier}/task").iterdir()
    return [int(word) for thread in threads for word in (thread / "children").read_text().split()]


@pytest.fixture
def two(start):
    """A listener with two processes and room for three associations."""
    return start(processes=2, maximum_associations=3)


def identifiers(receiving) -> list[int]:
    return receiving.listener._processes.identifiers


def test_associations_are_spread_counted_in_all_and_lose_nothing(two, scanner, make_image):
    assert len(set(identifiers(two))) == 2
    talking = [scanner(two.port) for _ in range(4)]
    assert [each.associate() for each in talking] == ["accepted"] * 3 + [LIMIT]
    assert sorted(each.open for each in two.listener._processes._running) == [1, 2]
    for each in talking[:3]:
        assert each.release() == "released"
    paths = [make_image(number) for number in range(1, 31)]
    with ThreadPoolExecutor(3) as pool:
        sent = [
            outcome
            for found in pool.map(
                lambda n: list(store(paths[n::3], "127.0.0.1", two.port, "RECTALNODE", "SCANNER", 30)), range(3)
            )
            for outcome in found
        ]
    assert {outcome.status for outcome in sent} == {0}
    assert two.index.study("1.2.3").instance_count == 30
    records = two.index.instances("1.2.3")
    stored = {record.header.sop_instance_uid: two.store.absolute(record.file) for record in records}
    assert all(dcmread(stored[dcmread(path).SOPInstanceUID]).PixelData == dcmread(path).PixelData for path in paths)
    wait_until(lambda: two.listener.counts.get("status 0000") == 30)
    assert two.listener.counts["accepted"] == 6
    assert two.listener.counts["rejected"] == 1


def test_who_reads_the_end_of_an_association_may_ask_for_the_next_at_once(start, scanner):
    receiving = start(processes=2, maximum_associations=1)
    for _ in range(20):
        each = scanner(receiving.port)
        assert each.associate() == "accepted"
        assert each.release() == "released"


def test_a_process_that_is_killed_frees_its_slots_and_is_replaced(two, scanner, make_image):
    talking = [scanner(two.port) for _ in range(3)]
    assert {each.associate() for each in talking} == {"accepted"}
    before = identifiers(two)
    killed = max(two.listener._processes._running, key=lambda each: each.open)
    os.kill(killed.process.pid, signal.SIGKILL)
    answers = []
    wait_until(lambda: two.listener.open_associations == 1)
    for each in talking:
        each.socket.settimeout(0.5)
        try:
            answers.append(each.answer())
        except TimeoutError:
            answers.append("open")
    assert sorted(answers) == ["closed", "closed", "open"]
    (left,) = [each for each, answer in zip(talking, answers, strict=True) if answer == "open"]
    left.socket.settimeout(10)
    again = scanner(two.port)
    assert again.associate() == "accepted"
    wait_until(lambda: len(identifiers(two)) == 2)
    assert set(identifiers(two)) - set(before)
    (alert,) = Alerts(two.index.engine).open()
    assert (alert.code, alert.times) == (Alert.PROCESS_DIED, 1)
    assert "SIGKILL" in alert.text
    assert left.release() == "released"
    assert [outcome.status for outcome in store([make_image()], "127.0.0.1", two.port, "RECTALNODE", "S", 30)] == [0]


def test_stopping_ends_every_process(start, scanner):
    receiving = start(processes=2)
    begun = identifiers(receiving)
    assert scanner(receiving.port).associate() == "accepted"
    receiving.listener.stop(patience_s=0.2)
    assert not any(map(alive, begun))


def test_processes_end_with_the_one_that_accepts(tmp_path):
    two = LISTENER.replace("ListenerSettings(", "ListenerSettings(processes=2, ")
    process = subprocess.Popen([sys.executable, "-c", two, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert int(process.stdout.readline())
        found = children(process.pid)
        assert len(found) == 2
        process.kill()
        process.wait()
        wait_until(lambda: not any(map(alive, found)))
    finally:
        process.kill()
        process.wait()
