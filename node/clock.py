"""The time of day as a value that is handed in, so that who tests can move it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]

STOPS_WITHIN_S = 10.0
"""From the order to stop until the process is gone, whatever is under way."""

PARTING_S = 5.0
"""Of it, for what is under way to come to an end by itself."""


def utc_now() -> datetime:
    """The time of day, timezone-aware, in UTC."""
    return datetime.now(UTC)
