"""How an attempt to store an object ended, and what that means for the sender: one table of policies.

`python -m node.dicom.outcomes` writes the table of docs/operations.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from node.failure import Fault, fault_of
from storage.records import InstanceHeader

#: Errors that are this machine's where it reads a file of its own, or needs a connection.
LOCAL_FAULTS = (OSError, MemoryError)


class StoreResult(StrEnum):
    """The meaning of an attempt to store, for the sender.

    TRANSIENT: the receiver said that it cannot now, or the association ended while the object was under way.
    NOT_TRIED: there was no association, or it ended before the object's turn. LOCAL_FAULT: this machine could not
    read or send it (a folder that is away, descriptors, memory, an I/O error): nothing is known of the object.
    """

    SENT = "sent"
    TRANSIENT = "transient"
    PERMANENT = "permanent"
    NOT_TRIED = "not tried"
    LOCAL_FAULT = "local fault"


@dataclass(frozen=True, slots=True)
class StoreOutcome:
    """The end of one attempt; `status` is that of the C-STORE response, None where none came.

    `fault`: what this machine lacked, of a LOCAL_FAULT.
    """

    path: Path
    study_instance_uid: str
    sop_instance_uid: str
    status: int | None
    reason: str
    result: StoreResult
    fault: Fault | None = None


def outcome(
    path: Path,
    header: InstanceHeader | None,
    result: StoreResult,
    reason: str,
    status: int | None = None,
    fault: Fault | None = None,
) -> StoreOutcome:
    """The end of an attempt for a file whose header, where it could be read, is this."""
    study, instance = (header.study_instance_uid, header.sop_instance_uid) if header else ("", "")
    return StoreOutcome(path, study, instance, status, reason, result, fault)


def failed_here(path: Path, header: InstanceHeader | None, error: OSError | MemoryError) -> StoreOutcome:
    """The end of one attempt that this machine could not make."""
    return outcome(path, header, StoreResult.LOCAL_FAULT, local_fault(error), fault=lacked(error))


def lacked(error: OSError | MemoryError) -> Fault:
    """What this machine lacked where it could not read or send something."""
    return fault_of(error) or Fault.UNREADABLE


@dataclass(frozen=True, slots=True)
class StatusPolicy:
    """What the statuses from `first` to `last` of a C-STORE response mean (PS3.4 B.2.3, PS3.7 C)."""

    first: int
    last: int
    meaning: str
    result: StoreResult

    @property
    def statuses(self) -> str:
        """As an administrator reads them."""
        return f"{self.first:04X}" if self.first == self.last else f"{self.first:04X} to {self.last:04X}"


_SENT, _TRANSIENT, _PERMANENT = StoreResult.SENT, StoreResult.TRANSIENT, StoreResult.PERMANENT
STATUS_POLICIES = (
    StatusPolicy(0x0000, 0x0000, "success", _SENT),
    StatusPolicy(0xB000, 0xBFFF, "stored with a warning (elements changed, discarded, or not of the SOP class)", _SENT),
    StatusPolicy(0x0001, 0x0001, "stored with a warning", _SENT),
    StatusPolicy(0x0107, 0x0107, "stored with a warning: attribute list error", _SENT),
    StatusPolicy(0x0116, 0x0116, "stored with a warning: attribute value out of range", _SENT),
    StatusPolicy(0x0111, 0x0111, "duplicate SOP instance: it has the object already", _SENT),
    StatusPolicy(0xA700, 0xA7FF, "out of resources", _TRANSIENT),
    StatusPolicy(0x0110, 0x0110, "processing failure", _TRANSIENT),
    StatusPolicy(0x0210, 0x0210, "duplicate invocation", _TRANSIENT),
    StatusPolicy(0x0213, 0x0213, "resource limitation", _TRANSIENT),
    StatusPolicy(0xFE00, 0xFE00, "cancelled", _TRANSIENT),
    StatusPolicy(0xA900, 0xA9FF, "data set does not match the SOP class", _PERMANENT),
    StatusPolicy(0xC000, 0xCFFF, "cannot understand", _PERMANENT),
    StatusPolicy(0x0122, 0x0122, "SOP class not supported", _PERMANENT),
    StatusPolicy(0x0124, 0x0124, "not authorised", _PERMANENT),
)
"""Every other status is a permanent refusal: nobody can know that trying again would help."""


@dataclass(frozen=True, slots=True)
class HTTPPolicy:
    """What the statuses from `first` to `last` of the answer to a request of STOW-RS mean (PS3.18 10.5.3)."""

    first: int
    last: int
    meaning: str
    result: StoreResult

    @property
    def statuses(self) -> str:
        """As an administrator reads them."""
        return f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"


HTTP_ANSWERED = frozenset({200, 202, 409})
"""Their answer says what became of the object; its Failure Reason (0008,1197) means what a status of C-STORE does."""

_NOT_TRIED = StoreResult.NOT_TRIED
HTTP_POLICIES = (
    HTTPPolicy(
        200, 200, "taken, but the answer does not name the object: whether it was stored is not said", _TRANSIENT
    ),
    HTTPPolicy(202, 202, "the same", _TRANSIENT),
    HTTPPolicy(300, 399, "the service is elsewhere: correct `url`", _NOT_TRIED),
    HTTPPolicy(401, 401, "not authorised: correct `token_file` or certificate", _NOT_TRIED),
    HTTPPolicy(403, 404, "forbidden, or no such service: correct `url` or the rights there", _NOT_TRIED),
    HTTPPolicy(407, 407, "a proxy wants to know who calls", _NOT_TRIED),
    HTTPPolicy(408, 408, "it came too slowly", _TRANSIENT),
    HTTPPolicy(425, 425, "too early", _NOT_TRIED),
    HTTPPolicy(429, 429, "too many requests", _NOT_TRIED),
    HTTPPolicy(500, 500, "a fault of the service, perhaps with this object", _TRANSIENT),
    HTTPPolicy(502, 504, "the service is not there, or busy", _NOT_TRIED),
    HTTPPolicy(507, 507, "no room", _TRANSIENT),
)
"""Every other status is a permanent refusal, such as 400, 409, 413 and 415."""

ENDS = (
    ("no presentation context for the object accepted", StoreResult.PERMANENT),
    ("the object cannot be sent: its file is no DICOM, or cannot be converted without loss", StoreResult.PERMANENT),
    ("abort, or the end of the connection, while the object was under way", StoreResult.TRANSIENT),
    ("no answer in `timeout_s` while the object was under way", StoreResult.TRANSIENT),
    ("association rejected for now (transient)", StoreResult.NOT_TRIED),
    ("association rejected for good (permanent): mended there, it goes on by itself", StoreResult.NOT_TRIED),
    ("association aborted before it was accepted, or not answered in `timeout_s`", StoreResult.NOT_TRIED),
    ("no connection; by TLS none that is good; name of the host not known", StoreResult.NOT_TRIED),
    ("the association ended before the turn of the object", StoreResult.NOT_TRIED),
    ("this machine cannot read it, or lacks descriptors, threads or memory", StoreResult.LOCAL_FAULT),
)
"""How an attempt ends without a status."""

_WHAT_FOLLOWS = {
    StoreResult.SENT: "STORED, with the warning as its reason; never sent again by itself",
    StoreResult.TRANSIENT: "the object waits, from `first_retry_s` doubling to `longest_retry_s`, the others go on; "
    "after `maximum_attempts` it is FAILED",
    StoreResult.PERMANENT: "FAILED at once, with the reason: it waits for a person and `resend`",
    StoreResult.NOT_TRIED: "the destination waits, doubling to `longest_retry_s`, without end; no attempt is counted",
    StoreResult.LOCAL_FAULT: "the object waits for `first_retry_s`; no attempt is counted",
}


def classify(status: int) -> StoreResult:
    """The meaning of the status of a C-STORE response."""
    found = (policy.result for policy in STATUS_POLICIES if policy.first <= status <= policy.last)
    return next(found, StoreResult.PERMANENT)


def classify_http(status: int) -> StoreResult:
    """The meaning of a status of HTTP, where the answer says nothing of the object."""
    found = (policy.result for policy in HTTP_POLICIES if policy.first <= status <= policy.last)
    return next(found, StoreResult.PERMANENT)


def http_policies_as_markdown() -> str:
    """The table of policies of STOW-RS, for docs/operations.md."""
    rows = [(policy.statuses, policy.meaning, policy.result) for policy in HTTP_POLICIES]
    rows.append(("any other", "refused", StoreResult.PERMANENT))
    lines = [f"| {status} | {meaning} | {_WHAT_FOLLOWS[result]} |" for status, meaning, result in rows]
    return "\n".join(("| HTTP status | meaning | what follows |", "| --- | --- | --- |", *lines))


def policies_as_markdown() -> str:
    """The table of policies, for docs/operations.md."""
    rows = [(policy.statuses, policy.meaning, policy.result) for policy in STATUS_POLICIES]
    rows += [("any other", "refused", StoreResult.PERMANENT), *(("none", end, result) for end, result in ENDS)]
    lines = [f"| {status} | {meaning} | {_WHAT_FOLLOWS[result]} |" for status, meaning, result in rows]
    return "\n".join(("| status | meaning | what follows |", "| --- | --- | --- |", *lines))


def local_fault(error: OSError | MemoryError) -> str:
    """A fault of this machine in words; without the path, so that one fault reads the same for all objects."""
    if isinstance(error, MemoryError):
        return "this machine is out of memory"
    return f"this machine cannot read or send it: {error.strerror or error}"


if __name__ == "__main__":
    print(policies_as_markdown(), http_policies_as_markdown(), sep="\n\n")
