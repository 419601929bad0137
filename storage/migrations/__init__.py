"""The schema's revisions: which one a database has, and how it comes to that of this release (Alembic).

A database that has the newest revision is recognised by one query, without Alembic, whose import takes longer than all
else at the start of a process. One without any table is made as `storage.schema` says. One that has tables and no
revision is from before revisions were kept: the first revision makes what it lacks.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Index,
    MetaData,
    String,
    Table,
    create_mock_engine,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.schema import CreateIndex, CreateTable

from storage import (  # noqa: F401 - their tables are part of the schema
    alert_schema,
    audit_schema,
    catalogue_schema,
    known_answer_schema,
    maintenance_schema,
    monitoring_schema,
    page_schema,
    removal_schema,
)
from storage.errors import SchemaError
from storage.migrations import backup
from storage.schema import metadata

log = logging.getLogger(__name__)

#: Every revision of the schema, the oldest first; each has a file in `versions`.
REVISIONS = (
    "0001",
    "0002",
    "0003",
    "0004",
    "0005",
    "0006",
    "0007",
    "0008",
    "0009",
    "0010",
    "0011",
    "0013",
    "0014",
    "0015",
    "0016",
    "0017",
    "0018",
    "0019",
    "0024",
    "0025",
    "0026",
    "0023",
    "0027",
    "0029",
)
_LOCK = 0x52454354  # any number, the same in every process: PostgreSQL advisory lock while the schema changes
_version = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))


def is_current(connection: Connection) -> bool:
    """Whether the database has the schema of this release.

    Raises:
        SchemaError: it has one that this release does not know.
    """
    return _revision(connection) == REVISIONS[-1]


def migrate(engine: Engine) -> None:
    """Bring the database to the newest revision, in one transaction, an SQLite one after a backup.

    `engine` is for transactions that write. Processes that start together wait for one another.

    Raises:
        SchemaError: the database has a revision that this release does not know.
    """
    with _without_foreign_keys(engine) as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        revision = _revision(connection)
        if revision == REVISIONS[-1]:
            return
        if not inspect(connection).has_table("study"):
            there = inspect(connection).get_table_names()
            made = _statements(connection.engine.url.drivername).items()
            # By the driver's own cursor: SQLAlchemy's takes as long for a statement as the statement.
            with contextlib.closing(connection.connection.cursor()) as cursor:
                for statement in (it for table, statements in made if table not in there for it in statements):
                    cursor.execute(statement)
            connection.execute(insert(_version).values(version_num=REVISIONS[-1]))
            return
        # The lock is taken: nothing is written between the copy and the migration.
        kept = backup.make(engine, revision)
        log.info("database schema %s -> %s%s", revision or "none", REVISIONS[-1], f"; {kept} keeps it" if kept else "")
        _upgrade(connection)


@cache
def _statements(driver: str) -> dict[str, list[str]]:
    """What makes each table of a new database and its indexes, in order.

    Compiled once a process for a driver: with it a database is made in half of the time.
    """
    found: dict[str, list[str]] = {}

    def keep(statement: CreateTable | CreateIndex, *_: object, **__: object) -> None:
        made = statement.element
        table = made.table if isinstance(made, Index) else made
        assert table is not None
        found.setdefault(table.name, []).append(str(statement.compile(dialect=asked.dialect)))

    asked = create_mock_engine(f"{driver}://", keep)
    for tables in (metadata, _version.metadata):
        tables.create_all(asked, checkfirst=False)
    return found


def _revision(connection: Connection) -> str:
    """The revision of the database; empty where it says none."""
    if not inspect(connection).has_table(_version.name):
        return ""
    revision = connection.scalar(select(_version.c.version_num)) or ""
    if revision and revision not in REVISIONS:
        raise SchemaError(
            f"{connection.engine.url.render_as_string()}: the database has schema revision {revision} and this release "
            f"knows up to {REVISIONS[-1]}: run the release that wrote it, or a newer one"
        )
    return revision


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    command.upgrade(config, REVISIONS[-1])
    if connection.dialect.name == "sqlite" and (broken := connection.execute(text("PRAGMA foreign_key_check")).first()):
        raise SchemaError(
            f"{connection.engine.url.render_as_string()}: a row of {broken[0]} refers to none: not migrated"
        )


@contextlib.contextmanager
def _without_foreign_keys(engine: Engine) -> Iterator[Connection]:
    """A connection on which SQLite does not enforce foreign keys; a table is changed there by being made anew.

    It can be set between transactions only, so not by a statement of SQLAlchemy's, which begins one.
    """
    with engine.connect() as connection:
        if connection.dialect.name != "sqlite":
            yield connection
            return
        raw = connection.connection.dbapi_connection
        assert raw is not None
        raw.execute("PRAGMA foreign_keys=OFF")
        try:
            yield connection
        finally:
            raw.execute("PRAGMA foreign_keys=ON")
