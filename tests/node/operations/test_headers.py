"""Headers of many files are read in several processes, with the answer that one process gives."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from node.operations.headers import in_processes
from node.recognition.plan import HeaderFinding, read_headers
from node.settings import RecognitionSettings

SETTINGS = RecognitionSettings(words={"localizer": ("scout of this site",)})


@pytest.fixture
def files(written_by: Callable[..., Any], tmp_path: Path) -> list[Path]:
    """Images of two scanners, more than one process reads by itself, with a damaged file among them."""
    damaged = tmp_path / "damaged.dcm"
    damaged.write_bytes(b"no DICOM")
    images = [*written_by("Siemens Skyra").paths, *written_by("GE MR750").paths]
    assert len(images) > 200
    return [*images[:50], damaged, *images[50:]]


class Witness:
    """Looks on, and counts the processes that read meanwhile; what other tests have left running is none of them."""

    def __init__(self) -> None:
        self.seen, self.total, self.processes = 0, 0, 0
        self._before = {child.pid for child in multiprocessing.active_children()}

    def __call__(self, headers: Iterable[HeaderFinding], total: int) -> Iterable[HeaderFinding]:
        self.total = total
        for finding in headers:
            reading = {child.pid for child in multiprocessing.active_children()} - self._before
            self.processes = max(self.processes, len(reading))
            self.seen += 1
            yield finding


def test_several_processes_give_what_one_gives_in_the_same_order(files: list[Path]) -> None:
    # A process of its own: the one that runs tests in parallel has threads, and reads by itself.
    call = [sys.executable, "-c", _COMPARE, *map(str, files)]
    answer = subprocess.run(call, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3])
    assert answer.stdout.split() == ["same", str(len(files)), "2"], answer.stderr


_COMPARE = """
import multiprocessing, sys
from pathlib import Path
from node.operations.headers import in_processes
from node.recognition.plan import read_headers
from node.settings import RecognitionSettings

settings = RecognitionSettings(words={"localizer": ("scout of this site",)})
files = [Path(name) for name in sys.argv[1:]]
processes = set()

def watch(headers, total):
    for finding in headers:
        processes.update(child.pid for child in multiprocessing.active_children())
        yield finding

found = list(in_processes(watch, 2)(files, settings))
print("same" if found == list(read_headers(files, settings)) else "other", len(found), len(processes))
"""


def test_few_files_are_read_without_another_process(files: list[Path]) -> None:
    watch = Witness()
    assert list(in_processes(watch, 2)(files[:60], SETTINGS)) == list(read_headers(files[:60], SETTINGS))
    assert (watch.seen, watch.processes) == (60, 0)


def test_a_process_with_other_threads_reads_by_itself(files: list[Path]) -> None:
    watch, go_home = Witness(), threading.Event()
    other = threading.Thread(target=go_home.wait)
    other.start()
    found = list(in_processes(watch, 2)(files, SETTINGS))
    go_home.set()
    other.join()
    assert (len(found), watch.processes) == (len(files), 0)
