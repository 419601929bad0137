"""Results that a person has to take back: of another patient than their study, or of rejected images.

A study may turn out to name two patients after results of it were sent, a person may say that another patient is
meant than the one whom they name, or a rejection note may name what they were made from. The node takes nothing back
from an archive: a person does, and has to know what.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from datetime import datetime

from storage.records import DeliveryRecord, DeliveryState


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Objects of one series of results that a person has to withdraw from a destination.

    `delivered_at` is the time of the last of them, None where nobody knows whether they were delivered; `role` and
    `revision` say which result they are. `told`: the destination has a note that rejects all of them.
    """

    destination: str
    series_instance_uid: str
    role: str
    revision: int
    delivered_at: datetime | None
    reason: str
    sop_instance_uids: tuple[str, ...]
    told: bool = False

    def __str__(self) -> str:
        count = len(self.sop_instance_uids)
        known = self.delivered_at is not None
        delivered = f"delivered {self.delivered_at:%Y-%m-%d %H:%M:%S %Z}" if known else "if they were delivered"
        return (
            f"to be withdrawn from {self.destination}: {count} {'object' if count == 1 else 'objects'} of series "
            f"{self.series_instance_uid} ({self.role} of revision {self.revision}), {delivered}: {self.reason}"
            + ("; it has the note that rejects them" if self.told else "")
        )


def withdrawals(deliveries: Iterable[DeliveryRecord], told: Container[int] = ()) -> tuple[Withdrawal, ...]:
    """Results that have to be withdrawn, by destination and series, in the order in which it was recorded.

    `told` are the deliveries of objects of which the destination has a note that rejects them.
    """
    groups: dict[tuple[str, str], list[DeliveryRecord]] = {}
    for delivery in deliveries:
        if delivery.state is DeliveryState.REVOKED:
            groups.setdefault((delivery.destination, delivery.result.series_instance_uid), []).append(delivery)
    return tuple(
        Withdrawal(
            destination=destination,
            series_instance_uid=series,
            role=of_series[0].result.role,
            revision=of_series[0].result.revision,
            # Of a delivery that was made the ledger keeps when.
            delivered_at=max((it.next_attempt_at for it in of_series if it.attempts), default=None),
            reason=of_series[0].reason,
            sop_instance_uids=tuple(delivery.result.sop_instance_uid for delivery in of_series),
            told=all(delivery.identifier in told for delivery in of_series),
        )
        for (destination, series), of_series in groups.items()
    )
