"""The objects of a C-GET on their way back, by C-STORE on the association that asked for them (PS3.4 C.4.3).

Each goes in a presentation context of its SOP class in which the other side has the role to take objects.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from itertools import chain

from pynetdicom.status import STORAGE_SERVICE_CLASS_STATUS

from node.dicom.association import in_words
from node.dicom.command import C_STORE_RQ, RESPONSE, Command
from node.dicom.conversion.errors import ConversionError
from node.dicom.outcomes import LOCAL_FAULTS, StoreOutcome, StoreResult, classify, failed_here, outcome
from node.dicom.pdu_reader import BrokenConnectionError, FaultError
from node.dicom.scu import not_accepted
from node.dicom.sendable import Sendable, candidates, opened
from node.services.messages import AbortedHereError, Messages
from storage.errors import HeaderError

_LAST_MESSAGE = 0xFFFF


def sent_back(files: Sequence[Sendable], messages: Messages) -> Generator[StoreOutcome, None, None]:
    """Send files, each once; yields what became of each.

    Raises:
        AssociationEnd: the association has ended.
        OSError: the connection is broken.
    """
    context_ids = {
        (str(context.abstract_syntax), str(context.transfer_syntax[0])): int(context_id)
        for context_id, context in messages.assoc._accepted_cx.items()
        if context.as_scu
    }
    for number, file in enumerate(files):
        header = file.header
        chosen = next((pair for pair in candidates(header) if pair in context_ids), None)
        if chosen is None:
            yield outcome(file.path, header, StoreResult.PERMANENT, not_accepted(header))
        else:
            yield _stored(file, chosen[1], context_ids[chosen], number % _LAST_MESSAGE + 1, messages)


def _stored(file: Sendable, syntax: str, context_id: int, message_id: int, messages: Messages) -> StoreOutcome:
    path, header = file.path, file.header
    command = Command(C_STORE_RQ, message_id, True, header.sop_class_uid, header.sop_instance_uid).encoded
    try:
        with opened(file, syntax) as (content, start):
            pieces = messages.fragments.of_file(context_id, content, start)
            first = next(pieces)  # from here on the file is known to be there
            answer = _sent(messages.fragments.command(context_id, command) + first, pieces, messages)
    except (ConversionError, HeaderError, ValueError) as error:
        return outcome(path, header, StoreResult.PERMANENT, f"cannot be sent: {error}")
    except LOCAL_FAULTS as error:
        return failed_here(path, header, error)
    status = answer.status or 0
    words = in_words(status, answer.comment, STORAGE_SERVICE_CLASS_STATUS)
    return outcome(path, header, classify(status), words, status)


def _sent(first: bytes, pieces: Iterator[bytes], messages: Messages) -> Command:
    """Send a C-STORE; returns its response."""
    try:
        messages.send(chain([first], _or_aborted(pieces, messages)))
    except OSError as error:
        raise BrokenConnectionError("a connection that broke") from error
    answer = messages.next_response()
    # Which message it says that it answers does not matter: there is one only.
    if answer.field != C_STORE_RQ | RESPONSE or answer.status is None:
        raise FaultError("a response that is none to a C-STORE")
    return answer


def _or_aborted(pieces: Iterator[bytes], messages: Messages) -> Iterator[bytes]:
    """Where the file cannot be read to its end, its message cannot be ended either."""
    try:
        yield from pieces
    except OSError as error:
        messages.assoc.abort_now()
        raise AbortedHereError from error
