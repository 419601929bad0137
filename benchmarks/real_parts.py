"""The real parts that measurements talk to: Orthanc, nodes as processes of their own, and what a process costs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

#: Without it DCMTK and Orthanc wait about 40 ms for each message.
ENVIRONMENT = os.environ | {"TCP_NODELAY": "1"}


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def checkout(repository: Path, commit: str, folder: Path) -> Path:
    """The files of a commit, in a new folder."""
    folder.mkdir()
    archive = subprocess.run(["git", "archive", commit], cwd=repository, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
    return folder


def wait_for(condition: Callable[[], bool], what: str, seconds: float, look_s: float = 0.05) -> None:
    """Wait until the condition holds.

    Raises:
        TimeoutError: it was not within `seconds`.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(look_s)
    raise TimeoutError(f"not within {seconds:g} s: {what}")


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc with its default durability."""

    process: subprocess.Popen[bytes]
    http_port: int
    dicom_port: int

    def get(self, path: str) -> dict[str, object]:
        """What its REST interface answers."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=30) as answer:
            return dict(json.load(answer))

    @property
    def instances(self) -> int:
        """Instances that it has stored."""
        return int(str(self.get("/statistics")["CountInstances"]))


@contextmanager
def orthanc(folder: Path) -> Iterator[Orthanc]:
    """An Orthanc that keeps its files in a new folder, and ends with the block.

    It has a thread for each of 16 senders; with its default of 4 an association that is idle for a moment keeps others
    waiting for a second.
    """
    folder.mkdir(parents=True)
    http_port, dicom_port = free_port(), free_port()
    settings = {
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "HttpPort": http_port,
        "DicomPort": dicom_port,
        "DicomAet": "ORTHANC",
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomCheckCalledAet": False,
        "DicomAlwaysAllowStore": True,
        "UnknownSopClassAccepted": True,
        "DicomThreadsCount": 16,
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("wb") as log:
        command = ["Orthanc", str(folder / "orthanc.json")]
        process = subprocess.Popen(command, env=ENVIRONMENT, stdout=log, stderr=log)
    running = Orthanc(process, http_port, dicom_port)
    try:
        wait_for(lambda: _answers(running), "Orthanc answers", 60)
        yield running
    finally:
        process.terminate()
        process.wait()


def _answers(running: Orthanc) -> bool:
    try:
        return bool(running.get("/system"))
    except OSError:
        return False


@contextmanager
def node(source: Path, config: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The node whose code lies in `source`, as a process that ends with the block; it listens.

    Its log is `node.log` beside the configuration.
    """
    environment = ENVIRONMENT | {"PYTHONPATH": str(source)}
    with (config.parent / "node.log").open("ab") as log:
        command = [sys.executable, "-m", "node", "serve", "--config", str(config)]
        process = subprocess.Popen(command, cwd=source, env=environment, stdout=log, stderr=log)
    try:
        wait_for(lambda: _listens(process, port), "the node listens", 120)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    if process.poll() is not None:
        raise RuntimeError("the node has ended; see node.log beside its configuration")
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def family(process_id: int) -> list[int]:
    """A process and all that it has begun, as far as they live."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue  # it has ended meanwhile
        children.setdefault(int(text.rpartition(")")[2].split()[1]), []).append(int(text.split(" ", 1)[0]))
    found, todo = [], [process_id]
    while todo:
        found.append(each := todo.pop())
        todo += children.get(each, [])
    return found


def memory_mb(process_id: int) -> float:
    """Memory of a process and its children in MB; pages that they share count once (Pss)."""
    total = 0
    for each in family(process_id):
        try:
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue  # it has ended meanwhile
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def processor_s(process_id: int) -> float:
    """Processor time in s, user and system, of a process, its living children, and those that it has waited for."""
    ticks = 0
    for each in family(process_id):
        try:
            values = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        ticks += sum(map(int, values[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")
