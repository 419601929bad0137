"""What the report of a destination means for the deliveries that it names, in whatever process it comes in."""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import datetime, timedelta

from node.dicom.command import INVALID_ARGUMENT, Refusal
from node.settings import RemoteSettings
from storage.commitments import CommitmentReport, Commitments, Patience

log = logging.getLogger(__name__)

_LONGEST_WAIT_S = 86_400.0


def patience(settings: RemoteSettings) -> Patience:
    """How often a destination is asked, and how often an object is sent again that it has not."""
    first, attempts = settings.commitment_wait_s, range(settings.commitment_attempts)
    longest = max(first, _LONGEST_WAIT_S)
    return Patience(
        waits=tuple(timedelta(seconds=min(longest, first * 2.0 ** min(number, 64))) for number in attempts),
        resends=tuple(timedelta(seconds=settings.retry_delay_s(number)) for number in attempts),
        first=timedelta(seconds=settings.commitment_after_s),
    )


def settle(
    report: CommitmentReport, reporters: Collection[RemoteSettings], commitments: Commitments, now: datetime
) -> Refusal | None:
    """Move the deliveries that a report names; why it is refused, None when it is taken.

    Args:
        report: as it came.
        reporters: the destinations that the one who reports may be: it reports for no other one.
        commitments: of the storage.
        now: the time of day.
    """
    uid = report.transaction_uid
    asked = commitments.destination_of(uid)
    destination = next((it for it in reporters if it.name == asked), None)
    if destination is None:
        return Refusal(INVALID_ARGUMENT, f"not asked for: transaction {uid}")
    done = commitments.settle(report, now, patience(destination))
    level = logging.WARNING if done.fault or done.again or done.failed else logging.INFO
    log.log(
        level,
        "destination %s: transaction %s: %d objects committed, %d to be sent again, %d failed%s",
        destination.name,
        uid,
        done.committed,
        done.again,
        done.failed,
        f"; {done.fault}" if done.fault else "",
    )
    return None
