"""How an attempt to store an object ended, and what that means for the sender."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from storage.records import InstanceHeader

#: What this machine may be short of for a while.
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
    """The end of one attempt; `status` is that of the C-STORE response, None where none came."""

    path: Path
    study_instance_uid: str
    sop_instance_uid: str
    status: int | None
    reason: str
    result: StoreResult


def outcome(
    path: Path, header: InstanceHeader | None, result: StoreResult, reason: str, status: int | None = None
) -> StoreOutcome:
    """The end of an attempt for a file whose header, where it could be read, is this."""
    study, instance = (header.study_instance_uid, header.sop_instance_uid) if header else ("", "")
    return StoreOutcome(path, study, instance, status, reason, result)


def classify(status: int) -> StoreResult:
    """The meaning of the status of a C-STORE response (PS3.4 B.2.3, PS3.7 C.5).

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
