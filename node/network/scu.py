"""The SCU side: C-ECHO, and C-STORE of files as they are.

Every (SOP class, transfer syntax) pair is proposed as it lies on disk; nothing is decoded or transcoded.
"""

from __future__ import annotations

import socket
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import Association, _config
from pynetdicom.sop_class import Verification
from pynetdicom.status import STORAGE_SERVICE_CLASS_STATUS

from node.network.association import CONNECTION_LOST, ENDED_BEFORE, RemoteAE, in_words, refusal
from node.network.sendable import agreeing, batches, pair
from storage.errors import HeaderError
from storage.header import read_header
from storage.records import InstanceHeader

# Makes pynetdicom send the bytes of a file instead of decoding and encoding them again; holds for the process.
_config.STORE_SEND_CHUNKED_DATASET = True


class StoreResult(StrEnum):
    """What an attempt to store means for the sender.

    TRANSIENT: the receiver said that it cannot now, or the association ended while the object was under way.
    NOT_TRIED: there was no association, or it ended before the object's turn. LOCAL_FAULT: this machine could not
    read or send it (a folder that is away, descriptors, memory, an I/O error): nothing is known of the object.
    """

    SENT = "sent"
    TRANSIENT = "transient"
    PERMANENT = "permanent"
    NOT_TRIED = "not tried"
    LOCAL_FAULT = "local fault"


_LOCAL_FAULTS = (OSError, MemoryError)


@dataclass(frozen=True, slots=True)
class StoreOutcome:
    """The end of one attempt; `status` is that of the C-STORE response, None where none came."""

    path: Path
    study_instance_uid: str
    sop_instance_uid: str
    status: int | None
    reason: str
    result: StoreResult


def echo(host: str, port: int, called_ae: str, calling_ae: str, timeout_s: float) -> str:
    """Ask by C-ECHO whether a system answers; the reason why it does not, empty when it does."""
    receiver = RemoteAE(host, port, called_ae, calling_ae, timeout_s)
    try:
        association = receiver.associate([(Verification, ImplicitVRLittleEndian)])
    except OSError as error:  # the name of the host is not known
        return f"no connection: {error}"
    if not association.is_established:
        return refusal(association)
    status = association.send_c_echo().get("Status")
    association.release()
    if status is None:
        return CONNECTION_LOST
    return "" if status == 0 else f"status 0x{status:04X}"


def store(
    paths: Sequence[Path], host: str, port: int, called_ae: str, calling_ae: str, timeout_s: float
) -> Generator[StoreOutcome, None, None]:
    """Send DICOM files by C-STORE, one association for as many as its presentation contexts allow.

    Yields one outcome for each file, in the order of `paths` unless more than 128 presentation contexts are
    needed. When an association fails, only the file that was under way has failed; the rest was not tried. Closing
    the iterator early releases the association.
    """
    receiver = RemoteAE(host, port, called_ae, calling_ae, timeout_s)
    files: list[tuple[Path, InstanceHeader]] = []
    for path in paths:
        try:
            files.append((path, read_header(path)))
        except HeaderError as error:
            yield StoreOutcome(path, "", "", None, f"cannot be sent: {error}", StoreResult.PERMANENT)
        except _LOCAL_FAULTS as error:
            yield StoreOutcome(path, "", "", None, local_fault(error), StoreResult.LOCAL_FAULT)
    for batch in batches(files):
        yield from _store_batch(receiver, batch)


def classify(status: int) -> StoreResult:
    """What the status of a C-STORE response means (PS3.4 B.2.3, PS3.7 C.5).

    Warnings (Bxxx) and "duplicate SOP instance" (0111) mean that the receiver has the object.
    """
    if status in (0x0000, 0x0111, 0x0001, 0x0107, 0x0116) or 0xB000 <= status <= 0xBFFF:
        return StoreResult.SENT
    if 0xA700 <= status <= 0xA7FF or status in (0x0110, 0x0210, 0x0213, 0xFE00):
        return StoreResult.TRANSIENT
    return StoreResult.PERMANENT


