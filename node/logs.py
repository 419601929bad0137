"""Log lines for the person on call: UTC, one line an event, UIDs but never patient names.

What others send can stand in a message, as an AE title or in an error. It cannot make a line of its own, and no
library writes what it found in their bytes.
"""

from __future__ import annotations

import logging
import re
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from types import TracebackType
from typing import TextIO

from node.errors import told

_OWN = ("node", "storage", "models")
_READERS = ("pydicom", "pynetdicom", "highdicom")
_TITLE = re.compile(r"[A-Za-z0-9 _.:@/#+-]{1,16}")
#: Control characters, and what turns the direction or the line of a text.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_log = logging.getLogger(__name__)


def configure(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send the node's own log to a stream, to standard error where none is given.

    Of libraries only errors are shown, whatever level they set for themselves: at lower levels pyradiomics writes a
    line a feature class. Of those that read DICOM nothing is: they write what stands in the bytes of others, and what
    matters of it ends in an error of ours. Warnings and errors that nobody catches go the same way.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter())
    handler.addFilter(_may_be_written)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for package in _OWN:
        logging.getLogger(package).setLevel(level)
    # DBOS writes past the root to standard error, unless its logger has a handler.
    queue = logging.getLogger("dbos")
    queue.handlers, queue.propagate = [handler], False
    logging.captureWarnings(True)
    threading.excepthook = _ended


class LineFormatter(logging.Formatter):
    """One line a message, whatever stands in it; of an exception the places and what is told of it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)sZ %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
        self.converter = time.gmtime

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = escaped(record.message)
        return super().formatMessage(record)

    def formatException(  # noqa: N802 - logging's name
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
    ) -> str:
        return "\n".join(_traceback(ei[1])) if ei[1] is not None else ""


def escaped(text: str) -> str:
    """The text in one line: control characters as they are written in source code."""
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape", "surrogatepass").decode(), text)


def title(text: str) -> str:
    """An AE title of a sender as it may be written: of letters, digits and what joins them; a name is not repeated."""
    return text if _TITLE.fullmatch(text) else f"(a title of {len(text)} characters that are not written here)"


def _may_be_written(record: logging.LogRecord) -> bool:
    package = record.name.partition(".")[0]
    return package in _OWN or (record.levelno >= logging.ERROR and package not in _READERS)


def _ended(arguments: threading.ExceptHookArgs) -> None:
    """In place of a thread's own traceback."""
    if arguments.exc_value is not None:
        name = "" if arguments.thread is None else arguments.thread.name
        _log.error("thread %s ended by an error", name, exc_info=arguments.exc_value)


def _traceback(error: BaseException) -> Iterator[str]:
    """The lines of a traceback, the cause first."""
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if earlier is not None:
        yield from _traceback(earlier)
        yield "  then:"
    for entry in traceback.format_tb(error.__traceback__):
        yield from entry.rstrip().splitlines()
    yield f"  {escaped(told(error))}"


@dataclass(slots=True)
class _Kind:
    """Lines of one kind from one address since a moment, and how many of them were left out."""

    since: float
    left_out: int = 0


class Sparing:
    """Writes one line a minute of the same kind from the same address, and how many it left out.

    Of very many kinds and addresses in a minute the last are counted together, so that no flood fills a disk.
    """

    EVERY_S = 60.0
    _MOST = 256  # kinds and addresses that are remembered
    _OTHERS = "other kinds and addresses"

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log, self._clock = log, clock
        self._kinds: dict[tuple[int, str, str], _Kind] = {}  # the order is that of `since`
        self._lock = threading.Lock()  # associations write from threads of their own

    def write(self, level: int, kind: str, address: str, message: str, *arguments: object) -> None:
        """Write the line, or count it."""
        if not self._log.isEnabledFor(level):
            return
        self.flush()
        with self._lock:
            found = self._kinds.get((level, kind, address))
            if found is not None:
                found.left_out += 1
                return
            if len(self._kinds) >= self._MOST - 1:
                others = self._kinds.setdefault((logging.WARNING, self._OTHERS, ""), _Kind(self._clock()))
                others.left_out += 1
                return
            self._kinds[level, kind, address] = _Kind(self._clock())
        self._log.log(level, message, *arguments)

    def flush(self) -> None:
        """Say what was left out of the minutes that are over."""
        with self._lock:
            limit = self._clock() - self.EVERY_S
            over = dict(takewhile(lambda entry: entry[1].since <= limit, self._kinds.items()))
            for key in over:
                del self._kinds[key]
        for (level, kind, address), found in over.items():
            if found.left_out:
                where = f" from {address}" if address else ""
                self._log.log(level, "%s%s: %d more in a minute", kind, where, found.left_out)
