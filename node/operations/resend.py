"""Failed deliveries put back into their queues."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from node.settings import Settings
from storage.ledger import Ledger
from storage.schema import open_engine


@dataclass(frozen=True, slots=True)
class Resent:
    """How many of the deliveries of a study are queued again."""

    study_instance_uid: str
    queued: int
    deliveries: int


def resend(settings: Settings, study: str) -> Resent:
    """Queue the failed deliveries of a study again, with fresh counts of attempts."""
    ledger = Ledger(open_engine(settings.storage_url))
    again = [ledger.retry(delivery.identifier, datetime.now(UTC)) for delivery in ledger.deliveries(study)]
    return Resent(study, sum(again), len(again))
