"""A listener process: it serves associations whose sockets it is given, and ends with the process that accepts them.

python -m node.services.process DESCRIPTOR
"""

from __future__ import annotations

import json
import logging
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

from node.audit.recorder import Recorder
from node.logs import configure
from node.services.acceptor import ReceivedRequest
from node.services.associations import Associations
from node.services.offered import offered
from node.services.processes import LENGTH
from node.services.request import AssociationRequest
from node.services.slots import Slot
from node.settings import ListenerSettings, RemoteSettings
from storage.database import open_engine
from storage.files import ObjectStore
from storage.index import Index

log = logging.getLogger(__name__)

_FREED_S = 1.0


class Control:
    """The connection to the process that accepts: JSON, lines to it and messages with a length from it."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._sending = threading.Lock()  # associations speak in threads of their own

    def say(self, **what: object) -> None:
        """Tell it something; where it is gone this process is about to end as well."""
        line = json.dumps(what).encode() + b"\n"
        try:
            with self._sending:
                self._socket.sendall(line)
        except OSError:
            log.debug("the process that accepts is gone")

    def hear(self) -> tuple[dict[str, Any], socket.socket | None]:
        """The next message, and the socket that came with it.

        Raises:
            EOFError: the process that accepts is gone.
        """
        begin, descriptors, _, _ = socket.recv_fds(self._socket, LENGTH, 1)
        begin += self._exactly(LENGTH - len(begin))
        message = json.loads(self._exactly(int.from_bytes(begin, "big")))
        return message, socket.socket(fileno=descriptors[0]) if descriptors else None

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self._socket.recv(count - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data


class PassedSlot(Slot):
    """A slot that the process that accepts has taken."""

    def __init__(self, number: int, control: Control, associations: Associations) -> None:
        self._number, self._control, self._associations = number, control, associations
        self._released = threading.Lock()
        self.freed = threading.Event()

    def establish(self) -> None:
        """The association has been negotiated."""
        self._control.say(established=self._number)

    def release(self) -> None:
        """The association has ended; returns when another can have the slot."""
        if self._released.acquire(blocking=False):
            self._control.say(ended=self._number, counts=self._associations.counts)
            self.freed.wait(_FREED_S)


def serve(control: Control) -> None:
    """Serve until told to stop, or until the process that accepts is gone."""
    setup, _ = control.hear()
    configure(setup["level"])
    settings = ListenerSettings.model_validate(setup["settings"])
    remotes = [RemoteSettings.model_validate(remote) for remote in setup["remotes"]]
    files, index = ObjectStore(Path(setup["root"])), Index(open_engine(setup["database"]))
    recorder = Recorder(index.engine)
    services = offered(settings, remotes, files, index, setup["time_zone"], recorder)
    associations = Associations(settings, remotes, files, index, setup["lease_s"], services, recorder)
    associations.start()
    control.say(ready=True)
    slots: dict[int, PassedSlot] = {}
    patience = 0.0
    hearing = threading.Event()

    def hear() -> None:
        nonlocal patience
        try:
            while True:
                message, passed = control.hear()
                if "stop" in message:
                    patience = float(message["stop"])
                    hearing.set()
                elif "freed" in message:
                    slots.pop(message["freed"]).freed.set()
                elif passed is not None:
                    number = message["association"]
                    slots[number] = PassedSlot(number, control, associations)
                    _begin(associations, message, passed, slots[number])
        except (EOFError, OSError):
            hearing.set()
            for slot in tuple(slots.values()):
                slot.freed.set()

    threading.Thread(target=hear, name="control", daemon=True).start()
    hearing.wait()
    associations.stop(patience)
    recorder.close()
    control.say(counts=associations.counts)


def _begin(associations: Associations, message: dict[str, Any], passed: socket.socket, slot: PassedSlot) -> None:
    asked = AssociationRequest(
        bytes.fromhex(message["encoded"]), message["calling"], message["called"], message["version"]
    )
    try:
        associations.begin(ReceivedRequest(passed, tuple(message["address"]), asked, slot))
    except RuntimeError:  # no thread can be started
        passed.close()
        threading.Thread(target=slot.release).start()


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):  # the process that accepts tells when to end
        signal.signal(number, signal.SIG_IGN)
    serve(Control(socket.socket(fileno=int(sys.argv[1]))))
