"""Answers of operations as JSON: the same document for command line, scripts and page.

Fields keep their names and meanings; what is added is added with a default. Times are ISO 8601 in UTC.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import TypeAdapter


def as_json(answer: Any) -> str:  # noqa: ANN401 - any data class of this room
    """An answer as one JSON document."""
    kind: Any = type(answer)  # for mypy a class has no hash
    return _adapter(kind).dump_json(answer, indent=1).decode()


@cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    """What writes the answers of a class; to make it takes ten times as long as to write one."""
    return TypeAdapter(kind)
