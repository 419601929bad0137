"""Log lines for the person on call: UTC, one line an event, UIDs but never patient names."""

from __future__ import annotations

import logging
import sys
import time


def configure(level: str = "INFO") -> None:
    """Send the node's own log to standard error.

    Libraries are kept to warnings: pynetdicom and pydicom would print patient data at lower levels.
    """
    formatter = logging.Formatter("%(asctime)sZ %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for package in ("node", "storage", "models"):
        logging.getLogger(package).setLevel(level)
    for noisy in ("pydicom", "highdicom", "pynetdicom", "radiomics", "dbos"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
