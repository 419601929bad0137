"""The SCU side: C-ECHO, and C-STORE of files.

A file goes as it lies on disk where the receiver accepts that, else converted without loss.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import Association, _config
from pynetdicom.sop_class import Verification
from pynetdicom.status import STORAGE_SERVICE_CLASS_STATUS

from node.dicom.association import (
    CONNECTION_LOST,
    ENDED_BEFORE,
    RemoteAE,
    accepts_nothing,
    in_words,
    narrowness,
    refusal,
)
from node.dicom.conversion.errors import ConversionError
from node.dicom.outcomes import LOCAL_FAULTS, StoreOutcome, StoreResult, classify, local_fault, outcome
from node.dicom.sendable import batches, candidates, sendable
from storage.errors import HeaderError
from storage.header import read_header
from storage.records import InstanceHeader

# Makes pynetdicom send the bytes of a file instead of decoding and encoding them again; holds for the process.
_config.STORE_SEND_CHUNKED_DATASET = True

_Batch = Sequence[tuple[Path, InstanceHeader]]


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
    paths: Sequence[Path],
    host: str,
    port: int,
    called_ae: str,
    calling_ae: str,
    timeout_s: float,
    wanted: Callable[[Path], bool] = lambda _: True,
) -> Generator[StoreOutcome, None, None]:
    """Send DICOM files by C-STORE, one association for as many as its presentation contexts allow.

    Yields one outcome for each file, in the order of `paths` unless more than 128 presentation contexts are
    needed. When an association fails, only the file that was under way has failed; the rest was not tried. Closing
    the iterator early releases the association. A file that is not `wanted` any more when its turn comes is left out,
    without an outcome.
    """
    receiver = RemoteAE(host, port, called_ae, calling_ae, timeout_s)
    files: list[tuple[Path, InstanceHeader]] = []
    for path in paths:
        try:
            files.append((path, read_header(path)))
        except HeaderError as error:
            yield outcome(path, None, StoreResult.PERMANENT, f"cannot be sent: {error}")
        except LOCAL_FAULTS as error:
            yield outcome(path, None, StoreResult.LOCAL_FAULT, local_fault(error))
    for batch in batches(files):
        yield from _store_batch(receiver, batch, wanted)


def _store_batch(receiver: RemoteAE, batch: _Batch, wanted: Callable[[Path], bool]) -> Iterator[StoreOutcome]:
    try:
        association = receiver.associate([pair for _, header in batch for pair in candidates(header)])
    except socket.gaierror as error:  # the name of the host is not known
        yield from _all(batch, StoreResult.NOT_TRIED, f"no connection: {error}")
        return
    except LOCAL_FAULTS as error:
        yield from _all(batch, StoreResult.LOCAL_FAULT, local_fault(error))
        return
    if association.is_established:
        with closing(Sending(association)) as sending:
            for path, header in batch:
                if wanted(path):
                    yield sending.store(path, header)
    elif accepts_nothing(association):
        for path, header in batch:
            yield outcome(path, header, StoreResult.PERMANENT, _not_accepted(header))
    else:
        yield from _all(batch, StoreResult.NOT_TRIED, refusal(association))


def _all(batch: _Batch, result: StoreResult, reason: str) -> Iterator[StoreOutcome]:
    for path, header in batch:
        yield outcome(path, header, result, reason)


class Sending:
    """An established association over which files are stored, one after the other."""

    def __init__(self, association: Association) -> None:
        self._association = association
        self._accepted = {(str(c.abstract_syntax), str(c.transfer_syntax[0])) for c in association.accepted_contexts}
        self._over = False  # pynetdicom itself notes the end only after a while

    def store(self, path: Path, header: InstanceHeader) -> StoreOutcome:
        """Send one file, in the first of its candidate transfer syntaxes that the receiver accepted."""
        chosen = next((pair for pair in candidates(header) if pair in self._accepted), None)
        if chosen is None:
            return outcome(path, header, StoreResult.PERMANENT, _not_accepted(header))
        if why := self._is_over():
            return outcome(path, header, StoreResult.NOT_TRIED, why)
        try:
            with sendable(path, header, chosen[1]) as file:
                answer = self._answer(file)
        except (ConversionError, HeaderError, ValueError) as error:
            return outcome(path, header, StoreResult.PERMANENT, f"cannot be sent: {error}")
        except RuntimeError:  # it ended between the look above and the sending
            return outcome(path, header, StoreResult.NOT_TRIED, ENDED_BEFORE)
        except LOCAL_FAULTS as error:
            return outcome(path, header, StoreResult.LOCAL_FAULT, local_fault(error))
        status = answer.get("Status")
        if status is None:
            self._over = True
            return outcome(path, header, StoreResult.TRANSIENT, CONNECTION_LOST)
        return outcome(path, header, classify(status), in_words(answer, STORAGE_SERVICE_CLASS_STATUS), status)

    def close(self) -> None:
        """Release the association, unless it has ended."""
        self._association.release()

    def _is_over(self) -> str:
        """Why nothing can be sent any more; empty where it can."""
        if self._over or not self._association.is_established or self._association.acse.is_aborted():
            return ENDED_BEFORE
        return narrowness(self._association)

    def _answer(self, file: Path) -> Dataset:
        """The response to a C-STORE of the file; an association whose message broke off here can carry no other."""
        try:
            return self._association.send_c_store(file)
        except LOCAL_FAULTS:
            self._over = True
            self._association.abort()
            raise


def _not_accepted(header: InstanceHeader) -> str:
    syntaxes = " or ".join(syntax for _, syntax in candidates(header))
    return f"no presentation context accepted for SOP class {header.sop_class_uid} with transfer syntax {syntaxes}"
