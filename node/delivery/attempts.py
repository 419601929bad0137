"""The end of one attempt to deliver an object, whatever transport made it."""

from __future__ import annotations

from dataclasses import dataclass

from node.dicom.outcomes import StoreResult
from node.failure import Fault
from storage.records import DeliveryRecord


@dataclass(frozen=True, slots=True)
class Attempt:
    """How an attempt for a delivery ended.

    Attributes:
        record: the delivery.
        result: what it means for the queue.
        reason: in words; empty for plain success.
        ended_connection: the connection ended while the object was under way: the next objects need another one.
        fault: what this machine lacked, where that was the reason.
    """

    record: DeliveryRecord
    result: StoreResult
    reason: str
    ended_connection: bool = False
    fault: Fault | None = None
