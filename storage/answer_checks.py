"""What came of known-answer checks, and which answers a person has made references."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, Engine, Row, delete, insert, select, update

from storage import database
from storage.errors import StorageError
from storage.known_answer import of_check
from storage.known_answer_schema import answer_check
from storage.schema import study

_KEPT = 100
"""Checks that stay on record, beside those whose answer is a reference."""


class Outcome(StrEnum):
    """What came of a check.

    RUNNING: it has not ended, or its process died. PASSED: the answer is the known one. FAILED: it is another, or none
    came in its time. NO_REFERENCE: there is none for these bundles; a person can make this answer it.
    """

    RUNNING = "RUNNING"
    PASSED = "PASSED"
    FAILED = "FAILED"
    NO_REFERENCE = "NO_REFERENCE"


@dataclass(frozen=True, slots=True)
class AnswerCheck:
    """A check.

    Attributes:
        models: digest of the bundles that answered.
        answer: numbers by name; empty where none came.
        reason: why it has not passed.
        accepted_by: who has made the answer the reference for these bundles; empty: nobody.
    """

    identifier: int
    study_instance_uid: str
    models: str
    started_at: datetime
    ended_at: datetime | None
    outcome: Outcome
    answer: Mapping[str, float]
    reason: str
    accepted_by: str
    accepted_at: datetime | None


class AnswerChecks:
    """The checks of one database; safe for use by several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def begin(self, study_instance_uid: str, models: str, now: datetime) -> int:
        """Note that a check begins; those of long ago are forgotten. Returns its identifier."""
        empty = {"answer": "{}", "reason": "", "accepted_by": ""}
        row = {"study_instance_uid": study_instance_uid, "models": models, "started_at": now, **empty}
        with database.writing(self._engine).begin() as connection:
            added = connection.execute(insert(answer_check).values(outcome=Outcome.RUNNING, **row))
            assert added.inserted_primary_key is not None
            identifier = int(added.inserted_primary_key[0])
            old = answer_check.c.identifier <= identifier - _KEPT
            connection.execute(delete(answer_check).where(old, answer_check.c.accepted_at.is_(None)))
        return identifier

    def end(
        self, identifier: int, outcome: Outcome, answer: Mapping[str, float], reason: str, now: datetime
    ) -> AnswerCheck:
        """Note how a check has ended."""
        this = answer_check.c.identifier == identifier
        values = {"outcome": outcome, "answer": json.dumps(answer), "reason": reason, "ended_at": now}
        with database.writing(self._engine).begin() as connection:
            connection.execute(update(answer_check).where(this).values(values))
            return _record(connection.execute(select(answer_check).where(this)).one())

    def accept(self, models: str, by: str, now: datetime) -> AnswerCheck:
        """Make the latest answer of bundles their reference.

        Raises:
            StorageError: they have given none yet.
        """
        answered = answer_check.c.models == models, answer_check.c.answer != "{}"
        latest = select(answer_check).where(*answered).order_by(answer_check.c.identifier.desc()).limit(1)
        with database.writing(self._engine).begin() as connection:
            row = connection.execute(latest).one_or_none()
            if row is None:
                raise StorageError("these bundles have given no answer yet: `rectal-node check-answer` asks for one")
            this = answer_check.c.identifier == row.identifier
            connection.execute(update(answer_check).where(this).values(accepted_by=by[:64], accepted_at=now))
            return _record(connection.execute(select(answer_check).where(this)).one())

    def reference(self, models: str) -> Mapping[str, float] | None:
        """The answer that was made the reference for bundles last."""
        query = select(answer_check).where(answer_check.c.models == models, answer_check.c.accepted_at.is_not(None))
        # By the order of making, which no clock can change; a check is accepted soon after it.
        query = query.order_by(answer_check.c.identifier.desc()).limit(1)
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _record(row).answer

    def left(self) -> tuple[str, ...]:
        """Studies of checks that were not removed; the process of their check has died, or the analysis was late."""
        with self._engine.connect() as connection:
            query = select(study.c.study_instance_uid).where(of_check(study.c.study_instance_uid))
            return tuple(connection.scalars(query))


def latest(connection: Connection) -> AnswerCheck | None:
    """The latest check."""
    row = connection.execute(select(answer_check).order_by(answer_check.c.identifier.desc()).limit(1)).one_or_none()
    return None if row is None else _record(row)


def _record(row: Row[tuple[object, ...]]) -> AnswerCheck:
    return AnswerCheck(
        identifier=row.identifier,
        study_instance_uid=row.study_instance_uid,
        models=row.models,
        started_at=row.started_at,
        ended_at=row.ended_at,
        outcome=Outcome(row.outcome),
        answer=json.loads(row.answer),
        reason=row.reason,
        accepted_by=row.accepted_by,
        accepted_at=row.accepted_at,
    )
