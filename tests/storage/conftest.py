"""A database of each kind, empty for each test."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from storage import database
from storage.deliveries import Deliveries
from storage.records import InstanceHeader, StoredFile

MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """URL of a PostgreSQL server of the tests' own; skipped where PostgreSQL or psycopg is not installed."""
    pytest.importorskip("psycopg")
    binary = shutil.which("postgres") or next(map(str, Path("/usr/lib/postgresql").glob("*/bin/postgres")), None)
    if binary is None:
        pytest.skip("PostgreSQL is not installed")
    binaries = Path(binary).resolve().parent
    # Not in pytest's own folder: it is closed to other users again by each further pytest of the same user.
    folder = Path(tempfile.mkdtemp(prefix="rectal-node-postgresql-"))
    as_user: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        as_user = ["runuser", "-u", "postgres", "--"]
        shutil.chown(folder, "postgres")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = folder / "data"
    init = [*as_user, str(binaries / "initdb"), "-D", str(data), "-A", "trust", "-U", "node", "-N"]
    subprocess.run(init, check=True, stdout=subprocess.DEVNULL, cwd=folder)
    call = [*as_user, str(binaries / "postgres"), "-D", str(data), "-p", str(port), "-k", str(folder), "-F"]
    server = subprocess.Popen(call, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ready = [str(binaries / "pg_isready"), "-h", "127.0.0.1", "-p", str(port)]
    deadline = time.monotonic() + 120
    while subprocess.run(ready, stdout=subprocess.DEVNULL, check=False).returncode:
        assert time.monotonic() < deadline, "PostgreSQL does not start"
        time.sleep(0.1)
    yield f"postgresql+psycopg://node@127.0.0.1:{port}/postgres"
    stop = [*as_user, str(binaries / "pg_ctl"), "stop", "-D", str(data), "-m", "immediate"]
    subprocess.run(stop, check=True, stdout=subprocess.DEVNULL, cwd=folder)
    server.wait(timeout=120)
    shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'index.sqlite'}"
    server: str = request.getfixturevalue("postgresql")
    engine = create_engine(server)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    return server


@pytest.fixture
def load(url: str) -> Callable[[str], str]:
    """Fill the empty database from a file of `data` (its name as far as the kind of database); gives its URL."""

    def read(name: str) -> str:
        engine = create_engine(url)
        dump = (Path(__file__).parent / "data" / f"{name}.{engine.dialect.name}.sql").read_text()
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                raw = connection.connection.dbapi_connection
                raw.executescript(dump)
            else:
                connection.exec_driver_sql(dump)
                connection.commit()
        engine.dispose()
        return url

    return read


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """An open, empty database."""
    opened = database.open_engine(url)
    yield opened
    opened.dispose()


@pytest.fixture
def deliveries(engine: Engine) -> Deliveries:
    """The deliveries of that database."""
    return Deliveries(engine)


@pytest.fixture
def at() -> Callable[[float], datetime]:
    """A clock: the moment so many seconds after a fixed one."""
    return lambda seconds: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC) + timedelta(seconds=seconds)


@pytest.fixture
def make_header() -> Callable[..., InstanceHeader]:
    """Headers of instances `number` of study 1.2.3."""

    def make(number: int = 1, series: int = 1, study: str = "1.2.3") -> InstanceHeader:
        uid = f"{study}.{series}.{number}"
        return InstanceHeader(MR_IMAGE, uid, study, f"{study}.{series}", EXPLICIT_LITTLE)

    return make


@pytest.fixture
def make_file() -> Callable[..., StoredFile]:
    """Records of files; the same content has the same digest."""
    return lambda content="a": StoredFile(Path("objects", f"{content}.dcm"), content * 64, 100)
