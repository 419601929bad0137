"""Whether a moment that was written down has come, by a clock that may have been wrong when it was.

A moment that lies further off than anything here is ever put off was written before the clock was set back: it has
come. So a clock that was ahead, by however much, holds nothing up once it is right.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, or_

TOLERANCE = timedelta(seconds=30)
"""Between the clocks of two machines, and for the time between a moment's writing and its use."""


def has_come(column: ColumnElement[Any], now: datetime, longest: timedelta | None) -> ColumnElement[bool]:
    """Whether the moment in a column has come; None as `longest`: of the wait nothing is known."""
    come: ColumnElement[bool] = column <= now
    return come if longest is None else or_(come, column > now + longest + TOLERANCE)
