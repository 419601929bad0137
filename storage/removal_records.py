"""Removals as they stay on record: what was removed of which study, when, by which rule; no patient is named."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, Row, select

from storage.removal_schema import removal


class Scope(StrEnum):
    """What is removed; IMAGES: what came from outside, while the results of the study and its record stay."""

    STUDY = "STUDY"
    IMAGES = "IMAGES"
    QUARANTINE = "QUARANTINE"


@dataclass(frozen=True, slots=True)
class Removal:
    """What was removed, as it stays on record; `ended_at` is None while files of it are left."""

    identifier: int
    study_instance_uid: str
    scope: Scope
    rule: str
    last_revision: int
    objects: int
    size: int
    begun_at: datetime
    ended_at: datetime | None = None
    erasure: int | None = None


def unfinished(connection: Connection) -> tuple[Removal, ...]:
    """Removals of which files are left, the first that was begun first."""
    query = select(removal).where(removal.c.ended_at.is_(None)).order_by(removal.c.identifier)
    return tuple(map(removal_of, connection.execute(query)))


def last_of(connection: Connection, study_uids: Collection[str]) -> dict[str, Removal]:
    """The last removal of each of these studies that anything was removed of."""
    query = select(removal).where(removal.c.study_instance_uid.in_(study_uids)).order_by(removal.c.identifier)
    return {row.study_instance_uid: removal_of(row) for row in connection.execute(query)}


def latest(connection: Connection, limit: int) -> tuple[Removal, ...]:
    """The latest removals, the last that was begun first."""
    query = select(removal).order_by(removal.c.identifier.desc()).limit(limit)
    return tuple(map(removal_of, connection.execute(query)))


def removal_of(row: Row[tuple[object, ...]]) -> Removal:
    """The removal in a row of its table."""
    return Removal(
        identifier=row.identifier,
        study_instance_uid=row.study_instance_uid,
        scope=Scope(row.scope),
        rule=row.rule,
        last_revision=row.last_revision,
        objects=row.objects,
        size=row.size,
        begun_at=row.begun_at,
        ended_at=row.ended_at,
        erasure=row.erasure,
    )
