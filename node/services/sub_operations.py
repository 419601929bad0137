"""The sub-operations of one C-MOVE or C-GET (PS3.4 C.4.2, C.4.3): counted as they end, and told.

A response with its sub-operations says Success where all were completed, Warning (B000) where some failed or were
completed with a warning, and Unable to perform sub-operations (A702) where all failed. Numbers have two bytes, so that
a retrieval has at most `MOST`.
"""

from __future__ import annotations

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom.dsutils import encode

from node.dicom.command import SUCCESS, Refusal, SubOperations
from node.dicom.outcomes import StoreOutcome, StoreResult
from node.services.messages import Messages, Request

MOST = 0xFFFF
PENDING, CANCELLED = 0xFF00, 0xFE00
UNABLE_TO_CALCULATE, UNABLE_TO_PERFORM = 0xA701, 0xA702
SOME_FAILED = 0xB000

_LONGEST_LIST = 0xFFFE  # bytes of a UI value with a length of two bytes


class Tally:
    """The sub-operations of a request, of which the first to fail says why."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._completed = self._warnings = 0
        self._failed: list[str] = []
        self._why = ""

    @property
    def remaining(self) -> int:
        """How many have not ended."""
        return self._total - self._completed - self._warnings - len(self._failed)

    @property
    def failed(self) -> tuple[str, ...]:
        """SOP Instance UIDs of the objects that were not sent."""
        return tuple(self._failed)

    @property
    def status(self) -> int:
        """Of the last response."""
        if len(self._failed) == self._total and self._total:
            return UNABLE_TO_PERFORM
        return SOME_FAILED if self._failed or self._warnings else SUCCESS

    @property
    def why(self) -> str:
        """What was said of the first that failed, or came with a warning."""
        return self._why

    def add(self, outcome: StoreOutcome) -> None:
        """A sub-operation has ended."""
        if outcome.result is not StoreResult.SENT:
            self._failed.append(outcome.sop_instance_uid)
        elif outcome.status:
            self._warnings += 1
        else:
            self._completed += 1
        self._why = self._why or outcome.reason

    def numbers(self, remaining: bool) -> SubOperations:
        """For a response; Success, Warning and Failure do not tell what remains (PS3.7 9.1.3.1.6, 9.1.4.1.7)."""
        return SubOperations(self.remaining if remaining else None, self._completed, len(self._failed), self._warnings)

    def __str__(self) -> str:
        done, warned = self._completed + self._warnings, f", {self._warnings} with a warning" if self._warnings else ""
        failed = f", {len(self._failed)} failed" if self._failed else ""
        return f"{done} of {self._total} objects sent{warned}{failed}"


class Answers:
    """The responses to one request."""

    def __init__(self, messages: Messages, request: Request) -> None:
        self._messages, self._request = messages, request

    @property
    def cancelled(self) -> bool:
        """Whether the request was cancelled.

        Raises:
            AssociationEnd: the other side has ended the association.
        """
        return self._messages.is_cancelled(self._request.command.message_id)

    def pending(self, tally: Tally) -> None:
        """Some sub-operations remain."""
        self._send(self._request.command.progress(PENDING, tally.numbers(remaining=True)))

    def cancel(self, tally: Tally) -> None:
        """The last response of a request that was cancelled."""
        self._end(CANCELLED, tally.numbers(remaining=True), None, tally.failed)

    def end(self, tally: Tally) -> None:
        """The last response after all sub-operations."""
        why = Refusal(tally.status, tally.why) if tally.why else None
        self._end(tally.status, tally.numbers(remaining=False), why, tally.failed)

    def refuse(self, refusal: Refusal) -> None:
        """The only response of a request without sub-operations."""
        self._end(refusal.status, SubOperations(None, 0, 0, 0), refusal, ())

    def _end(self, status: int, done: SubOperations, why: Refusal | None, failed: tuple[str, ...]) -> None:
        command = self._request.command
        if not failed:
            self._send(command.progress(status, done, why))
            return
        context = self._messages.assoc._accepted_cx[self._request.context_id]
        identifier = _failed_list(failed, context.transfer_syntax[0])
        self._send(command.progress(status, done, why, has_data_set=True), identifier)

    def _send(self, command: bytes, identifier: bytes = b"") -> None:
        context_id, fragments = self._request.context_id, self._messages.fragments
        pieces = fragments.command(context_id, command)
        if identifier:
            pieces += fragments.data_set(context_id, identifier)
        self._messages.send([pieces])


def _failed_list(uids: tuple[str, ...], syntax: UID) -> bytes:
    """An identifier with Failed SOP Instance UID List (0008,0058), of as many UIDs as its length can say."""
    named, length = 0, -1
    for uid in uids:
        length += len(uid) + 1
        if length > _LONGEST_LIST:
            break
        named += 1
    identifier = Dataset()
    identifier.FailedSOPInstanceUIDList = list(uids[:named])
    encoded = encode(identifier, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
    return encoded or b""
