"""A database of each kind, empty for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine

from storage import database
from storage.deliveries import Deliveries
from storage.records import InstanceHeader, StoredFile

from ..parts import statements

statements.share()

MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"


@pytest.fixture
def load(empty_url: str) -> Callable[[str], str]:
    """Fill an empty database from a file of `data` (its name as far as the kind of database); gives its URL."""

    def read(name: str) -> str:
        engine = create_engine(empty_url)
        dump = (Path(__file__).parent / "data" / f"{name}.{engine.dialect.name}.sql").read_text()
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                raw = connection.connection.dbapi_connection
                raw.executescript(dump)
            else:
                connection.exec_driver_sql(dump)
                connection.commit()
        engine.dispose()
        return empty_url

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
