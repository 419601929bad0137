"""A copy of an SQLite database beside it, what its write-ahead log holds included."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine

from storage.online_copy import copy_database


def make(engine: Engine, revision: str) -> Path | None:
    """Copy the database to ``<name>.<time>.revision-<revision>.backup``; None where it is not a file of SQLite.

    The copy is durable when this returns. It is kept until somebody removes it.

    Raises:
        OSError: the disk refused.
    """
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return None
    source = Path(engine.url.database)
    target = source.with_name(f"{source.name}.{datetime.now(UTC):%Y%m%dT%H%M%SZ}.revision-{revision or 'none'}.backup")
    copy_database(source, target)
    return target
