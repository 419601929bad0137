"""Receivers of C-STORE, each as a process of its own that keeps its files in a folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.real_parts import ENVIRONMENT, free_port, orthanc, wait_for
from node.dicom.scu import echo

CALLED = "RECTALNODE"


@dataclass(frozen=True, slots=True)
class Receiver:
    """A running receiver."""

    name: str
    port: int
    process_id: int
    folder: Path


@contextmanager
def node(folder: Path, settings: str = "") -> Iterator[Receiver]:
    """The node, only listening; `settings` are lines of [listener]."""
    folder.mkdir(parents=True, exist_ok=True)
    port, config = free_port(), folder / "config.toml"
    config.write_text(f'root = "root"\n[listener]\nport = {port}\nminimum_free_gb = 0\n{settings}\n')
    command = [sys.executable, "-m", "node", "serve", "--role", "listener", "--config", str(config)]
    with _process("node", command, port, folder) as receiver:
        yield receiver


@contextmanager
def storescp(folder: Path) -> Iterator[Receiver]:
    """DCMTK's, a process for each association: otherwise it serves one after another."""
    folder.mkdir(parents=True)
    port = free_port()
    command = ["storescp", "--fork", "-aet", CALLED, "-od", str(folder), str(port)]
    with _process("storescp", command, port, folder) as receiver:
        yield receiver


@contextmanager
def pynetdicom(folder: Path) -> Iterator[Receiver]:
    """pynetdicom's storage SCP with a handler that writes a file and calls fsync."""
    folder.mkdir(parents=True)
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.receivers", str(port), str(folder)]
    with _process("pynetdicom", command, port, folder) as receiver:
        yield receiver


@contextmanager
def default_orthanc(folder: Path) -> Iterator[Receiver]:
    """Orthanc with its default durability."""
    with orthanc(folder) as running:
        yield Receiver("Orthanc", running.dicom_port, running.process.pid, folder)


@contextmanager
def _process(name: str, command: list[str], port: int, folder: Path) -> Iterator[Receiver]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=ENVIRONMENT, stdout=log, stderr=log)
    try:
        wait_for(lambda: not echo("127.0.0.1", port, CALLED, "BENCH", 5), f"{name} answers", 60)
        yield Receiver(name, port, process.pid, folder)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def serve_pynetdicom(port: int, folder: Path) -> None:
    """Serve until the process is ended."""
    from pynetdicom import AE, AllStoragePresentationContexts, evt
    from pynetdicom.events import Event
    from pynetdicom.sop_class import Verification

    def keep(event: Event) -> int:
        path = folder / f"{event.request.AffectedSOPInstanceUID}.dcm"
        with path.open("wb") as file:
            file.write(event.encoded_dataset())
            file.flush()
            os.fsync(file.fileno())
        return 0

    ae = AE(ae_title=CALLED)
    ae.maximum_associations, ae.maximum_pdu_size = 64, 131072
    ae.supported_contexts = AllStoragePresentationContexts
    ae.add_supported_context(Verification)
    ae.start_server(("127.0.0.1", port), evt_handlers=[(evt.EVT_C_STORE, keep)])


if __name__ == "__main__":
    serve_pynetdicom(int(sys.argv[1]), Path(sys.argv[2]))
