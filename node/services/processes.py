"""Listener processes: associations are handed over to them with their sockets, and they say when one has ended.

A process that dies takes its associations with it: their slots are freed, and another takes its place.
"""

from __future__ import annotations

import json
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence

from node.codes import Alert
from node.dicom.connection import timeval
from node.services.acceptor import ReceivedRequest
from node.services.slots import Slot
from node.settings import ListenerSettings, RemoteSettings
from storage.alerts import Alerts
from storage.files import ObjectStore
from storage.index import Index

log = logging.getLogger(__name__)

_START_S = 60.0
_HAND_OVER_S = 5.0
_AGAIN_S = 1.0  # between two starts in the place of one that has died
_STOP_S = 4.0  # beyond the patience with associations
LENGTH = 4  # bytes before each message to a process: its length


class Process:
    """One listener process, seen from the one that accepts."""

    def __init__(self, setup: bytes) -> None:
        """Start it.

        Args:
            setup: the first message to it, JSON.
        """
        self._control, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "node.services.process", str(theirs.fileno())]
            self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        # A limit of sending alone: the reader waits as long as the process lives.
        self._control.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval(_HAND_OVER_S))
        self._lines = self._control.makefile("r", encoding="utf-8")
        self._slots: dict[int, Slot] = {}
        self._lock = threading.Lock()  # slots are taken by the acceptor and given back by the reader
        self._sending = threading.Lock()  # the acceptor and the reader send
        self._next = 0
        self.ready = threading.Event()
        self.stopping = False
        self.counts: dict[str, int] = {}
        self._send(setup)

    @property
    def open(self) -> int:
        """Associations that it has."""
        with self._lock:
            return len(self._slots)

    def begin(self, request: ReceivedRequest) -> None:
        """Hand an association over; the socket is its own from here on.

        Raises:
            OSError: it takes none.
        """
        with self._lock:
            self._next += 1
            number = self._next
            self._slots[number] = request.slot
        asked = request.request
        message = {
            "association": number,
            "address": request.address,
            "encoded": asked.encoded.hex(),
            "calling": asked.calling_ae,
            "called": asked.called_ae,
            "version": asked.version,
        }
        try:
            self._send(json.dumps(message).encode(), request.socket)
        except OSError:
            with self._lock:
                self._slots.pop(number, None)
            self.process.kill()  # half a message may be under way: nothing it is told any more makes sense
            raise
        request.socket.close()

    def stop(self, patience_s: float) -> None:
        """Tell it to end."""
        self.stopping = True
        try:
            self._send(json.dumps({"stop": patience_s}).encode())
        except OSError:
            log.debug("a listener process has ended before it was told to")

    def watch(self) -> None:
        """Take what it says, until it ends; then its slots are free."""
        try:
            for line in self._lines:
                self._heard(json.loads(line))
        except (OSError, ValueError) as error:
            log.debug("listener process: %s", error)
        self._control.close()
        self.process.wait()
        with self._lock:
            left, self._slots = list(self._slots.values()), {}
        for slot in left:
            slot.release()

    def _heard(self, said: dict[str, object]) -> None:
        if "counts" in said:
            self.counts = said["counts"]  # type: ignore[assignment]  # written by `node.services.process`
        if "ready" in said:
            self.ready.set()
        if "established" in said:
            with self._lock:
                slot = self._slots.get(int(str(said["established"])))
            if slot is not None:
                slot.establish()
        if "ended" in said:
            number = int(str(said["ended"]))
            with self._lock:
                slot = self._slots.pop(number, None)
            if slot is not None:
                slot.release()
            # It waits for this before it says the last word: who reads that may ask for the next association at once.
            self._send(json.dumps({"freed": number}).encode())

    def _send(self, message: bytes, passed: socket.socket | None = None) -> None:
        begin = len(message).to_bytes(LENGTH, "big")
        with self._sending:
            if passed is None:
                self._control.sendall(begin + message)
            else:
                socket.send_fds(self._control, [begin], [passed.fileno()])
                self._control.sendall(message)


