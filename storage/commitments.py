"""Storage commitment that destinations are asked for (PS3.4 Annex J): what was asked, and what they have reported.

A transaction is written, with the deliveries that it names, before the destination is asked. Its report may come to any
process, late, twice, or never. It moves no delivery but those of the transaction that are STORED, and were when it was
asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    Select,
    case,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from storage import database, due
from storage.records import CommitmentState, DeliveryState, Reference
from storage.schema import IS_UNCOMMITTED, UTCDateTime, commitment, commitment_delivery, delivery, results

#: Failure Reason (0008,1197), PS3.3 C.14.1.1.
FAILURES = {
    0x0110: "processing failure",
    0x0112: "no such object instance",
    0x0119: "class and instance conflict",
    0x0122: "SOP class not supported",
    0x0131: "duplicate Transaction UID",
    0x0213: "resource limitation",
}
#: Reasons of what no repetition mends: class and instance conflict, SOP class not supported.
_BEYOND_REPAIR = frozenset({0x0119, 0x0122})
#: Transaction UID in use: it says nothing of the object.
_DUPLICATE_TRANSACTION = 0x0131


@dataclass(frozen=True, slots=True)
class Transaction:
    """One request for commitment; `references` are objects of one study."""

    identifier: int
    transaction_uid: str
    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class CommitmentReport:
    """The report of a destination (N-EVENT-REPORT): what it has committed, and of the others the reason by status."""

    transaction_uid: str
    committed: frozenset[Reference] = frozenset()
    failed: Mapping[Reference, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Patience:
    """The limits of asking a destination.

    Attributes:
        waits: after each time that it is asked, before it is asked again; it is asked as often as there are.
        resends: before each time that an object is sent again which it says it has not; then it is given up.
        first: from the storing of an object until it is asked for; None: not known.
    """

    waits: tuple[timedelta, ...]
    resends: tuple[timedelta, ...]
    first: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """What a report has moved: numbers of deliveries, and what was wrong with it in words, empty where nothing was."""

    committed: int
    again: int
    failed: int
    fault: str


@dataclass(frozen=True, slots=True)
class Uncommitted:
    """What a destination has stored, was to commit, and has not.

    `count` objects, the first of them stored at `since`; `given_up` of them are not asked for any more. `state` and
    `reason` are those of the latest transaction, which was asked for at `asked_at`; None where none was.
    """

    destination: str
    count: int
    given_up: int
    since: datetime
    state: CommitmentState | None = None
    asked_at: datetime | None = None
    reason: str = ""


class Commitments:
    """What the destinations of one database are asked to commit; safe for use by several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def is_due(self, destination: str, now: datetime, patience: Patience) -> bool:
        """Whether `ask` would find anything."""
        found = select(delivery.c.identifier).where(_is_due(destination, now, patience))
        with self._engine.connect() as connection:
            return bool(connection.scalar(select(found.exists())))

    def ask(self, destination: str, now: datetime, patience: Patience, limit: int) -> tuple[Transaction, ...]:
        """Begin a transaction for each study of which something is due, of at most `limit` objects in all."""
        foremost = (
            select(delivery.c.identifier)
            .where(_is_due(destination, now, patience))
            .order_by(delivery.c.commit_asked, delivery.c.commit_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        with database.writing(self._engine).begin() as connection:
            asked = connection.scalars(foremost).all()
            if not asked:
                return ()
            again = [
                (delivery.c.commit_asked == number, literal(now + wait, UTCDateTime()))
                for number, wait in enumerate(patience.waits)
            ]
            one_more = {"commit_at": case(*again), "commit_asked": delivery.c.commit_asked + 1}
            connection.execute(update(delivery).where(delivery.c.identifier.in_(asked)).values(one_more))
            of_study: dict[str, list[Row[tuple[object, ...]]]] = {}
            for row in connection.execute(_objects().where(delivery.c.identifier.in_(asked))):
                of_study.setdefault(row.study_instance_uid, []).append(row)
            return tuple(_begin(connection, destination, now, rows) for rows in of_study.values())

    def accepted(self, transaction: Transaction) -> None:
        """The destination will report; it may have already."""
        self._end(transaction, CommitmentState.ACCEPTED, "")

    def refused(self, transaction: Transaction, reason: str) -> None:
        """The destination has refused the request; it is asked again when its time has come."""
        self._end(transaction, CommitmentState.REFUSED, reason)

    def unanswered(self, transaction: Transaction, reason: str) -> None:
        """Nobody knows whether the request was taken: it is asked again when its time has come."""
        self._end(transaction, CommitmentState.ASKED, reason)

    def unsupported(self, transaction: Transaction, reason: str, patience: Patience) -> None:
        """The destination takes no such request: these objects are not asked for any more."""
        with database.writing(self._engine).begin() as connection:
            _set_state(connection, transaction, CommitmentState.UNSUPPORTED, reason)
            of_transaction = delivery.c.identifier.in_(_deliveries_of(transaction.identifier))
            connection.execute(update(delivery).where(of_transaction).values(commit_asked=len(patience.waits)))

    def forget(self, transactions: Collection[Transaction], again_at: datetime) -> None:
        """These requests were not sent, which does not count; they are asked for at `again_at`."""
        identifiers = [transaction.identifier for transaction in transactions]
        items = commitment_delivery.c.commitment.in_(identifiers)
        mine = delivery.c.identifier.in_(select(commitment_delivery.c.delivery).where(items))
        before = {"commit_asked": delivery.c.commit_asked - 1, "commit_at": again_at}
        with database.writing(self._engine).begin() as connection:
            connection.execute(update(delivery).where(mine, IS_UNCOMMITTED).values(before))
            connection.execute(delete(commitment_delivery).where(items))
            connection.execute(delete(commitment).where(commitment.c.identifier.in_(identifiers)))

    def outstanding(self, transactions: Collection[Transaction]) -> int:
        """How many of these have been accepted and not reported."""
        identifiers = [transaction.identifier for transaction in transactions]
        waiting = commitment.c.identifier.in_(identifiers), commitment.c.state == CommitmentState.ACCEPTED
        with self._engine.connect() as connection:
            return int(connection.execute(select(func.count()).where(*waiting)).scalar_one())

    def destination_of(self, transaction_uid: str) -> str | None:
        """The destination that was asked in a transaction; None where there is none."""
        with self._engine.connect() as connection:
            asked = select(commitment.c.destination).where(commitment.c.transaction_uid == transaction_uid)
            return connection.scalar(asked)

    def settle(self, report: CommitmentReport, now: datetime, patience: Patience) -> Settled:
        """Move the deliveries of a transaction as its report says.

        What it names as committed and as failed is taken as failed; what it does not name stays as it is, and is asked
        for again.

        Raises:
            LookupError: there is no such transaction.
        """
        with database.writing(self._engine).begin() as connection:
            row = connection.execute(
                select(commitment).where(commitment.c.transaction_uid == report.transaction_uid).with_for_update()
            ).one_or_none()
            if row is None:
                raise LookupError(report.transaction_uid)
            named = _objects().where(delivery.c.identifier.in_(_deliveries_of(row.identifier)))
            return _settle(connection, row, connection.execute(named).all(), report, now, patience)

    def _end(self, transaction: Transaction, state: CommitmentState, reason: str) -> None:
        with database.writing(self._engine).begin() as connection:
            _set_state(connection, transaction, state, reason)


def uncommitted(connection: Connection, most_asked: Mapping[str, int]) -> tuple[Uncommitted, ...]:
    """What destinations have not committed; `most_asked` says which, and how often each is asked."""
    if not most_asked:
        return ()
    given_up = or_(
        *((delivery.c.destination == name) & (delivery.c.commit_asked >= most) for name, most in most_asked.items())
    )
    found = connection.execute(
        select(
            delivery.c.destination,
            func.count(),
            func.sum(case((given_up, 1), else_=0)).label("given_up"),
            func.min(delivery.c.next_attempt_at).label("since"),
        )
        .where(IS_UNCOMMITTED, delivery.c.destination.in_(sorted(most_asked)))
        .group_by(delivery.c.destination)
        .order_by(delivery.c.destination)
    ).all()
    newest = select(func.max(commitment.c.identifier)).group_by(commitment.c.destination)
    rows = connection.execute(select(commitment).where(commitment.c.identifier.in_(newest)))
    latest = {row.destination: row for row in rows}
    lines = []
    for row in found:
        line = Uncommitted(row.destination, row[1], row.given_up, row.since)
        if (asked := latest.get(row.destination)) is not None:
            line = replace(line, state=CommitmentState(asked.state), asked_at=asked.asked_at, reason=asked.reason)
        lines.append(line)
    return tuple(lines)


def _is_due(destination: str, now: datetime, patience: Patience) -> ColumnElement[bool]:
    come = delivery.c.commit_at <= now
    if patience.first is not None:
        waits = enumerate((patience.first, *patience.waits))
        beyond = [
            (delivery.c.commit_asked == number, literal(now + wait + due.TOLERANCE, UTCDateTime()))
            for number, wait in waits
        ]
        come |= delivery.c.commit_at > case(*beyond)  # of a clock that was set back since (`storage.due`)
    return (
        IS_UNCOMMITTED
        & (delivery.c.destination == destination)
        & (delivery.c.commit_asked < len(patience.waits))
        & come
    )


def _objects() -> Select[tuple[object, ...]]:
    """Deliveries with what a reference names of their objects."""
    named = (results.c[name] for name in ("study_instance_uid", "sop_class_uid", "sop_instance_uid"))
    columns = (delivery.c.identifier, delivery.c.commit_failed, *named)
    return select(*columns).join(results, delivery.c.result == results.c.identifier).order_by(delivery.c.identifier)


def _deliveries_of(identifier: int) -> Select[tuple[int]]:
    return select(commitment_delivery.c.delivery).where(commitment_delivery.c.commitment == identifier)


def _reference(row: Row[tuple[object, ...]]) -> Reference:
    return Reference(row.sop_class_uid, row.sop_instance_uid)


def _begin(
    connection: Connection, destination: str, now: datetime, rows: Sequence[Row[tuple[object, ...]]]
) -> Transaction:
    """Write a transaction; its UID is made from a UUID (PS3.5 B.2)."""
    uid = f"2.25.{uuid4().int}"
    values = {"transaction_uid": uid, "destination": destination, "asked_at": now, "reason": ""}
    added = connection.execute(insert(commitment).values(state=CommitmentState.ASKED, **values))
    assert added.inserted_primary_key is not None
    identifier = int(added.inserted_primary_key[0])
    connection.execute(
        insert(commitment_delivery), [{"commitment": identifier, "delivery": row.identifier} for row in rows]
    )
    return Transaction(identifier, uid, tuple(_reference(row) for row in rows))


def _set_state(connection: Connection, transaction: Transaction, state: CommitmentState, reason: str) -> None:
    """Note what came of the request, unless the report has come before."""
    open_one = commitment.c.identifier == transaction.identifier, commitment.c.state != CommitmentState.REPORTED
    connection.execute(update(commitment).where(*open_one).values(state=state, reason=reason))


def _settle(
    connection: Connection,
    asked: Row[tuple[object, ...]],
    rows: Sequence[Row[tuple[object, ...]]],
    report: CommitmentReport,
    now: datetime,
    patience: Patience,
) -> Settled:
    failed = {reference.sop_instance_uid: status for reference, status in report.failed.items()}
    by_uid = {reference.sop_instance_uid for reference in report.committed}
    moves: dict[tuple[DeliveryState, str, datetime], list[int]] = {}
    committed: list[int] = []
    for row in rows:
        status = failed.get(row.sop_instance_uid)
        if status is None and _reference(row) in report.committed:
            committed.append(row.identifier)
        elif status is not None and status != _DUPLICATE_TRANSACTION:
            contradiction = row.sop_instance_uid in by_uid
            move = _after_failure(row.commit_failed, status, contradiction, now, patience)
            moves.setdefault(move, []).append(row.identifier)
    still_so = delivery.c.state == DeliveryState.STORED, delivery.c.next_attempt_at <= asked.asked_at
    counts = Counter({DeliveryState.COMMITTED: 0})
    if committed:
        these = delivery.c.identifier.in_(committed)
        held = {"state": DeliveryState.COMMITTED, "commit_at": now}
        counts[DeliveryState.COMMITTED] = connection.execute(
            update(delivery).where(these, *still_so).values(held)
        ).rowcount
    for (state, reason, at), identifiers in moves.items():
        values = {"state": state, "reason": reason, "next_attempt_at": at, "attempts": 0}
        counts[state] += connection.execute(
            update(delivery)
            .where(delivery.c.identifier.in_(identifiers), *still_so)
            .values(commit_failed=delivery.c.commit_failed + 1, **values)
        ).rowcount
    fault = _fault(rows, report)
    end = {"state": CommitmentState.REPORTED, "reason": fault}
    connection.execute(update(commitment).where(commitment.c.identifier == asked.identifier).values(end))
    return Settled(counts[DeliveryState.COMMITTED], counts[DeliveryState.QUEUED], counts[DeliveryState.FAILED], fault)


def _after_failure(
    failures: int, status: int, contradiction: bool, now: datetime, patience: Patience
) -> tuple[DeliveryState, str, datetime]:
    """State, reason and time of the next attempt of an object that the destination has not committed."""
    words = FAILURES.get(status, "a reason that the standard does not name")
    reason = f"commitment failed: 0x{status:04X}, {words}"
    if contradiction:
        reason += "; the same report names it as committed"
    if status in _BEYOND_REPAIR:
        return DeliveryState.FAILED, reason, now
    if failures < len(patience.resends):
        return DeliveryState.QUEUED, reason, now + patience.resends[failures]
    return DeliveryState.FAILED, f"stored {failures + 1} times, and each time {reason}", now


def _fault(rows: Sequence[Row[tuple[object, ...]]], report: CommitmentReport) -> str:
    """What is wrong with a report, in words; empty where nothing is."""
    asked = {_reference(row) for row in rows}
    failed = {reference.sop_instance_uid for reference in report.failed}
    failed_as_asked = {reference for reference in asked if reference.sop_instance_uid in failed}
    instances = {reference.sop_instance_uid for reference in asked}
    counts = {
        "not named": len(asked - report.committed - failed_as_asked),
        "named as committed and not asked for": len(report.committed - asked),
        "named as failed and not asked for": len(failed - instances),
        "named as committed and as failed": len({it for it in report.committed if it.sop_instance_uid in failed}),
    }
    return "; ".join(f"{count} {_objects_word(count)} {what}" for what, count in counts.items() if count)


def _objects_word(count: int) -> str:
    return "object" if count == 1 else "objects"
