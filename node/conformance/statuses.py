"""The statuses of responses, by service: as SCP what the node answers, as SCU what it takes them for."""

from __future__ import annotations

from collections.abc import Iterable

from node.conformance.markdown import table
from node.dicom import command
from node.dicom.outcomes import http_policies_as_markdown, policies_as_markdown
from node.services import commitment, query, retrieve, store, sub_operations

_Rows = Iterable[tuple[int, str]]

_MALFORMED: _Rows = (
    (command.UNRECOGNISED_OPERATION, "a command that is not served here, or not of that SOP class"),
    (command.SOP_CLASS_NOT_SUPPORTED, "the SOP class of the command is not that of the presentation context"),
)
VERIFICATION: _Rows = (
    (command.SUCCESS, "always"),
    (command.SOP_CLASS_NOT_SUPPORTED, "a C-ECHO of another SOP class"),
)
STORAGE: _Rows = (
    (command.SUCCESS, "file and index row are durable (fsync); also of a duplicate, and of a result of this node"),
    (store.OUT_OF_RESOURCES, "disk space is low, the object is larger than the limit, or it could not be written"),
    (command.MISMATCH, "SOP Class or Instance UID differ in command and data set, or are no UIDs; quarantined"),
    (store.CANNOT_UNDERSTAND, "the data set cannot be read, or lacks a UID; quarantined with its reason"),
    (command.INVALID_INSTANCE, "Affected SOP Instance UID is no UID; quarantined"),
    (command.SOP_CLASS_NOT_SUPPORTED, "the SOP class stores nothing; quarantined"),
    (command.NOT_AUTHORISED, "in this presentation context the role of the other side is to take objects"),
)
QUERY: _Rows = (
    (command.SUCCESS, "all matches were sent, or there is none"),
    (query.PENDING, "a match"),
    (query.PENDING_WITH_UNSUPPORTED_KEYS, "a match; keys were asked for that the level does not have"),
    (query.CANCELLED, "C-CANCEL; looked for before each response"),
    (query.OUT_OF_RESOURCES, "more matches than `most_matches`, behind these; or the database does not answer"),
    (query.MISMATCH, "no identifier, no level of the model, a unique key above is missing, or it cannot be decoded"),
    (query.UNABLE, "a fault of the node"),
    *_MALFORMED,
)
RETRIEVE: _Rows = (
    (command.SUCCESS, "all sub-operations were completed, or nothing matches"),
    (sub_operations.PENDING, "after each sub-operation but the last"),
    (sub_operations.CANCELLED, "C-CANCEL; looked for between two objects"),
    (sub_operations.SOME_FAILED, "some sub-operations failed, or were completed with a warning"),
    (sub_operations.UNABLE_TO_CALCULATE, "more objects than sub-operations can be counted, or a fault of the database"),
    (sub_operations.UNABLE_TO_PERFORM, "all sub-operations failed"),
    (retrieve.UNKNOWN_DESTINATION, "C-MOVE: no remote of that AE title with host and port is configured"),
    (command.MISMATCH, "the identifier lacks a unique key, or is none of the model"),
    *_MALFORMED,
)
COMMITMENT: _Rows = (
    (command.SUCCESS, "N-ACTION: the request is durable; N-EVENT-REPORT: the report is taken"),
    (command.PROCESSING_FAILURE, "the request or report could not be written: ask again"),
    (command.NO_SUCH_INSTANCE, "not the well-known SOP instance of the class"),
    (command.NO_SUCH_EVENT_TYPE, "N-EVENT-REPORT: an event type other than 1 and 2"),
    (command.INVALID_ARGUMENT, "no Transaction UID, no references, or a report that was not asked for"),
    (command.NO_SUCH_CLASS, "the SOP class of the command is not that of the presentation context"),
    (command.NO_SUCH_ACTION, "N-ACTION: an action type other than 1"),
    (command.NOT_AUTHORISED, "the remote has not the right `may_commit`"),
    (command.UNRECOGNISED_OPERATION, "a command that is not of that SOP class"),
)
FAILURE_REASONS: _Rows = (
    (command.PROCESSING_FAILURE, "the file is damaged, or away"),
    (commitment.NO_SUCH_INSTANCE, "the object is not here"),
    (commitment.CONFLICT, "the object is here under another SOP class"),
    (commitment.DUPLICATE_TRANSACTION, "the Transaction UID was used before"),
)
ALL = (VERIFICATION, STORAGE, QUERY, RETRIEVE, COMMITMENT, FAILURE_REASONS)


def statuses_as_table(rows: _Rows, head: str = "status") -> str:
    """Statuses in hexadecimal digits, with when they are answered."""
    return table((head, "when"), [(f"{status:04X}", words) for status, words in rows])


def of_storage_as_scu() -> str:
    """What the node makes of the statuses of those that it sends to."""
    return policies_as_markdown()


def of_stow_as_user_agent() -> str:
    """The same of STOW-RS."""
    return http_policies_as_markdown()
