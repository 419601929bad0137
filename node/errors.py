"""The node's error family; each error says what was wrong, with which object, and what to do.

Failure has three kinds. `TransientError` is worth another try, `PermanentError` needs a person, `Refusal` means
that the input cannot be analysed and that the answer is a short report which says so. Messages hold UIDs, never
patient names.
"""

from __future__ import annotations


class NodeError(Exception):
    """Root of everything that the node raises on purpose."""


class ConfigurationError(NodeError):
    """config.toml holds something that the node cannot run with; the message names file and key."""


class TransientError(NodeError):
    """Nothing is wrong with the object: try again later."""


class PermanentError(NodeError):
    """Trying again cannot help; a person has to act."""


class Refusal(NodeError):  # noqa: N818 - a refusal is an answer, not a mistake
    """The input cannot be analysed.

    `code` is a stable name such as ``SLICE_MISSING``; `reason` is one sentence for a person.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(code, reason)  # as given, so that the error survives pickling into a workflow's record
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.code}: {self.reason}"
