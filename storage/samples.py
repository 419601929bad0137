"""Disk and memory of the machine as they were, every few minutes of the last days."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, delete, insert, or_, select

from storage import database, due
from storage.monitoring_schema import machine_sample

KEPT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Sample:
    """A moment of the machine; bytes of the disk that the root lies on, and of memory."""

    taken_at: datetime
    disk_free: int
    disk_total: int
    memory_available: int
    memory_total: int


class Samples:
    """The samples of one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, sample: Sample) -> None:
        """Keep a sample; those that are older than a week, or were taken by a clock that was ahead, go."""
        at, now = machine_sample.c.taken_at, sample.taken_at
        with database.writing(self._engine).begin() as connection:
            gone = or_(at <= now - KEPT, at >= now + due.TOLERANCE, at == now)
            connection.execute(delete(machine_sample).where(gone))
            connection.execute(insert(machine_sample).values(asdict(sample)))


def samples(connection: Connection) -> tuple[Sample, ...]:
    """All that are kept, the first that was taken first; within a transaction of the caller."""
    rows = connection.execute(select(machine_sample).order_by(machine_sample.c.taken_at))
    return tuple(Sample(it.taken_at, it.disk_free, it.disk_total, it.memory_available, it.memory_total) for it in rows)
