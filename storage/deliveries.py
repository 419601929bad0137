"""Where results go: one row for each object and destination, and what became of it.

A row is made with the result (`delivery_rows.enqueue`). From then on it belongs to delivery: whoever sends claims rows
for a time, with one guarded statement, and reports how each attempt ended; every report starts from the claim. A
revocation stops what is not sent and marks what was. `records.DELIVERY_TRANSITIONS` has the moves.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Engine,
    Select,
    Text,
    and_,
    bindparam,
    case,
    exists,
    insert,
    literal,
    not_,
    or_,
    select,
    update,
)

from storage import database, due, schema
from storage.delivery_rows import NOBODYS, TAKEN_BACK, delivery_record, with_results
from storage.records import REJECTION_NOTE, DeliveryRecord, DeliveryState

_ORDER = (schema.delivery.c.attempts, schema.delivery.c.identifier)
_ONE_MORE: dict[str, object] = {"attempts": schema.delivery.c.attempts + 1}

_UNDER_WAY = schema.delivery.c.state.in_((DeliveryState.CLAIMED, DeliveryState.QUEUED))
_STOPPED = schema.delivery.c.state == DeliveryState.STOPPED
_identifiers: BindParameter[int] = bindparam("deliveries", expanding=True)
# Built once, as they are asked again and again while objects are sent.
_STORED = (
    update(schema.delivery)
    .where(schema.delivery.c.identifier.in_(_identifiers), or_(_UNDER_WAY, _STOPPED))
    .values(
        state=case((_STOPPED, DeliveryState.REVOKED.value), else_=DeliveryState.STORED.value),
        reason=case((_STOPPED, schema.delivery.c.reason), else_=bindparam("why", type_=Text)),
        next_attempt_at=bindparam("now", type_=schema.UTCDateTime),
        commit_at=bindparam("commit_at", type_=schema.UTCDateTime),
        commit_asked=0,
        **_ONE_MORE,
        **NOBODYS,
    )
    .returning(schema.delivery.c.identifier, schema.delivery.c.state)
)
_CLAIM = select(schema.delivery.c.state, schema.delivery.c.owner).where(
    schema.delivery.c.identifier == bindparam("delivery")
)


class Deliveries:
    """The deliveries of one database; safe for use by several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def engine(self) -> Engine:
        """The engine of the database."""
        return self._engine

    def records(self, study_uid: str | None = None) -> tuple[DeliveryRecord, ...]:
        """Deliveries in every state, of one study or of all."""
        query = with_results().order_by(schema.delivery.c.identifier)
        if study_uid is not None:
            query = query.where(schema.results.c.study_instance_uid == study_uid)
        return self._fetch(query)

    def is_due(self, destination: str, now: datetime, longest: timedelta | None = None) -> bool:
        """Whether `claim` would take any; costs the same however many there are."""
        kinds = [select(schema.delivery.c.identifier).where(*each).exists() for each in _due(destination, now, longest)]
        with self._engine.connect() as connection:
            return bool(connection.scalar(select(or_(*kinds))))

    def due(self, destination: str, now: datetime, limit: int = 500) -> tuple[DeliveryRecord, ...]:
        """Deliveries that `claim` would take, in its order; claims none."""
        return self._fetch(with_results().where(_is_due(destination, now)).order_by(*_ORDER).limit(limit))

    def claim(
        self,
        destination: str,
        owner: str,
        now: datetime,
        until: datetime,
        limit: int,
        longest: timedelta | None = None,
    ) -> tuple[DeliveryRecord, ...]:
        """Claim what is due: QUEUED whose time has come, and CLAIMED whose lease has run out.

        In the order of recording; what has failed before comes last.

        Args:
            destination: its name.
            owner: who claims; a name that nobody else has.
            now: the time of day.
            until: when the lease runs out unless it is extended.
            limit: the most deliveries.
            longest: for which a delivery is ever put off (`storage.due`).
        """
        table = schema.delivery
        first = (
            select(table.c.identifier)
            .where(_is_due(destination, now, longest))
            .order_by(*_ORDER)
            .limit(limit)
            # PostgreSQL: two who claim at the same time take different rows instead of waiting for one another, and
            # these are theirs until the transaction ends; SQLite's transaction holds the write lock.
            .with_for_update(skip_locked=True)
            .cte("first")
        )
        claim = (
            update(table)
            .where(table.c.identifier.in_(select(first.c.identifier)))
            .values(state=DeliveryState.CLAIMED, owner=owner, leased_until=until)
            .returning(table.c.identifier)
        )
        with database.writing(self._engine).begin() as connection:
            claimed = connection.scalars(claim).all()
            rows = connection.execute(with_results().where(table.c.identifier.in_(claimed)).order_by(*_ORDER))
            return tuple(delivery_record(row) for row in rows)

    def extend(self, destination: str, owner: str, until: datetime) -> int:
        """Extend the leases that an owner has at a destination; returns how many they are."""
        table = schema.delivery
        with database.writing(self._engine).begin() as connection:
            extended = connection.execute(
                update(table)
                .where(
                    table.c.destination == destination,
                    table.c.state == DeliveryState.CLAIMED,
                    table.c.owner == owner,
                )
                .values(leased_until=until)
            )
        return int(extended.rowcount)

    def release(self, identifiers: Collection[int], owner: str, next_attempt_at: datetime, reason: str | None) -> None:
        """Give claimed deliveries back that were not tried, for a reason that is not theirs: it costs no attempt.

        Without a reason that of the last attempt stays. Leaves alone what the owner has not claimed any more.
        """
        values: dict[str, object] = {"next_attempt_at": next_attempt_at}
        if reason is not None:
            values["reason"] = reason
        if identifiers:
            self._end_claim(identifiers, owner, DeliveryState.QUEUED, values)

    def take_back(self, owner: str, now: datetime) -> int:
        """What an owner that is gone had claimed is due at once, at every destination; returns how many."""
        table = schema.delivery
        claimed = (table.c.state == DeliveryState.CLAIMED, table.c.owner == owner)
        with database.writing(self._engine).begin() as connection:
            taken = connection.execute(
                update(table).where(*claimed).values(state=DeliveryState.QUEUED, next_attempt_at=now, **NOBODYS)
            )
        return int(taken.rowcount)

    def stored(self, reasons: Mapping[int, str], now: datetime, commit_at: datetime | None = None) -> frozenset[int]:
        """The destination has these (status 0000 or Bxxx); by identifier, a reason holds its warning, if any.

        That is so whoever has claimed them meanwhile. What was stopped while it was under way becomes REVOKED and keeps
        the reason of that. `commit_at` is when the destination is to be asked to commit them, if it is.

        Returns:
            those that are now STORED; the others were stopped, or had ended.
        """
        kept: list[int] = []
        with database.writing(self._engine).begin() as connection:
            for reason in dict.fromkeys(reasons.values()):
                alike = [identifier for identifier, its in reasons.items() if its == reason]
                values = {"deliveries": alike, "why": reason, "now": now, "commit_at": commit_at}
                rows = connection.execute(_STORED, values)
                kept += [row.identifier for row in rows if row.state == DeliveryState.STORED]
        return frozenset(kept)

    def postpone(self, identifier: int, owner: str, reason: str, next_attempt_at: datetime) -> bool:
        """A transient failure: again at `next_attempt_at`. False when the owner has not claimed it any more."""
        values = {"reason": reason, "next_attempt_at": next_attempt_at, **_ONE_MORE}
        return self._end_claim([identifier], owner, DeliveryState.QUEUED, values)

    def fail(self, identifier: int, owner: str, reason: str) -> bool:
        """A permanent failure: it waits for a person. False when the owner has not claimed it any more."""
        return self._end_claim([identifier], owner, DeliveryState.FAILED, {"reason": reason, **_ONE_MORE})

    def is_claimed(self, identifier: int, owner: str) -> bool:
        """Whether it is still to be sent by this owner."""
        with self._engine.connect() as connection:
            row = connection.execute(_CLAIM, {"delivery": identifier}).one()
        return (row.state, row.owner) == (DeliveryState.CLAIMED, owner)

    def order(self, identifiers: Collection[int], states: Collection[DeliveryState], now: datetime) -> int:
        """A person orders deliveries again, with a fresh count; how many of them were in one of the states."""
        table = schema.delivery
        with database.writing(self._engine).begin() as connection:
            moved = connection.execute(
                update(table)
                .where(table.c.identifier.in_(identifiers), table.c.state.in_(sorted(states)))
                .values(
                    state=DeliveryState.QUEUED,
                    attempts=0,
                    commit_failed=0,
                    next_attempt_at=now,
                    reason=case((table.c.state == DeliveryState.REVOKED, ""), else_=table.c.reason),
                )
            )
        return int(moved.rowcount)

    def add(self, study_uid: str, revision: int, destination: str, objects: Collection[str], now: datetime) -> int:
        """A person orders results of a revision for a destination that has no delivery of them; how many.

        `objects` are SOP Instance UIDs, all results where empty. What was stopped or revoked anywhere is left out.
        """
        table, results = schema.delivery, schema.results
        of_object = table.c.sop_instance_uid == results.c.sop_instance_uid
        known = exists().where(of_object, or_(table.c.destination == destination, table.c.state.in_(TAKEN_BACK)))
        wanted = (
            select(
                results.c.identifier,
                results.c.sop_instance_uid,
                literal(destination),
                literal(DeliveryState.QUEUED.value),
                literal(0),
                literal(now, schema.UTCDateTime()),
                literal(""),
            )
            .where(results.c.study_instance_uid == study_uid, results.c.revision == revision, not_(known))
            .order_by(results.c.identifier)
        )
        meant = results.c.sop_instance_uid.in_(objects) if objects else results.c.role != REJECTION_NOTE
        wanted = wanted.where(meant)
        columns = ("result", "sop_instance_uid", "destination", "state", "attempts", "next_attempt_at", "reason")
        statement = insert(table).from_select(columns, wanted)
        return database.transact(self._engine, lambda connection: int(connection.execute(statement).rowcount))

    def _end_claim(
        self, identifiers: Collection[int], owner: str, to: DeliveryState, values: Mapping[str, object]
    ) -> bool:
        table = schema.delivery
        with database.writing(self._engine).begin() as connection:
            moved = connection.execute(
                update(table)
                .where(
                    table.c.identifier.in_(identifiers),
                    table.c.state == DeliveryState.CLAIMED,
                    table.c.owner == owner,
                )
                .values(state=to, **values, **NOBODYS)
            )
        return bool(moved.rowcount)

    def _fetch(self, query: Select[tuple[object, ...]]) -> tuple[DeliveryRecord, ...]:
        with self._engine.connect() as connection:
            return tuple(delivery_record(row) for row in connection.execute(query))


