"""Files sent to another system, and whether it answers at all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from node.dicom import scu
from node.dicom.outcomes import StoreOutcome, StoreResult
from node.errors import NodeError
from node.maintenance import echoing
from node.operations.watching import Watch, unwatched
from node.recognition.header.files import files_in
from node.settings import RemoteSettings, Settings


@dataclass(frozen=True, slots=True)
class Receiver:
    """A system by AE title, address and port, and the AE title to call it with; by `url` where it speaks DICOMweb."""

    ae_title: str
    host: str
    port: int
    calling_ae_title: str
    url: str = ""

    @property
    def address(self) -> str:
        """Where it is, for a person."""
        return self.url or f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Sent:
    """The end of a transfer: how many files the receiver has stored, and what became of the others."""

    receiver: Receiver
    files: int
    stored: int
    failures: tuple[StoreOutcome, ...]


@dataclass(frozen=True, slots=True)
class Echoed:
    """The answer to a C-ECHO, or to a request of STOW-RS without an object; `reason` says why there was none."""

    receiver: Receiver
    answers: bool
    reason: str


def send(paths: Iterable[Path], receiver: Receiver, watch: Watch[StoreOutcome] = unwatched) -> Sent:
    """Send files, and the files of folders, by C-STORE.

    Raises:
        NodeError: there are no files.
    """
    places = list(paths)
    files = [file for path in places for file in files_in(path)]
    if not files:
        raise NodeError(f"{', '.join(map(str, places))}: no files there")
    outcomes = scu.store(
        files,
        host=receiver.host,
        port=receiver.port,
        called_ae=receiver.ae_title,
        calling_ae=receiver.calling_ae_title,
        timeout_s=30,
    )
    failures = tuple(it for it in watch(outcomes, len(files)) if it.result is not StoreResult.SENT)
    return Sent(receiver, len(files), len(files) - len(failures), failures)


def echo(receiver: Receiver) -> Echoed:
    """Ask a system by C-ECHO whether it answers."""
    reason = scu.echo(
        host=receiver.host,
        port=receiver.port,
        called_ae=receiver.ae_title,
        calling_ae=receiver.calling_ae_title,
        timeout_s=10,
    )
    return Echoed(receiver, not reason, reason)


def askable(settings: Settings, name: str) -> RemoteSettings:
    """The remote of a name, which can be asked whether it answers.

    Raises:
        NodeError: there is none of that name with url, or with host and port.
    """
    remote = next((it for it in settings.remotes if it.name == name and it.can_be_asked), None)
    if remote is None:
        raise NodeError(f"no [[remotes]] with url, or with host and port, has the name {name!r}")
    return remote


def echo_remote(settings: Settings, name: str) -> Echoed:
    """Ask a configured remote whether it answers (`echoing.asked`); raises as `askable`."""
    remote = askable(settings, name)
    reason = echoing.asked(remote)
    receiver = Receiver(remote.ae_title, remote.host, remote.port, remote.calling_ae_title, remote.url)
    return Echoed(receiver, not reason, reason)