def local_fault(error: OSError | MemoryError) -> str:
    """A fault of this machine in words; without the path, so that one fault reads the same for all objects."""
    if isinstance(error, MemoryError):
        return "this machine is out of memory"
    return f"this machine cannot read or send it: {error.strerror or error}"


def _store_batch(receiver: RemoteAE, batch: Sequence[tuple[Path, InstanceHeader]]) -> Iterator[StoreOutcome]:
    try:
        association = receiver.associate([pair(header) for _, header in batch])
    except socket.gaierror as error:  # the name of the host is not known
        yield from _all(batch, f"no connection: {error}", StoreResult.NOT_TRIED)
        return
    except _LOCAL_FAULTS as error:
        yield from _all(batch, local_fault(error), StoreResult.LOCAL_FAULT)
        return
    if not association.is_established:
        yield from _not_established(association, batch)
        return
    with closing(_Released(association)):
        accepted = {(str(c.abstract_syntax), str(c.transfer_syntax[0])) for c in association.accepted_contexts}
        lost = False  # pynetdicom notes the end of an association only after a while
        for path, header in batch:
            if pair(header) not in accepted:
                yield _outcome(path, header, None, _not_accepted(header), StoreResult.PERMANENT)
            elif lost:
                yield _outcome(path, header, None, ENDED_BEFORE, StoreResult.NOT_TRIED)
            else:
                outcome = store_one(association, path, header)
                lost = outcome.reason == CONNECTION_LOST
                yield outcome


def _not_established(association: Association, batch: Sequence[tuple[Path, InstanceHeader]]) -> Iterator[StoreOutcome]:
    """When the receiver accepts no context at all, pynetdicom aborts the association by itself."""
    for path, header in batch:
        if association.rejected_contexts:
            yield _outcome(path, header, None, _not_accepted(header), StoreResult.PERMANENT)
        else:
            yield _outcome(path, header, None, refusal(association), StoreResult.NOT_TRIED)


@dataclass(frozen=True, slots=True)
class _Released:
    association: Association

    def close(self) -> None:
        self.association.release()  # does nothing when the association is over


def store_one(association: Association, path: Path, header: InstanceHeader) -> StoreOutcome:
    """Send one file over an association that has a presentation context for it."""
    if not association.is_established or association.acse.is_aborted():
        return _outcome(path, header, None, ENDED_BEFORE, StoreResult.NOT_TRIED)
    try:
        with agreeing(path, header) as file:
            answer = _answer(association, file)
    except ValueError as error:
        return _outcome(path, header, None, f"cannot be sent: {error}", StoreResult.PERMANENT)
    except RuntimeError:  # it ended between the look above and the sending
        return _outcome(path, header, None, ENDED_BEFORE, StoreResult.NOT_TRIED)
    except _LOCAL_FAULTS as error:
        return _outcome(path, header, None, local_fault(error), StoreResult.LOCAL_FAULT)
    status = answer.get("Status")
    if status is None:
        return _outcome(path, header, None, CONNECTION_LOST, StoreResult.TRANSIENT)
    return _outcome(path, header, status, in_words(answer, STORAGE_SERVICE_CLASS_STATUS), classify(status))


def _answer(association: Association, file: Path) -> Dataset:
    """The response to a C-STORE of the file; an association whose message broke off here can carry no other one."""
    try:
        return association.send_c_store(file)
    except _LOCAL_FAULTS:
        association.abort()
        raise


def _all(batch: Sequence[tuple[Path, InstanceHeader]], reason: str, result: StoreResult) -> Iterator[StoreOutcome]:
    for path, header in batch:
        yield _outcome(path, header, None, reason, result)


def _outcome(path: Path, header: InstanceHeader, status: int | None, reason: str, result: StoreResult) -> StoreOutcome:
    return StoreOutcome(path, header.study_instance_uid, header.sop_instance_uid, status, reason, result)


def _not_accepted(header: InstanceHeader) -> str:
    return (
        f"no presentation context accepted for SOP class {header.sop_class_uid} "
        f"with transfer syntax {header.transfer_syntax_uid}"
    )
