"""The SCU side: C-ECHO, and C-STORE of files.

A file goes as it lies on disk where the receiver accepts that, else converted without loss.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import Association
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
from node.dicom.command import Command, Originator
from node.dicom.conversion.errors import ConversionError
from node.dicom.outcomes import (
    LOCAL_FAULTS,
    StoreOutcome,
    StoreResult,
    classify,
    failed_here,
    lacked,
    local_fault,
    outcome,
)
from node.dicom.sendable import Sendable, batches, candidates, opened
from node.dicom.storing import LostAssociationError, StoreAssociation
from node.failure import Fault
from storage.errors import HeaderError
from storage.header import read_header
from storage.records import InstanceHeader


@dataclass(frozen=True, slots=True)
class End:
    """Why an association ended, or there was none, before all files had their turn.

    Attributes:
        result: what that means for those files.
        reason: in words; empty where it is that of each file that it is not accepted.
        fault: what this machine lacked, where that was the reason.
    """

    result: StoreResult
    reason: str = ""
    fault: Fault | None = None

    def of(self, file: Sendable) -> StoreOutcome:
        """The outcome of a file that had no turn."""
        reason = self.reason or not_accepted(file.header)
        return outcome(file.path, file.header, self.result, reason, fault=self.fault)


def echo(host: str, port: int, called_ae: str, calling_ae: str, timeout_s: float) -> str:
    """Ask by C-ECHO whether a system answers; the reason why it does not, empty when it does."""
    return echoed(RemoteAE(host, port, called_ae, calling_ae, timeout_s))


def echoed(receiver: RemoteAE) -> str:
    """As `echo`, of a system that may be a configured remote, with TLS and user identity."""
    try:
        association = receiver.associate([(Verification, ImplicitVRLittleEndian)])
    except OSError as error:  # the name of the host is not known, or a file with certificates cannot be used
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
) -> Generator[StoreOutcome, None, None]:
    """Send DICOM files by C-STORE, one association for as many as its presentation contexts allow.

    Yields one outcome for each file, in the order of `paths` unless more than 128 presentation contexts are
    needed. When an association fails, only the file that was under way has failed; the rest was not tried. Closing
    the iterator early releases the association.
    """
    return stored(paths, RemoteAE(host, port, called_ae, calling_ae, timeout_s))


def stored(paths: Sequence[Path], receiver: RemoteAE) -> Generator[StoreOutcome, None, None]:
    """As `store`, to a system that may be a configured remote, with TLS and user identity."""
    files: list[Sendable] = []
    for path in paths:
        try:
            files.append(Sendable(path, read_header(path)))
        except HeaderError as error:
            yield outcome(path, None, StoreResult.PERMANENT, f"cannot be sent: {error}")
        except LOCAL_FAULTS as error:
            yield failed_here(path, None, error)
    for batch in batches(files):
        waiting = deque(batch)
        end = yield from sent(receiver, batch, waiting)
        for file in waiting:
            yield end.of(file)


def sent(
    receiver: RemoteAE,
    batch: Sequence[Sendable],
    waiting: deque[Sendable],
    wanted: Callable[[Sendable], bool] = lambda _: True,
    originator: Originator | None = None,
) -> Generator[StoreOutcome, None, End]:
    """Send over one association what waits, until nothing does or the association ends.

    Closing the iterator early releases the association. Several may take from what waits at the same time, each in a
    thread of its own.

    Args:
        receiver: where to.
        batch: whose presentation contexts are asked for.
        waiting: files of the batch; what is left in it had no turn.
        wanted: asked when the turn of a file comes: one that is not is left out, without an outcome.
        originator: of the C-MOVE that files are sent for.

    Returns:
        what holds for the files that still wait.
    """
    try:
        association = receiver.associate([pair for file in _kinds(batch) for pair in candidates(file.header)])
    except socket.gaierror as error:  # the name of the host is not known
        return End(StoreResult.NOT_TRIED, f"no connection: {error}")
    except LOCAL_FAULTS as error:
        return End(StoreResult.LOCAL_FAULT, local_fault(error), lacked(error))
    if not association.is_established:
        return (
            End(StoreResult.PERMANENT)
            if accepts_nothing(association)
            else End(StoreResult.NOT_TRIED, refusal(association))
        )
    if why := narrowness(association):
        association.release()
        return End(StoreResult.NOT_TRIED, why)
    try:
        sending = Sending(association, receiver.timeout_s, originator)
    except LostAssociationError:
        return End(StoreResult.NOT_TRIED, ENDED_BEFORE)
    with closing(sending):
        yield from _sent(sending, waiting, wanted)
    return End(StoreResult.NOT_TRIED, ENDED_BEFORE)


def _kinds(batch: Sequence[Sendable]) -> Iterator[Sendable]:
    """One file for each SOP class and transfer syntax."""
    return iter({(it.header.sop_class_uid, it.header.transfer_syntax_uid): it for it in batch}.values())


def _sent(sending: Sending, waiting: deque[Sendable], wanted: Callable[[Sendable], bool]) -> Iterator[StoreOutcome]:
    while not sending.is_over:
        try:
            file = waiting.popleft()
        except IndexError:
            return
        if wanted(file):
            yield sending.store(file)


class Sending:
    """An established association over which files are stored, one after the other."""

    def __init__(self, association: Association, timeout_s: float, originator: Originator | None = None) -> None:
        """Take over an association; `originator` is of the C-MOVE that files are sent for.

        Raises:
            LostAssociationError: it has ended meanwhile.
        """
        self._context_ids = {
            (str(context.abstract_syntax), str(context.transfer_syntax[0])): int(context.context_id)
            for context in association.accepted_contexts
        }
        self._association = StoreAssociation(association, timeout_s)
        self._originator = originator

    @property
    def is_over(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._association.is_over

    def store(self, file: Sendable) -> StoreOutcome:
        """Send one file, in the first of its candidate transfer syntaxes that the receiver accepted."""
        path, header = file.path, file.header
        chosen = next((pair for pair in candidates(header) if pair in self._context_ids), None)
        if chosen is None:
            return outcome(path, header, StoreResult.PERMANENT, not_accepted(header))
        try:
            answer = self._store(file, chosen)
        except (ConversionError, HeaderError, ValueError) as error:
            return outcome(path, header, StoreResult.PERMANENT, f"cannot be sent: {error}")
        except LOCAL_FAULTS as error:
            return failed_here(path, header, error)
        except LostAssociationError:
            return outcome(path, header, StoreResult.TRANSIENT, CONNECTION_LOST)
        status = answer.status or 0
        words = in_words(status, answer.comment, STORAGE_SERVICE_CLASS_STATUS)
        return outcome(path, header, classify(status), words, status)

    def close(self) -> None:
        """Release the association, unless it has ended."""
        self._association.close()

    def _store(self, file: Sendable, chosen: tuple[str, str]) -> Command:
        with opened(file, chosen[1]) as (content, start):
            class_uid, instance_uid = file.header.sop_class_uid, file.header.sop_instance_uid
            return self._association.store(
                self._context_ids[chosen], class_uid, instance_uid, content, start, self._originator
            )


def not_accepted(header: InstanceHeader) -> str:
    """Why an object cannot be sent for which no presentation context is there."""
    syntaxes = " or ".join(syntax for _, syntax in candidates(header))
    return f"no presentation context accepted for SOP class {header.sop_class_uid} with transfer syntax {syntaxes}"
