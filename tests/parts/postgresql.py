"""PostgreSQL, as the user postgres where the tests run as root."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from storage.database import open_engine

from .processes import free_port, running


def _binaries() -> Path:
    """The folder of initdb, postgres and pg_ctl; skips the test where there is none."""
    pytest.importorskip("psycopg")
    binary = shutil.which("postgres") or next(map(str, Path("/usr/lib/postgresql").glob("*/bin/postgres")), None)
    if binary is None:
        pytest.skip("PostgreSQL is not installed")
    return Path(binary).resolve().parent


def emptied(url: str) -> str:
    """The URL of the server, once nothing is in its database any more."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    return url


#: Ten times as fast as making the tables anew. Foreign keys are not looked at: no row stays that has one.
_EMPTY_ALL_TABLES = """DO $$
DECLARE name text;
BEGIN
    SET LOCAL session_replication_role = replica;
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' LOOP
        EXECUTE 'DELETE FROM ' || quote_ident(name);
    END LOOP;
    PERFORM setval(quote_ident(sequencename)::regclass, start_value, false) FROM pg_sequences
        WHERE last_value IS NOT NULL;
END $$"""


def without_rows(url: str) -> str:
    """The URL of another database of the server, with the tables of this release and no row in any.

    Its tables are made once: who changes them takes one that is `emptied`.
    """
    own = make_url(url).set(database="without_rows")
    with create_engine(url, isolation_level="AUTOCOMMIT").connect() as connection:
        if not connection.scalar(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": own.database}):
            connection.execute(text(f"CREATE DATABASE {own.database}"))
    found = own.render_as_string(hide_password=False)
    engine = open_engine(found)
    with engine.begin() as connection:
        connection.exec_driver_sql(_EMPTY_ALL_TABLES)
    engine.dispose()
    return found


@dataclass
class PostgreSQL:
    """A server of PostgreSQL's; `url` is that of its database."""

    url: str
    call: list[str]
    stopping: list[str]
    answers: Callable[[], bool]
    folder: Path
    _running: ExitStack = field(default_factory=ExitStack)

    def start(self) -> None:
        """Start it and wait until it answers."""
        part = running("PostgreSQL", self.call, self.folder / "log", self.answers, 120, cwd=self.folder)
        self._running.enter_context(part)

    def stop(self) -> None:
        """Stop it at once, without an end to what its clients do; what is committed is there at the next start."""
        subprocess.run(self.stopping, check=True, stdout=subprocess.DEVNULL, cwd=self.folder)
        self._running.close()


@contextmanager
def running_postgresql() -> Iterator[PostgreSQL]:
    """A server with an empty database; skips the test where PostgreSQL or psycopg is not installed."""
    binaries = _binaries()
    # Not in pytest's own folder: it is closed to other users again by each further pytest of the same user.
    folder = Path(tempfile.mkdtemp(prefix="rectal-node-postgresql-"))
    as_user: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        as_user = ["runuser", "-u", "postgres", "--"]
        shutil.chown(folder, "postgres")
    port, data = free_port(), folder / "data"
    init = [*as_user, str(binaries / "initdb"), "-D", str(data), "-A", "trust", "-U", "node", "-N"]
    subprocess.run(init, check=True, stdout=subprocess.DEVNULL, cwd=folder)
    ready = [str(binaries / "pg_isready"), "-h", "127.0.0.1", "-p", str(port)]
    server = PostgreSQL(
        url=f"postgresql+psycopg://node@127.0.0.1:{port}/postgres",
        call=[*as_user, str(binaries / "postgres"), "-D", str(data), "-p", str(port), "-k", str(folder), "-F"],
        stopping=[*as_user, str(binaries / "pg_ctl"), "stop", "-D", str(data), "-m", "immediate"],
        answers=lambda: not subprocess.run(ready, stdout=subprocess.DEVNULL, check=False).returncode,
        folder=folder,
    )
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """URL of a PostgreSQL server of the tests' own; skipped where PostgreSQL or psycopg is not installed."""
    with running_postgresql() as server:
        yield server.url
