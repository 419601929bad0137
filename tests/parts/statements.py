"""Statements that are compiled once for all databases of a process, as a node does for its one."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

_COMPILED: dict[Any, Any] = {}


def _alike(one: object, other: object) -> bool:
    return type(one) is type(other)


@cache
def share() -> None:
    """Let every engine have what was compiled for another one; a tenth of the time of tests that open many.

    SQLAlchemy keeps compiled statements by dialect, of which each engine has an object of its own; those of one class
    compile alike.
    """
    for dialect in (SQLiteDialect_pysqlite, PGDialect_psycopg):
        dialect.__eq__ = _alike  # type: ignore[assignment, method-assign]
        dialect.__hash__ = lambda self: hash(type(self))  # type: ignore[assignment, method-assign]

    @event.listens_for(Engine, "engine_connect")
    def _(connection: Connection) -> None:
        connection.execution_options(compiled_cache=_COMPILED)
