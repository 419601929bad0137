"""Answers of operations as JSON: the same document for command line, scripts and page.

Fields keep their names and meanings; what is added is added with a default. Times are ISO 8601 in UTC.
"""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter


def as_json(answer: Any) -> str:  # noqa: ANN401 - any data class of this room
    """An answer as one JSON document."""
    return TypeAdapter(type(answer)).dump_json(answer, indent=1).decode()
