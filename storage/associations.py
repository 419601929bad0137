"""Which associations are open, and for which studies they have stored something; within a transaction of the caller.

The processes of a node meet only here. A row holds as long as its lease: the process that owns the association
renews it, so that one which died with its process ends by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, delete, func, insert, or_, select, update

from storage.records import OpenAssociation
from storage.schema import association

LONGEST_LEASE = timedelta(hours=2)
"""No association is said to be open for longer than that; whoever says so renews it long before."""


def note(connection: Connection, found: OpenAssociation, study_uid: str) -> None:
    """The association has stored something of the study; only the association's own thread says so."""
    where = and_(association.c.identifier == found.identifier, association.c.study_instance_uid == study_uid)
    if not connection.execute(update(association).where(where).values(open_until=found.until)).rowcount:
        connection.execute(
            insert(association).values(
                identifier=found.identifier, study_instance_uid=study_uid, open_until=found.until
            )
        )


def renew(connection: Connection, identifiers: Collection[str], until: datetime) -> None:
    """These are still open."""
    connection.execute(update(association).where(association.c.identifier.in_(identifiers)).values(open_until=until))


def end(connection: Connection, identifiers: Collection[str]) -> None:
    """These are released or aborted."""
    connection.execute(delete(association).where(association.c.identifier.in_(identifiers)))


def discard_expired(connection: Connection, now: datetime) -> None:
    """Forget what processes left behind that died."""
    beyond = association.c.open_until > now + LONGEST_LEASE
    connection.execute(delete(association).where(or_(association.c.open_until < now, beyond)))


def count(connection: Connection, now: datetime) -> Counter[str]:
    """Open associations that have stored something of a study, by its UID.

    One that is said to be open for longer than a lease lasts was written before the clock was set back, by a process
    that has died: those that live are renewed.
    """
    query = (
        select(association.c.study_instance_uid, func.count())
        .where(association.c.open_until >= now, association.c.open_until <= now + LONGEST_LEASE)
        .group_by(association.c.study_instance_uid)
    )
    return Counter({uid: number for uid, number in connection.execute(query)})