class Processes:
    """The listener processes of a node; what `Associations` is within one."""

    def __init__(
        self,
        settings: ListenerSettings,
        remotes: Sequence[RemoteSettings],
        store: ObjectStore,
        index: Index,
        lease_s: float,
        time_zone: str,
    ) -> None:
        self._count = settings.processes
        self._alerts = Alerts(index.engine)
        self._setup = json.dumps(
            {
                "settings": settings.model_dump(mode="json", exclude={"host", "port", "tls_port"}),
                "remotes": [remote.model_dump(mode="json") for remote in remotes],
                "root": str(store.root),
                "database": index.database_url,
                "lease_s": lease_s,
                "time_zone": time_zone,
                "level": logging.getLevelName(logging.getLogger("node").getEffectiveLevel()),
            }
        ).encode()
        self._running: list[Process] = []
        self._past: Counter[str] = Counter()  # what processes had counted that have ended
        self._stopping = threading.Event()
        self._failed = False
        self._lock = threading.Lock()  # processes are replaced by the threads that watch them
        self._threads: list[threading.Thread] = []

    @property
    def open(self) -> int:
        """Associations open now."""
        with self._lock:
            return sum(each.open for each in self._running)

    @property
    def counts(self) -> dict[str, int]:
        """As of `Associations`, as each process said when its last association ended."""
        with self._lock:
            total = Counter(self._past)
            for each in self._running:
                total.update(each.counts)
            return dict(total)

    @property
    def identifiers(self) -> list[int]:
        """Of the processes that are ready."""
        with self._lock:
            return [each.process.pid for each in self._running if each.ready.is_set()]

    def start(self) -> None:
        """Start the processes.

        Raises:
            RuntimeError: one does not start.
        """
        for number in range(self._count):
            thread = threading.Thread(target=self._keep_one, name=f"listener process {number + 1}", daemon=True)
            thread.start()
            self._threads.append(thread)
        deadline = time.monotonic() + _START_S
        while len(self.identifiers) < self._count:
            if self._failed or time.monotonic() > deadline:
                self.stop(0)
                raise RuntimeError("a listener process does not start; what it wrote says why")
            time.sleep(0.02)

    def begin(self, request: ReceivedRequest) -> None:
        """Hand an association to the process that has the fewest.

        Raises:
            RuntimeError: there is none that takes it.
        """
        with self._lock:
            ready = sorted((each for each in self._running if each.ready.is_set()), key=lambda each: each.open)
        for each in ready:
            try:
                each.begin(request)
            except OSError as error:
                log.debug("a listener process takes no association: %s", error)
            else:
                return
        raise RuntimeError("no listener process takes associations")

    def stop(self, patience_s: float) -> None:
        """As `Associations.stop`, in every process; one that does not end is ended."""
        self._stopping.set()
        with self._lock:
            running = list(self._running)
        for each in running:
            each.stop(patience_s)
        deadline = time.monotonic() + patience_s + _STOP_S
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))
        for each in running:
            each.process.kill()
        for thread in self._threads:
            thread.join()

    def _keep_one(self) -> None:
        """Have one process run until the listener stops."""
        while not self._stopping.is_set():
            process = Process(self._setup)
            with self._lock:
                self._running.append(process)
            if self._stopping.is_set():
                process.stop(0)
            process.watch()
            with self._lock:
                self._running.remove(process)
                self._past.update(process.counts)
                self._failed = self._failed or not process.ready.is_set()
            if not self._stopping.is_set():
                how = f"a listener process has ended ({_how(process.process.returncode)}): another takes its place"
                log.warning("%s", how)
                self._alerts.raise_(Alert.PROCESS_DIED, "", how)
                self._stopping.wait(_AGAIN_S)


def _how(returncode: int) -> str:
    try:
        return signal.Signals(-returncode).name
    except ValueError:
        return f"exit status {returncode}"
