"""Which step of an analysis is under way, so that one which ends its process is known by what it leaves.

A row is there from the beginning of a step to its end, whatever the end; the end of the process in between leaves it.
The rows of an earlier boot say nothing: the machine may have been switched off.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Engine, delete, func, insert, select

from storage import database
from storage.schema import step_attempt as table


class StepAttempts:
    """The attempts of one database; safe for use by several threads and processes.

    Args:
        engine: of the database.
        boot: what tells this boot of the machine from every other; empty where nothing does.
    """

    def __init__(self, engine: Engine, boot: str) -> None:
        self._engine, self._boot = engine, boot

    def left(self, study_uid: str, revision: int, step: str) -> int:
        """How many attempts of a step, of which none is under way, did not end in order."""
        where = (table.c.study_instance_uid == study_uid, table.c.revision == revision, table.c.step == step)
        query = select(func.count()).select_from(table).where(*where, table.c.boot == self._boot)
        with self._engine.connect() as connection:
            return int(connection.scalar(query) or 0)

    def begin(self, study_uid: str, revision: int, step: str, now: datetime) -> int:
        """Note that a step begins; the number of this attempt."""
        values = {"study_instance_uid": study_uid, "revision": revision, "step": step, "begun_at": now}
        begun = insert(table).values(boot=self._boot, **values).returning(table.c.identifier)
        with database.writing(self._engine).begin() as connection:
            return int(connection.scalars(begun).one())

    def end(self, number: int) -> None:
        """Note that an attempt has ended, and its process has not; again changes nothing."""
        with database.writing(self._engine).begin() as connection:
            connection.execute(delete(table).where(table.c.identifier == number))

    def forget(self, study_uid: str, revision: int) -> None:
        """Of a revision that is over, and those before it, nothing is counted any more."""
        over = table.c.study_instance_uid == study_uid, table.c.revision <= revision
        with database.writing(self._engine).begin() as connection:
            connection.execute(delete(table).where(*over))
