"""Statements that every instance runs: compiled once for each kind of database, and given to its driver's cursor.

SQLAlchemy writes them; what it does for each execution costs more than the execution itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.compiler import SQLCompiler

_Processor = Callable[[Any], Any]


class _Compiled:
    """A statement in the SQL of one dialect."""

    def __init__(self, statement: Executable, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)  # type: ignore[attr-defined]  # every statement has it
        assert isinstance(compiled, SQLCompiler)
        self.sql = str(compiled)
        self._values = dict(compiled.params)
        self._order = compiled.positiontup
        processors = {
            name: bind.type.dialect_impl(dialect).bind_processor(dialect) for name, bind in compiled.binds.items()
        }
        self._processors: dict[str, _Processor] = {name: found for name, found in processors.items() if found}
        for name, value in self._values.items():
            if value is not None and name in self._processors:
                self._values[name] = self._processors[name](value)

    def parameters(self, values: Mapping[str, object]) -> tuple[Any, ...] | dict[str, Any]:
        """As the driver wants them."""
        merged = {**self._values, **values}
        for name, processor in self._processors.items():
            if name in values:
                merged[name] = processor(values[name])
        if self._order is None:
            return merged
        return tuple(merged[name] for name in self._order)


class Prepared:
    """One statement; columns that are read come as the driver gives them, so that times have no place among them."""

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}

    def rows(self, connection: Connection, values: Mapping[str, object]) -> list[tuple[Any, ...]]:
        """The rows that a query finds.

        Raises:
            DBAPIError: as SQLAlchemy raises it.
        """
        return self._run(connection, values, lambda cursor: cursor.fetchall())

    def change(self, connection: Connection, values: Mapping[str, object]) -> int:
        """The number of rows that a statement has changed.

        Raises:
            DBAPIError: as SQLAlchemy raises it.
        """
        return int(self._run(connection, values, lambda cursor: cursor.rowcount))

    def _run(self, connection: Connection, values: Mapping[str, object], result: Callable[[Any], Any]) -> Any:  # noqa: ANN401 (a driver's)
        dialect = connection.dialect
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            compiled = self._compiled[dialect.name] = _Compiled(self._statement, dialect)
        cursor = connection.connection.cursor()
        try:
            cursor.execute(compiled.sql, compiled.parameters(values))
            return result(cursor)
        except dialect.loaded_dbapi.Error as error:
            raise DBAPIError.instance(
                compiled.sql, None, error, dialect.loaded_dbapi.Error, hide_parameters=True, dialect=dialect
            ) from error
        finally:
            cursor.close()
