"""Log lines for the person on call: UTC, one line an event, UIDs but never patient names."""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile

_OWN = ("node", "storage", "models")
_TITLE = re.compile(r"[A-Za-z0-9 _.:@/#+-]{1,16}")


def configure(level: str = "INFO") -> None:
    """Send the node's own log to standard error.

    Of libraries only errors are shown, whatever level they set for themselves: at lower levels pynetdicom and
    pydicom print patient data, and pyradiomics a line a feature class.
    """
    formatter = logging.Formatter("%(asctime)sZ %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    handler.addFilter(_is_ours_or_an_error)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for package in _OWN:
        logging.getLogger(package).setLevel(level)


def title(text: str) -> str:
    """An AE title of a sender as it may be written: of letters, digits and what joins them; a name is not repeated."""
    return text if _TITLE.fullmatch(text) else f"(a title of {len(text)} characters that are not written here)"


def _is_ours_or_an_error(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] in _OWN or record.levelno >= logging.ERROR


@dataclass(slots=True)
class _Kind:
    """Lines of one kind from one address since a moment, and how many of them were left out."""

    since: float
    left_out: int = 0


class Sparing:
    """Writes one line a minute of the same kind from the same address, and how many it left out."""

    EVERY_S = 60.0
    _MOST = 1024  # kinds and addresses that are remembered

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
            self._kinds[level, kind, address] = _Kind(self._clock())
            if len(self._kinds) > self._MOST:
                del self._kinds[next(iter(self._kinds))]
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
                self._log.log(level, "%s%s: %d times more in a minute", kind, where, found.left_out)
