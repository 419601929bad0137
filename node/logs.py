"""Log lines for the person on call: UTC, one line an event, UIDs but never patient names."""

from __future__ import annotations

import logging
import sys
import time

_OWN = ("node", "storage", "models")


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


def _is_ours_or_an_error(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] in _OWN or record.levelno >= logging.ERROR
