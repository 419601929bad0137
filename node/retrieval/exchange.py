"""One C-MOVE or C-GET as SCU (PS3.4 C.4.2, C.4.3): what was asked for, and the responses as they come.

The objects of a C-MOVE come to the listener. Those of a C-GET come on the association that asks for them, and are taken
in as the listener takes them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import Association
from pynetdicom.dsutils import encode
from pynetdicom.pdu import A_RELEASE_RQ
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)
from pynetdicom.status import QR_MOVE_SERVICE_CLASS_STATUS

from node.dicom.association import CONNECTION_LOST, RemoteAE, in_words, refusal
from node.dicom.command import C_GET_RQ, C_MOVE_RQ, Command, Refusal, SubOperations
from node.dicom.connection import Connection
from node.dicom.pdu_reader import AssociationEnd, PDUReader, SilenceError, TimeLimits
from node.dicom.storing import LostAssociationError, taken_over
from node.errors import TransientError
from node.services.messages import IncomingObject, Messages

MOVE, GET = str(StudyRootQueryRetrieveInformationModelMove), str(StudyRootQueryRetrieveInformationModelGet)

_PENDING = (0xFF00, 0xFF01)
_MESSAGE_ID = 1
_SLOWEST = 1000.0  # bytes a second of an object that comes
_PARTING_S = 1.0
_ABORT = b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00"  # A-ABORT of the user, PS3.8 9.3.8
_NOTHING = SubOperations(None, 0, 0, 0)

#: Takes the command of a C-STORE, its transfer syntax and why it is refused already; gives what takes the data set.
Begin = Callable[[Command, str, Refusal | None], IncomingObject]


@dataclass(frozen=True, slots=True)
class Keys:
    """What to retrieve: a study, series of it, or instances of one series."""

    study_instance_uid: str
    series_instance_uids: tuple[str, ...] = ()
    sop_instance_uids: tuple[str, ...] = ()

    @property
    def identifier(self) -> Dataset:
        """The identifier of the request, at the level of what is named."""
        asked = Dataset()
        level = "IMAGE" if self.sop_instance_uids else "SERIES" if self.series_instance_uids else "STUDY"
        asked.QueryRetrieveLevel = level
        asked.StudyInstanceUID = self.study_instance_uid
        if self.series_instance_uids:
            asked.SeriesInstanceUID = list(self.series_instance_uids)
        if self.sop_instance_uids:
            asked.SOPInstanceUID = list(self.sop_instance_uids)
        return asked


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: its status, what is done, and what was said."""

    status: int
    done: SubOperations
    comment: str = ""

    @property
    def is_pending(self) -> bool:
        """Whether another response follows."""
        return self.status in _PENDING

    @property
    def words(self) -> str:
        """Status and comment; empty for plain success."""
        return in_words(self.status, self.comment, QR_MOVE_SERVICE_CLASS_STATUS)


class Line:
    """The connection of the request that is under way; ended from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # whoever stops the node has a thread of its own
        self._connection: Connection | None = None
        self.is_ended = False

    def end(self) -> None:
        """End the request that is under way, and every later one."""
        with self._lock:
            self.is_ended = True
            if self._connection is not None:
                self._connection.disconnect()

    @contextmanager
    def held(self, connection: Connection) -> Iterator[None]:
        """While a request uses a connection."""
        with self._lock:
            self._connection = connection
            if self.is_ended:
                connection.disconnect()
        try:
            yield
        finally:
            with self._lock:
                self._connection = None


def move(remote: RemoteAE, keys: Keys, line: Line, destination: str) -> Iterator[Answer]:
    """Have objects sent to an AE title; the last answer is not pending. `remote.timeout_s` holds between answers.

    Raises:
        TransientError: no association, or it ended before the last answer; the message says why.
    """
    with _associated(remote, MOVE, ()) as association:
        yield from _answers(association, remote, C_MOVE_RQ, keys, line, _no_object, destination)


def get(remote: RemoteAE, keys: Keys, line: Line, sop_classes: Collection[str], begin: Begin) -> Iterator[Answer]:
    """Take objects on the same association; `begin` takes each in.

    Raises:
        TransientError: as of `move`.
    """
    with _associated(remote, GET, sop_classes) as association:
        yield from _answers(association, remote, C_GET_RQ, keys, line, begin)


@contextmanager
def _associated(remote: RemoteAE, model: str, taken: Collection[str]) -> Iterator[Association]:
    pairs = [(model, ExplicitVRLittleEndian), (model, ImplicitVRLittleEndian)]
    try:
        association = remote.associate(pairs, taken=taken)
    except OSError as error:  # the name of the host is not known
        raise TransientError(f"no connection: {error}") from error
    if not association.is_established:
        raise TransientError(refusal(association))
    if not any(context.abstract_syntax == model for context in association.accepted_contexts):
        association.release()
        raise TransientError(f"{'C-MOVE' if model == MOVE else 'C-GET'} is not accepted there for this AE title")
    yield association


def _answers(
    association: Association,
    remote: RemoteAE,
    field: int,
    keys: Keys,
    line: Line,
    begin: Begin,
    destination: str = "",
) -> Iterator[Answer]:
    model = MOVE if field == C_MOVE_RQ else GET
    context = next(it for it in association.accepted_contexts if it.abstract_syntax == model)
    command = Command(field, _MESSAGE_ID, True, model, move_destination=destination).encoded
    try:
        connection = taken_over(association, remote.timeout_s)
    except LostAssociationError as error:
        raise TransientError(CONNECTION_LOST) from error
    reader = PDUReader(connection, 0, TimeLimits(remote.timeout_s, _SLOWEST))
    syntaxes = {it.context_id: str(it.transfer_syntax[0]) for it in association.accepted_contexts}
    messages = Messages(
        association,
        connection,
        reader,
        lambda stored, context_id, why: begin(stored, syntaxes[context_id], why),
        lambda _refusal: None,
        {},
        {},
    )
    released = False
    try:
        with line.held(connection), messages.asking():
            fragments, identifier = messages.fragments, _encoded(keys.identifier, context.transfer_syntax[0])
            messages.send([fragments.command(context.context_id, command)])
            messages.send([fragments.data_set(context.context_id, identifier)])
            yield from _until_last(messages, field)
            connection.send(A_RELEASE_RQ().encode())
            released = True
    except SilenceError as error:
        raise TransientError(f"no answer within {remote.timeout_s:g} s") from error
    except (AssociationEnd, OSError) as error:
        raise TransientError(CONNECTION_LOST) from error
    finally:
        messages.discard()
        if not released:
            with suppress(OSError):  # nobody may be there any more
                connection.send(_ABORT)
        connection.part(_PARTING_S)
        connection.close()


def _until_last(messages: Messages, field: int) -> Iterator[Answer]:
    while True:
        response = messages.next_response()
        if response.is_answer_to(field) and response.status is not None:
            answer = Answer(response.status, response.sub_operations or _NOTHING, response.comment)
            yield answer
            if not answer.is_pending:
                return


def _encoded(identifier: Dataset, syntax: UID) -> bytes:
    return encode(identifier, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated) or b""


def _no_object(_command: Command, _syntax: str, _refusal: Refusal | None) -> IncomingObject:
    raise TransientError("an object came on the association of a C-MOVE")
