"""Storage Commitment Push Model (PS3.4 Annex J): its data sets, the request as SCU, and the report as SCP.

The report comes on the association of the request, or on another one that the SCP opens; there the SCP proposes its own
role (PS3.7 D.3.3.4).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any

from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import Association, evt
from pynetdicom.events import Event, EventType
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance
from pynetdicom.status import STORAGE_COMMITMENT_SERVICE_CLASS_STATUS

from node.dicom.association import CONNECTION_LOST, RemoteAE, accepts_nothing, in_words, refusal
from node.dicom.command import INVALID_ARGUMENT, SUCCESS, Refusal
from node.dicom.pdu_reader import MALFORMED
from node.dicom.transport import serve_next_report
from node.errors import NodeError, TransientError
from storage.commitments import CommitmentReport
from storage.errors import HeaderError
from storage.header import check_uid
from storage.records import Reference

PUSH_MODEL, PUSH_MODEL_INSTANCE = str(StorageCommitmentPushModel), str(StorageCommitmentPushModelInstance)

_REQUEST_COMMITMENT = 1  # Action Type ID, PS3.4 J.3.2
_ALL_COMMITTED, _SOME_FAILED = 1, 2  # Event Type ID, PS3.4 J.3.3
_CONTEXTS = ((PUSH_MODEL, ExplicitVRLittleEndian), (PUSH_MODEL, ImplicitVRLittleEndian))
_LONGEST_COMMENT = 64  # characters, LO


class InvalidArgumentError(NodeError):
    """The data set of a request or a report lacks what it must have; the message holds nothing of it."""


class UnsupportedError(NodeError):
    """The other side accepts no presentation context for storage commitment."""


# --- data sets


def read_request(event: Event) -> tuple[str, tuple[Reference, ...]]:
    """Transaction UID and references of an N-ACTION (PS3.4 Table J.3-1).

    Raises:
        InvalidArgumentError: one of them is missing.
    """
    data_set = _read(lambda: event.action_information)
    references = _read(lambda: [_reference(it) for it in _items(data_set, "ReferencedSOPSequence")])
    if not references:
        raise InvalidArgumentError("there is no Referenced SOP Sequence, or nothing in it")
    return _uid(data_set, "TransactionUID"), tuple(dict.fromkeys(references))


def read_report(event: Event) -> CommitmentReport:
    """The report of an N-EVENT-REPORT (PS3.4 Table J.3-2).

    Raises:
        InvalidArgumentError: the Transaction UID, or a UID of a reference, is missing.
    """
    data_set = _read(lambda: event.event_information)
    transaction_uid = _uid(data_set, "TransactionUID")
    committed = _read(lambda: [_reference(it) for it in _items(data_set, "ReferencedSOPSequence")])
    failed = _read(
        lambda: {_reference(it): int(it.get("FailureReason") or 0) for it in _items(data_set, "FailedSOPSequence")}
    )
    return CommitmentReport(transaction_uid, frozenset(committed), failed)


def _request(transaction_uid: str, references: Iterable[Reference]) -> Dataset:
    data_set = Dataset()
    data_set.TransactionUID = transaction_uid
    data_set.ReferencedSOPSequence = [_item(reference) for reference in references]
    return data_set


def _report(transaction_uid: str, committed: Collection[Reference], failed: Mapping[Reference, int]) -> Dataset:
    data_set = Dataset()
    data_set.TransactionUID = transaction_uid
    if committed:
        data_set.ReferencedSOPSequence = [_item(reference) for reference in committed]
    if failed:
        data_set.FailedSOPSequence = [_item(reference) for reference in failed]
        for item, reason in zip(data_set.FailedSOPSequence, failed.values(), strict=True):
            item.FailureReason = reason
    return data_set


def _item(reference: Reference) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    return item


def _reference(item: Dataset) -> Reference:
    return Reference(_uid(item, "ReferencedSOPClassUID"), _uid(item, "ReferencedSOPInstanceUID"))


def _items(data_set: Dataset, keyword: str) -> Iterable[Dataset]:
    return data_set.get(keyword) or ()


def _uid(data_set: Dataset, keyword: str) -> str:
    value = _read(lambda: str(data_set.get(keyword) or ""))
    try:
        return check_uid(value, keyword)
    except HeaderError:
        raise InvalidArgumentError(f"{keyword} is missing, or is no UID") from None


def _read(read: Callable[[], Any]) -> Any:  # noqa: ANN401 (what is read)
    """What a data set holds, which pydicom decodes when it is looked at.

    Raises:
        InvalidArgumentError: it cannot be decoded.
    """
    try:
        return read()
    except (*MALFORMED, EOFError, OSError) as error:  # the last: how pydicom says that a sequence is cut short
        raise InvalidArgumentError("the data set cannot be decoded") from error


def status_of(refused: Refusal | None) -> Dataset:
    """The status of an answer, with words where it refuses."""
    status = Dataset()
    status.Status = SUCCESS if refused is None else refused.status
    if refused is not None:
        status.ErrorComment = refused.reason[:_LONGEST_COMMENT]
    return status


# --- as SCU


class CommitmentAssociation:
    """An association over which a remote is asked for commitment, and may report at once; used in one thread."""

    def __init__(self, remote: RemoteAE, take: Callable[[CommitmentReport], Refusal | None]) -> None:
        """Open it.

        Args:
            remote: who is asked.
            take: is given each report that comes; why it is refused, None when it is taken.

        Raises:
            UnsupportedError: the remote accepts no context for it.
            TransientError: there is no association now.
        """
        self._take = take
        self._association = _associate(remote, [(evt.EVT_N_EVENT_REPORT, self._reported)])
        self._message_id = 0

    def __enter__(self) -> CommitmentAssociation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._association.is_established:
            self._association.release()

    @property
    def is_open(self) -> bool:
        """Whether anything can come or go."""
        return bool(self._association.is_established)

    def ask(self, transaction_uid: str, references: Iterable[Reference]) -> str:
        """Ask for commitment (N-ACTION); why the remote refuses, empty when it accepts.

        Raises:
            TransientError: there is no answer.
        """
        self._message_id += 1
        try:
            status, _ = self._association.send_n_action(
                _request(transaction_uid, references),
                _REQUEST_COMMITMENT,
                StorageCommitmentPushModel,
                StorageCommitmentPushModelInstance,
                self._message_id,
            )
        except (RuntimeError, ValueError) as error:  # the association has ended
            raise TransientError(CONNECTION_LOST) from error
        return _answer(status)

    def take_report(self, wait_s: float) -> None:
        """Take what the remote reports within so many seconds, one report at the most."""
        serve_next_report(self._association, wait_s)

    def _reported(self, event: Event) -> tuple[Dataset, None]:
        return status_of(taken(event, self._take)), None


def taken(event: Event, take: Callable[[CommitmentReport], Refusal | None]) -> Refusal | None:
    """Read a report and give it to `take`; why it is refused, None when it is taken."""
    try:
        return take(read_report(event))
    except InvalidArgumentError as error:
        return Refusal(INVALID_ARGUMENT, str(error))


# --- as SCP


def report_to(
    remote: RemoteAE, transaction_uid: str, committed: Collection[Reference], failed: Mapping[Reference, int]
) -> None:
    """Report over an association that this side opens, in the role of the SCP.

    Raises:
        TransientError: the report was not taken; the message says why.
    """
    try:
        association = _associate(remote, as_scp=PUSH_MODEL)
    except UnsupportedError as error:
        raise TransientError(str(error)) from error
    try:
        report_on(association, transaction_uid, committed, failed)
    finally:
        if association.is_established:
            association.release()


def report_on(
    association: Association, transaction_uid: str, committed: Collection[Reference], failed: Mapping[Reference, int]
) -> None:
    """Report over an association.

    Raises:
        TransientError: the report was not taken; the message says why.
    """
    try:
        status, _ = association.send_n_event_report(
            _report(transaction_uid, committed, failed),
            _SOME_FAILED if failed else _ALL_COMMITTED,
            StorageCommitmentPushModel,
            StorageCommitmentPushModelInstance,
        )
    except (RuntimeError, ValueError) as error:  # the association has ended
        raise TransientError(CONNECTION_LOST) from error
    if words := _answer(status):
        raise TransientError(words)


def _associate(
    remote: RemoteAE,
    handlers: Sequence[tuple[EventType, Callable[[Event], Any]]] = (),
    as_scp: str = "",
) -> Association:
    try:
        association = remote.associate(_CONTEXTS, handlers, as_scp)
    except OSError as error:  # the name of the host is not known, or this machine is short of something
        raise TransientError(f"no connection: {error}") from error
    if association.is_established:
        return association
    if accepts_nothing(association):
        raise UnsupportedError("no presentation context for storage commitment accepted")
    raise TransientError(refusal(association))


def _answer(status: Dataset) -> str:
    """The status of a response in words, empty for success.

    Raises:
        TransientError: there is none.
    """
    if "Status" not in status:
        raise TransientError(CONNECTION_LOST)
    return in_words(status.Status, status.get("ErrorComment") or "", STORAGE_COMMITMENT_SERVICE_CLASS_STATUS)
