"""The engine of the storage's database (SQLite or PostgreSQL), at the schema of this release, and its transactions.

Writers begin with ``writing(engine)``: on SQLite such a transaction takes the write lock at once, so that two
writers wait for one another instead of failing when the second one wants to upgrade its snapshot.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import ConnectionPoolEntry

from storage import migrations
from storage.errors import StorageError

LOCK_WAIT_S = 30
_ATTEMPTS = 10
_T = TypeVar("_T")


def open_engine(url: str) -> Engine:
    """Open the database of `url` (SQLAlchemy form); an empty one gets its tables, an older one is migrated.

    SQLite: write-ahead log with ``synchronous=FULL``, so that a committed row survives a power cut. Before a
    migration the SQLite database is copied beside itself.

    Raises:
        SchemaError: a newer release wrote the database.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    # Its errors must not show parameters: among them are names.
    engine = create_engine(parsed, pool_size=8, max_overflow=56, pool_timeout=LOCK_WAIT_S, hide_parameters=True)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    with engine.connect() as connection:
        current = migrations.is_current(connection)
    if not current:
        migrations.migrate(writing(engine))
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
