"""Results sent again, to one destination or to all, because a person says so."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from node.errors import NodeError
from node.settings import Settings
from storage.database import open_engine
from storage.deliveries import Deliveries
from storage.index import Index
from storage.records import DELIVERED, NOT_ARRIVED, DeliveryRecord, DeliveryState

#: What a person can name beside `NOT_ARRIVED`. What is queued is sent anyway, and STOPPED is of another patient.
NAMEABLE = DELIVERED | {DeliveryState.REVOKED}


@dataclass(frozen=True, slots=True)
class Resent:
    """Which deliveries of a study were queued.

    `queued`: those that were made before, of `deliveries` that there are; `added`: first deliveries to a destination
    that results of the study had not been meant for; `refused`: those that nobody sends without naming the object, for
    the `reasons`.
    """

    study_instance_uid: str
    queued: int
    added: int
    deliveries: int
    refused: int = 0
    reasons: tuple[str, ...] = ()


def resend(
    settings: Settings,
    study_instance_uid: str,
    destination: str = "",
    objects: Collection[str] = (),
    also: Collection[DeliveryState] = (),
) -> Resent:
    """Queue deliveries of a study again, with fresh counts of attempts.

    Args:
        settings: where the storage is, and the destinations.
        study_instance_uid: whose results.
        destination: only to that one; results of the present revision that it was never meant to have are sent, too.
        objects: SOP Instance UIDs, only these; without any all that are of the latest revision with results, or have
            not arrived, but none of which it is not known of whom they are.
        also: states beside FAILED and UNKNOWN, of `NAMEABLE`: what has arrived, or what was to be withdrawn.

    Raises:
        NodeError: the study, the destination or an object is not known, or a state cannot be asked for.
    """
    if unknown := set(also) - NAMEABLE:
        raise NodeError(f"{', '.join(sorted(unknown))}: not sent again; known are {', '.join(sorted(NAMEABLE))}")
    if destination and destination not in {it.name for it in settings.destinations}:
        raise NodeError(f"{destination}: no destination of the configuration")
    engine = open_engine(settings.storage_url)
    study, deliveries, now = Index(engine).study(study_instance_uid), Deliveries(engine), datetime.now(UTC)
    if study is None:
        raise NodeError(f"{study_instance_uid}: no study of this node")
    # First the new ones: they are queued already when the others are looked at.
    added = deliveries.add(study_instance_uid, study.revision, destination, objects, now) if destination else 0
    there = [it for it in deliveries.records(study_instance_uid) if not destination or it.destination == destination]
    if missing := set(objects) - {it.result.sop_instance_uid for it in there}:
        raise NodeError(f"{', '.join(sorted(missing))}: no result of study {study_instance_uid}")
    states = NOT_ARRIVED | set(also)
    wanted = [it for it in there if it.state in states and _is_meant(it, there, objects)]
    refused = [it for it in wanted if _is_doubtful(it) and not objects]
    queued = deliveries.order([it.identifier for it in wanted if it not in refused], states, now)
    reasons = tuple(dict.fromkeys(it.reason for it in refused))
    return Resent(study_instance_uid, queued, added, len(there), len(refused), reasons)


def _is_doubtful(delivery: DeliveryRecord) -> bool:
    """Whether an index that was made anew has it as another patient's, or does not know of whom it is."""
    known_as_such = delivery.state is DeliveryState.REVOKED and not delivery.attempts
    return known_as_such or (delivery.state is DeliveryState.UNKNOWN and bool(delivery.reason))


def _is_meant(delivery: DeliveryRecord, there: list[DeliveryRecord], objects: Collection[str]) -> bool:
    """Leave out what has arrived of earlier revisions, unless it is named: it is superseded."""
    if objects:
        return delivery.result.sop_instance_uid in objects
    latest = max(it.result.revision for it in there)
    return delivery.state not in DELIVERED or delivery.result.revision == latest
