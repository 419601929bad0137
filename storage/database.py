"""The engine of the storage's database (SQLite or PostgreSQL), at the schema of this release, and its transactions.

Writers begin with ``writing(engine)``: on SQLite such a transaction takes the write lock at once, so that two
writers wait for one another instead of failing when the second one wants to upgrade its snapshot.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import ConnectionPoolEntry

from storage import migrations
from storage.database_faults import told, told_of_disk
from storage.errors import DatabaseError, StorageError

LOCK_WAIT_S = 30
_LOOK_S = 0.02  # while SQLite is busy
_LAST_WAIT_S = 2  # at a stop, for those who read
_CHECKED_AT_START = 64 * 2**20  # bytes; about 0.2 s
_ATTEMPTS = 10
_T = TypeVar("_T")


def open_engine(url: str) -> Engine:
    """Open the database of `url` (SQLAlchemy form); an empty one gets its tables, an older one is migrated.

    SQLite: write-ahead log with ``synchronous=FULL``, so that a committed row survives a power cut. Before a
    migration the SQLite database is copied beside itself.

    Raises:
        SchemaError: a newer release wrote the database.
        DatabaseError: it cannot be opened, read or written; the message says what to do.
    """
    parsed = make_url(url)
    try:
        return _opened(parsed)
    except (DBAPIError, sqlite3.Error) as error:
        if not (why := told(error, parsed.render_as_string())):
            raise
        raise DatabaseError(why) from error
    except OSError as error:
        where = parsed.render_as_string()
        raise DatabaseError(told_of_disk(error, where) or f"{where}: cannot be made: {error.strerror}") from error


def check(engine: Engine) -> None:
    """Look whether an SQLite database is whole, if it is small enough to be looked through at a start.

    Raises:
        DatabaseError: it is damaged, or cannot be read.
    """
    name = engine.url.database
    if engine.dialect.name == "sqlite" and name and Path(name).stat().st_size <= _CHECKED_AT_START:
        require_whole(engine)


def require_whole(engine: Engine, stop: threading.Event | None = None) -> bool:
    """Look through an SQLite database: 1 GB takes some seconds, and nobody waits for it; False where `stop` came first.

    Raises:
        DatabaseError: it is damaged, or cannot be read.
    """
    if stop is not None and stop.is_set():
        return False
    if engine.dialect.name != "sqlite":
        return True
    where = engine.url.render_as_string()
    try:
        with engine.connect() as connection, _interrupted_by(stop, connection):
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    except (DBAPIError, sqlite3.Error) as error:
        if stop is not None and stop.is_set():
            return False
        raise DatabaseError(told(error, where)) from error
    if found != "ok":
        raise DatabaseError(told(sqlite3.DatabaseError("malformed"), where))
    return True


@contextlib.contextmanager
def _interrupted_by(stop: threading.Event | None, connection: Connection) -> Iterator[None]:
    """A context in which SQLite gives up what it does once an event is set."""
    if stop is None:
        yield
        return
    raw, ended = connection.connection.dbapi_connection, threading.Event()
    assert isinstance(raw, sqlite3.Connection)

    def watch() -> None:
        while not ended.is_set():
            if stop.wait(_LOOK_S):
                raw.interrupt()  # again and again: one that comes between two statements is lost
                ended.wait(_LOOK_S)

    watching = threading.Thread(target=watch, name="check of the index", daemon=True)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join()


def close(engine: Engine) -> None:
    """Give all connections back; the file of an SQLite database is whole by itself then, unless others use it."""
    if engine.dialect.name == "sqlite":
        with contextlib.suppress(DBAPIError, sqlite3.Error), engine.connect() as connection:
            raw = connection.connection.dbapi_connection
            assert raw is not None
            raw.execute(f"PRAGMA busy_timeout={_LAST_WAIT_S * 1000}")
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()


def _opened(parsed: URL) -> Engine:
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    # Its errors must not show parameters: among them are names. The connection that was given back last is taken first:
    # SQLite forgets all pages of one as soon as another has written.
    engine = create_engine(
        parsed, pool_size=8, max_overflow=56, pool_timeout=LOCK_WAIT_S, pool_use_lifo=True, hide_parameters=True
    )
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
    connection.execute(f"PRAGMA busy_timeout={LOCK_WAIT_S * 1000}")
    _set_wal(connection)
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _set_wal(connection: sqlite3.Connection) -> None:
    """Give a database its write-ahead log; SQLite itself does not wait for another that does so at the same time."""
    end = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
        time.sleep(_LOOK_S)


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("rectal_node_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
