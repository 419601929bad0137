"""What readers say of the results of a study: a verdict and a comment, or an outline of their own.

What was said is added to, never changed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, Engine, RowMapping, insert, select

from storage import database
from storage.page_schema import reader_outline, reading
from storage.records import ObjectOrigin, StoredFile
from storage.schema import dicom_object, stored_file


class ReaderVerdict(StrEnum):
    """Whether a reader agrees with the results; a comment alone says neither, an outline says it by what it is."""

    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    COMMENT = "COMMENT"
    OUTLINED = "OUTLINED"


@dataclass(frozen=True, slots=True)
class ReaderOutline:
    """A segmentation object of a reader, compared with that of the node on the grid of the images below it.

    Attributes:
        digest: of its data set, as in `StoredFile`.
        drawn_on: Series Instance UID of these images.
        volume_ml: of the outline.
        compared_with: SOP Instance UID of the result; empty where the node outlined nothing on this grid.
        own_ml: of that result.
        dice: 0 to 1; None where nothing could be compared.
    """

    series_instance_uid: str
    sop_instance_uid: str
    digest: str
    drawn_on: str
    volume_ml: float
    compared_with: str
    own_ml: float
    dice: float | None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader said of a revision."""

    study_instance_uid: str
    revision: int
    verdict: ReaderVerdict
    comment: str
    reader: str
    said_at: datetime
    outline: ReaderOutline | None = None


_OUTLINE = tuple(field.name for field in fields(ReaderOutline))


class Readings:
    """The readings of one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, said: Reading) -> None:
        """Keep what was said."""
        values = {field.name: getattr(said, field.name) for field in fields(Reading) if field.name != "outline"}
        with database.writing(self._engine).begin() as connection:
            number = connection.scalar(insert(reading).values(values).returning(reading.c.identifier))
            if said.outline is not None:
                drawn: Mapping[str, object] = {name: getattr(said.outline, name) for name in _OUTLINE}
                of = {"reading": number, "study_instance_uid": said.study_instance_uid}
                connection.execute(insert(reader_outline).values({**drawn, **of}))

    def of_study(self, study_uid: str) -> tuple[Reading, ...]:
        """What was said of a study, the latest first."""
        drawn = (reader_outline.c[name] for name in _OUTLINE)
        query = (
            select(reading, *drawn)
            .outerjoin(reader_outline, reader_outline.c.reading == reading.c.identifier)
            .where(reading.c.study_instance_uid == study_uid)
            .order_by(reading.c.identifier.desc())
        )
        with self._engine.connect() as connection:
            return tuple(map(_reading, connection.execute(query).mappings()))


def segmentations(
    connection: Connection, study_uid: str, sop_classes: Collection[str]
) -> tuple[tuple[str, StoredFile, str, datetime], ...]:
    """Objects of these classes that came for a study, the latest first: SOP Instance UID, file, sender, when."""
    table = dicom_object
    query = (
        select(table)
        .where(table.c.study_instance_uid == study_uid, table.c.sop_class_uid.in_(sop_classes))
        .where(table.c.origin != ObjectOrigin.MADE)
        .order_by(table.c.identifier.desc())
    )
    return tuple(
        (row.sop_instance_uid, stored_file(row), row.calling_ae, row.received_at) for row in connection.execute(query)
    )


def _reading(row: RowMapping) -> Reading:
    drawn = row[reader_outline.c.sop_instance_uid] is not None
    return Reading(
        row[reading.c.study_instance_uid],
        row[reading.c.revision],
        ReaderVerdict(row[reading.c.verdict]),
        row[reading.c.comment],
        row[reading.c.reader],
        row[reading.c.said_at],
        ReaderOutline(**{name: row[reader_outline.c[name]] for name in _OUTLINE}) if drawn else None,
    )
