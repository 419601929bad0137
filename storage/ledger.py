"""Results of the node, kept together with their deliveries.

The end of an analysis writes them with `conclude`. A stored row is never sent as other bytes: a result that a later
revision makes again under the same UID keeps the first file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine, insert, select

from storage import database, delivery_rows, objects, schema, studies
from storage.delivery_rows import result_record
from storage.records import ResultRecord, Revocation, StudyState

Gets = Callable[[str, ResultRecord], bool]
"""Whether the destination of a name gets a result."""

_AT_ONCE = 500
"""Results of one statement, which has a parameter for each."""


class Ledger:
    """Results of one database; safe for use by several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def record(self, results: Sequence[ResultRecord], destinations: Sequence[str], now: datetime) -> None:
        """Keep results and their deliveries (QUEUED, due now) in one transaction; again changes nothing."""
        database.transact(self._engine, lambda connection: _record(connection, results, destinations, now))

    def conclude(
        self,
        study_uid: str,
        revision: int,
        to: StudyState,
        reason: str,
        results: Sequence[ResultRecord],
        destinations: Sequence[str],
        now: datetime,
        revocation: Revocation | None = None,
        gets: Gets | None = None,
    ) -> bool:
        """End a study revision: its state, its results and their deliveries, in one transaction.

        A revocation stops the deliveries of the results that it names, and marks those that were made as such that a
        person has to take back; one that an earlier revocation named and this one does not is in order again.
        `gets` says whether a destination gets a result; without it each gets all.

        Returns:
            False when a newer revision has begun: nothing was kept, and nothing of this one will be sent.

        Raises:
            TransitionError: the revision cannot end in that state.
        """

        def end(connection: Connection) -> bool:
            if not studies.move(connection, study_uid, revision, to, reason):
                return False
            # In this order: what is made again is sent again, which one that is merely in order again is not.
            _record(connection, results, destinations, now, gets)
            if revocation is not None:
                delivery_rows.revoke(connection, study_uid, revocation)
            return True

        return database.transact(self._engine, end)

    def all_results(self, study_uid: str) -> tuple[ResultRecord, ...]:
        """The results of every revision, the earliest first, each in the order of recording."""
        table = schema.results
        query = (
            select(table).where(table.c.study_instance_uid == study_uid).order_by(table.c.revision, table.c.identifier)
        )
        with self._engine.connect() as connection:
            return tuple(result_record(row) for row in connection.execute(query))

    def latest_results(self, study_uid: str) -> tuple[ResultRecord, ...]:
        """The results of the latest revision that has any: those that are valid now, in the order of recording."""
        results = self.all_results(study_uid)
        latest = max((it.revision for it in results), default=0)
        return tuple(it for it in results if it.revision == latest)


def _record(
    connection: Connection,
    results: Sequence[ResultRecord],
    destinations: Sequence[str],
    now: datetime,
    gets: Gets | None = None,
) -> None:
    for begin in range(0, len(results), _AT_ONCE):
        part = results[begin : begin + _AT_ONCE]
        identifiers = keep_results(connection, part)
        due = {result.sop_instance_uid: number for result, number in zip(part, identifiers, strict=True)}
        wanted = {(to, it.sop_instance_uid) for it in part for to in destinations if gets is None or gets(to, it)}
        delivery_rows.enqueue(connection, due, destinations, now, wanted=wanted)


def keep_results(connection: Connection, results: Sequence[ResultRecord]) -> list[int]:
    """The identifiers of results of revisions, which are recorded where they are not yet."""
    made = objects.keep_made(connection, results)
    keys = [(result.study_instance_uid, result.revision, made[result.sop_instance_uid]) for result in results]
    known = _identifiers(connection, made)
    added = {
        key: {"study_instance_uid": key[0], "revision": key[1], "object": key[2], "role": result.role}
        for key, result in zip(keys, results, strict=True)
        if key not in known
    }
    if added:
        connection.execute(insert(schema.result), list(added.values()))
        known = _identifiers(connection, made)
    return [known[key] for key in keys]


def _identifiers(connection: Connection, made: Mapping[str, int]) -> dict[tuple[str, int, int], int]:
    table = schema.result
    rows = connection.execute(select(table).where(table.c.object.in_(made.values())))
    return {(row.study_instance_uid, row.revision, row.object): row.identifier for row in rows}
