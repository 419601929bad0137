"""Tables of index and ledger, and the engine that opens them (SQLite or PostgreSQL).

Writers begin with ``writing(engine)``: on SQLite such a transaction takes the write lock at once, so that two
writers wait for one another instead of failing when the second one wants to upgrade its snapshot.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Engine,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    create_engine,
    event,
    text,
)
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.schema import CreateIndex

from storage.errors import StorageError

LOCK_WAIT_S = 30
_ATTEMPTS = 10
_T = TypeVar("_T")
_SCHEMA_LOCK = 0x52454354  # any number, the same in every process: PostgreSQL advisory lock while tables are made


class UTCDateTime(TypeDecorator[datetime]):
    """Timezone-aware UTC in and out; SQLite, which has no time zones, holds naive UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without time zone cannot be stored")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData()
_UID = String(64)
_IDENTIFIER = BigInteger().with_variant(Integer, "sqlite")


def _file_columns() -> tuple[Column[Any], ...]:
    return (
        Column("path", Text, nullable=False),
        Column("digest", String(64), nullable=False),
        Column("size", BigInteger, nullable=False),
    )


study = Table(
    "study",
    metadata,
    Column("study_instance_uid", _UID, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("series_count", Integer, nullable=False),
    Column("instance_count", Integer, nullable=False),
    Column("first_received_at", UTCDateTime, nullable=False),
    Column("last_received_at", UTCDateTime, nullable=False),
    Column("changed", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Index("study_by_state", "state", "last_received_at"),
)

instance = Table(
    "instance",
    metadata,
    Column("identifier", _IDENTIFIER, primary_key=True),
    Column("study_instance_uid", ForeignKey(study.c.study_instance_uid), nullable=False),
    Column("series_instance_uid", _UID, nullable=False),
    Column("sop_class_uid", _UID, nullable=False),
    Column("sop_instance_uid", _UID, nullable=False),
    Column("transfer_syntax_uid", _UID, nullable=False),
    Column("revision", Integer, nullable=False),
    *_file_columns(),
    Column("calling_ae", String(16), nullable=False),
    Column("received_at", UTCDateTime, nullable=False),
    # An instance that comes in under another study as well (a corrected study UID) belongs to both. `revision` counts
    # what arrived under a SOP Instance UID in any series of the study.
    UniqueConstraint("study_instance_uid", "sop_instance_uid", "revision"),
    Index("instance_by_series", "study_instance_uid", "series_instance_uid"),
    Index("instance_by_uid", "sop_instance_uid"),
)

association = Table(
    "association",
    metadata,
    Column("identifier", String(32), primary_key=True),
    Column("study_instance_uid", _UID, primary_key=True),
    Column("open_until", UTCDateTime, nullable=False),
    Index("association_by_study", "study_instance_uid", "open_until"),
)

verdict = Table(
    "verdict",
    metadata,
    Column("study_instance_uid", ForeignKey(study.c.study_instance_uid), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("document", Text, nullable=False),
)

meant_patient = Table(
    "meant_patient",
    metadata,
    Column("study_instance_uid", ForeignKey(study.c.study_instance_uid), primary_key=True),
    Column("identifier", String(64), nullable=False),
    Column("issuer", String(64), nullable=False),
    Column("born", String(64), nullable=False),
    Column("said_at", UTCDateTime, nullable=False),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("identifier", _IDENTIFIER, primary_key=True),
    *_file_columns(),
    Column("reason", Text, nullable=False),
    Column("calling_ae", String(16), nullable=False),
    Column("received_at", UTCDateTime, nullable=False),
    UniqueConstraint("path", "calling_ae", "reason"),
)

result = Table(
    "result",
    metadata,
    Column("identifier", _IDENTIFIER, primary_key=True),
    Column("study_instance_uid", _UID, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("role", String(64), nullable=False),
    Column("sop_class_uid", _UID, nullable=False),
    Column("sop_instance_uid", _UID, nullable=False),
    Column("series_instance_uid", _UID, nullable=False),
    *_file_columns(),
    UniqueConstraint("study_instance_uid", "revision", "sop_instance_uid"),
    Index("result_by_instance", "sop_instance_uid"),
    Index("result_by_series", "series_instance_uid"),
)

# Results that came back under other UIDs than they were sent under; they belong to no study.
returned = Table(
    "returned",
    metadata,
    Column("identifier", _IDENTIFIER, primary_key=True),
    Column("study_instance_uid", _UID, nullable=False),
    Column("series_instance_uid", _UID, nullable=False),
    Column("sop_class_uid", _UID, nullable=False),
    Column("sop_instance_uid", _UID, nullable=False),
    Column("transfer_syntax_uid", _UID, nullable=False),
    *_file_columns(),
    Column("calling_ae", String(16), nullable=False),
    Column("received_at", UTCDateTime, nullable=False),
    UniqueConstraint("path"),
    Index("returned_by_series", "series_instance_uid"),
    Index("returned_by_instance", "sop_instance_uid"),
    Index("returned_by_study", "study_instance_uid"),
)

rejection = Table(
    "rejection",
    metadata,
    Column("identifier", _IDENTIFIER, primary_key=True),
    # Of the object that is rejected; no foreign key, since a note may come before what it rejects.
    Column("study_instance_uid", _UID, nullable=False),
    Column("series_instance_uid", _UID, nullable=False),
    Column("sop_instance_uid", _UID, nullable=False),
    Column("title", String(16), nullable=False),
    Column("note_sop_instance_uid", _UID, nullable=False),
    Column("received_at", UTCDateTime, nullable=False),
    UniqueConstraint("study_instance_uid", "series_instance_uid", "sop_instance_uid"),
)

delivery = Table(
    "delivery",
    metadata,
    Column("identifier", _IDENTIFIER, primary_key=True),
    Column("result", ForeignKey(result.c.identifier), nullable=False),
    Column("sop_instance_uid", _UID, nullable=False),
    Column("destination", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", UTCDateTime, nullable=False),
    Column("reason", Text, nullable=False),
    # One delivery for an object and a destination, whatever number of revisions made the same object.
    UniqueConstraint("sop_instance_uid", "destination"),
    Index("delivery_due", "destination", "state", "next_attempt_at"),
    Index("delivery_by_result", "result"),
)


def open_engine(url: str) -> Engine:
    """Open the database of `url` (SQLAlchemy form) and create the tables and indexes that are missing.

    SQLite: write-ahead log with ``synchronous=FULL``, so that a committed row survives a power cut.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    # Its errors must not show parameters: among them are names.
    engine = create_engine(parsed, pool_size=8, max_overflow=56, pool_timeout=LOCK_WAIT_S, hide_parameters=True)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    with writing(engine).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})
        metadata.create_all(connection)
        # `create_all` leaves tables that are there as they are, also where an index has come since.
        for index in (index for table in metadata.sorted_tables for index in table.indexes):
            connection.execute(CreateIndex(index, if_not_exists=True))
    return engine


def writing(engine: Engine) -> Engine:
    """The same engine for transactions that write."""
    return engine.execution_options(rectal_node_writes=True)


def transact(engine: Engine, work: Callable[[Connection], _T]) -> _T:
    """Run `work` in a writing transaction; again from its beginning when another writer inserted the same row.

    Raises:
        StorageError: that happened again and again, or the row can never be inserted.
    """
    for _ in range(_ATTEMPTS):
        try:
            with writing(engine).begin() as connection:
                return work(connection)
        except IntegrityError as error:
            conflict = error
    raise StorageError(f"a row was refused {_ATTEMPTS} times: {conflict.orig}") from conflict


def _configure_sqlite(connection: Any, _record: ConnectionPoolEntry) -> None:  # noqa: ANN401 (a DBAPI connection)
    connection.isolation_level = None  # the driver must not begin transactions by itself
    for pragma in (
        f"busy_timeout={LOCK_WAIT_S * 1000}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("rectal_node_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
