"""What the queue records of runs and steps: JSON.

DBOS would pickle it. Who can write into the database of the queue could then have this process run a program, a
record could be read by the release only that wrote it, and an error would be kept with all that it holds, which may be
a name. Steps return texts, numbers, lists and references; of an error is kept what may be told of it.
"""

from __future__ import annotations

import json
from typing import Any

from dbos import Serializer
from dbos._serialization import DefaultSerializer

from node.errors import PermanentError, StepSetAsideError, told

_ERROR, _TOLD = "error", "told"


class PickledRecordError(PermanentError):
    """A record is pickled, which no release does that records JSON."""


class JsonRecords(Serializer):
    """Records as JSON; a tuple comes back as a list, and an error as a `PermanentError` with what was told of it."""

    def name(self) -> str:
        """Stands beside each record."""
        return "json"

    def serialize(self, data: Any) -> str:  # noqa: ANN401 - whatever a step returns
        """Raises TypeError for what JSON does not have."""
        if isinstance(data, BaseException):
            data = {_ERROR: type(data).__name__, _TOLD: told(data)}
        return json.dumps(data, separators=(",", ":"))

    def deserialize(self, serialized_data: str) -> Any:  # noqa: ANN401 - as above
        """Raises ValueError for what is no JSON."""
        data = json.loads(serialized_data)
        if isinstance(data, dict) and data.keys() == {_ERROR, _TOLD}:
            kind = StepSetAsideError if data[_ERROR] == StepSetAsideError.__name__ else PermanentError
            return kind(data[_TOLD])
        return data


def refuse_pickled() -> None:
    """Have DBOS refuse a record that says of itself that it is pickled, which it would load otherwise."""
    DefaultSerializer.deserialize = _refuse  # type: ignore[method-assign]


def _refuse(cls: DefaultSerializer, serialized_data: str) -> Any:  # noqa: ANN401 - as of the method
    raise PickledRecordError("a record of the queue is pickled, and is not read: it was written by another program")
