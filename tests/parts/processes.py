"""Real parts as processes: started, waited for until they answer, ended. A test that fails shows their logs."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

#: Without it DCMTK and Orthanc wait about 40 ms for each message.
ENVIRONMENT = os.environ | {"TCP_NODELAY": "1"}
_LAST_BYTES = 4000
_logs: dict[str, Path] = {}


def free_ports(count: int) -> list[int]:
    """Different TCP ports of the loopback interface that nobody listens on."""
    with ExitStack() as open_:
        probes = [open_.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def free_port() -> int:
    """One such port."""
    return free_ports(1)[0]


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 540, look_s: float = 0.1) -> Any:
    """Wait until the condition holds and return what it gave."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(look_s)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


def show_on_failure(name: str, log: Path) -> None:
    """A test that fails from now on shows the end of this log."""
    _logs[name] = log


def ends_of_logs() -> list[tuple[str, str]]:
    """The last lines of each part that runs, for the report of a test that failed."""
    return [
        (f"log of {name}", log.read_bytes()[-_LAST_BYTES:].decode("utf-8", "backslashreplace"))
        for name, log in _logs.items()
        if log.is_file()
    ]


@contextmanager
def running(
    name: str, call: Sequence[object], log: Path, answers: Callable[[], Any], seconds: float = 90, **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that answers, until the block ends; `options` are those of Popen."""
    with log.open("ab") as output:
        words = [str(each) for each in call]
        process = subprocess.Popen(
            words, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **options
        )
    show_on_failure(name, log)

    def up() -> Any:
        assert process.poll() is None, f"{name} has ended: {log.read_bytes()[-_LAST_BYTES:]!r}"
        return answers()

    try:
        wait_for(up, f"{name} answers", seconds, 0.05)
        yield process
    finally:
        _logs.pop(name, None)
        process.kill()  # nothing that it keeps is needed any more, and Orthanc takes seconds to stop in order
        process.wait()
