"""A database that was put back from a backup: what may have become of it since then is not taken for known."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, delete, func, select, update

from storage import database
from storage.audit_chain import mark_put_back
from storage.records import OPEN_DELIVERIES, DeliveryState, StudyState
from storage.schema import association, delivery, retrieval, study


@dataclass(frozen=True, slots=True)
class PutBack:
    """What may happen for a second time: deliveries that were open then, and studies that are analysed again."""

    open_deliveries: int
    studies_under_way: int


def put_back(engine: Engine, moment: str, hold: bool) -> PutBack:
    """Make a database fit to go on, which is as it was at a moment, in one transaction.

    Deliveries that were open then say that they may have been made since. With `hold` they are UNKNOWN: nothing is
    sent until a person orders it.
    """
    said = f"from the backup of {moment}: it may have been sent since"
    open_then = delivery.c.state.in_(sorted(OPEN_DELIVERIES))
    values = {
        "state": DeliveryState.UNKNOWN if hold else DeliveryState.QUEUED,
        "reason": "" if hold else said,
        "owner": None,
        "leased_until": None,
    }
    under_way = study.c.state.in_((StudyState.RECEIVING, StudyState.QUEUED))
    with database.writing(engine).begin() as connection:
        opened = connection.execute(update(delivery).where(open_then).values(values)).rowcount
        connection.execute(delete(association))
        mark_put_back(connection)
        connection.execute(update(retrieval).values(claimed_until=None))
        count = connection.scalar(select(func.count()).select_from(study).where(under_way))
    return PutBack(opened, int(count or 0))
