"""The time of day as a value that is handed in, so that who tests can move it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The time of day, timezone-aware, in UTC."""
    return datetime.now(UTC)
