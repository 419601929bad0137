"""What readers say of the results of a study: a verdict and a comment; what was said is added to, never changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Engine, insert, select

from storage import database
from storage.page_schema import reading


class ReaderVerdict(StrEnum):
    """Whether a reader agrees with the results; a comment alone says neither."""

    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    COMMENT = "COMMENT"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader said of a revision."""

    study_instance_uid: str
    revision: int
    verdict: ReaderVerdict
    comment: str
    reader: str
    said_at: datetime


class Readings:
    """The readings of one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, said: Reading) -> None:
        """Keep what was said."""
        values = {name: getattr(said, name) for name in Reading.__dataclass_fields__}
        with database.writing(self._engine).begin() as connection:
            connection.execute(insert(reading).values(values))

    def of_study(self, study_uid: str) -> tuple[Reading, ...]:
        """What was said of a study, the latest first."""
        query = select(reading).where(reading.c.study_instance_uid == study_uid).order_by(reading.c.identifier.desc())
        with self._engine.connect() as connection:
            return tuple(
                Reading(
                    row.study_instance_uid,
                    row.revision,
                    ReaderVerdict(row.verdict),
                    row.comment,
                    row.reader,
                    row.said_at,
                )
                for row in connection.execute(query)
            )
