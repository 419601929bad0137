"""The node's error family; each error says what was wrong, with which object, and what to do.

Failure has three kinds. `TransientError` is worth another try, `PermanentError` needs a person, `Refusal` means
that the input cannot be analysed and that the answer is a short report which says so. Messages hold UIDs, never
patient names.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence

from models.errors import ModelError
from storage.errors import StorageError


class NodeError(Exception):
    """Root of everything that the node raises on purpose."""


class ConfigurationError(NodeError):
    """config.toml holds something that the node cannot run with; the message names file and key."""


class TransientError(NodeError):
    """Nothing is wrong with the object: try again later."""


class PermanentError(NodeError):
    """Trying again cannot help; a person has to act."""


class StepSetAsideError(PermanentError):
    """A step of an analysis has ended its process again and again."""


class GivenFileError(NodeError):
    """Of a file under the name that a person gave it, which may be a patient's; `on_record` says the same without."""

    def __init__(self, sentence: str, on_record: str) -> None:
        super().__init__(sentence, on_record)  # as given, so that the error survives pickling
        self.sentence = sentence
        self.on_record = on_record

    def __str__(self) -> str:
        return self.sentence


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


def on_record(error: NodeError) -> str:
    """An error in the words in which it is logged and kept: without names that a person gave."""
    return error.on_record if isinstance(error, GivenFileError) else str(error)


#: Kinds of errors with words for them, in which {kind} and {reason} (of the operating system) may stand.
Meanings = Sequence[tuple[type[BaseException] | tuple[type[BaseException], ...], str]]


def told(error: BaseException, meanings: Meanings = ()) -> str:
    """An error in words that hold nothing of what was read; `meanings` has those of the work that was done.

    A library's message repeats the value that it could not take, and that may be a name: of such errors kind and
    place are told. The node's own, and what comes from one of them, are told as they are; those of the operating
    system in its words, without the path.
    """
    kind = type(error).__name__
    for each in (error, error.__cause__):
        if isinstance(each, NodeError | StorageError | ModelError):
            return str(each)
    reason = error.strerror if isinstance(error, OSError) and error.strerror else ""
    for kinds, words in meanings:
        if isinstance(error, kinds):
            return words.format(kind=kind, reason=reason or kind)
    if reason:
        return f"{kind}: {reason}"
    frames = traceback.extract_tb(error.__traceback__)
    return f"{kind} at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else kind