def _due(destination: str, now: datetime, longest: timedelta | None) -> list[tuple[ColumnElement[bool], ...]]:
    """The kinds of what is due: QUEUED whose time has come, and CLAIMED whose lease has run out.

    Each in conditions that one range of an index fulfils. What was never tried is put off by nothing.
    """
    table = schema.delivery
    waits = (table.c.destination == destination, table.c.state == DeliveryState.QUEUED)
    claimed = (table.c.destination == destination, table.c.state == DeliveryState.CLAIMED)
    kinds: list[tuple[ColumnElement[bool], ...]] = [
        (*waits, table.c.next_attempt_at <= now),
        (*claimed, table.c.leased_until <= now),
    ]
    if longest is not None:
        never_tried = (table.c.attempts == 0, table.c.reason == "", table.c.next_attempt_at > now + due.TOLERANCE)
        beyond = now + longest + due.TOLERANCE
        kinds.append((*waits, *never_tried))
        kinds += [(*waits, table.c.next_attempt_at > beyond), (*claimed, table.c.leased_until > beyond)]
    return kinds


def _is_due(destination: str, now: datetime, longest: timedelta | None = None) -> ColumnElement[bool]:
    kinds = (and_(*each) for each in _due(destination, now, longest))
    # Of the index of what is open: by it the first ones are found without a look at all others.
    return and_(schema.delivery.c.destination == destination, schema.IS_OPEN, or_(*kinds))
