"""Failed deliveries put back into their queues."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from node.settings import Settings
from storage.database import open_engine
from storage.deliveries import Deliveries


@dataclass(frozen=True, slots=True)
class Resent:
    """How many of the deliveries of a study are queued again."""

    study_instance_uid: str
    queued: int
    deliveries: int


def resend(settings: Settings, study: str) -> Resent:
    """Queue the failed deliveries of a study again, with fresh counts of attempts."""
    deliveries = Deliveries(open_engine(settings.storage_url))
    again = [deliveries.retry(it.identifier, datetime.now(UTC)) for it in deliveries.records(study)]
    return Resent(study, sum(again), len(again))
