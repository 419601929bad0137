"""Studies counted by scanner once they have ended, from their records."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path

from sqlalchemy import Engine

from node.codes import Code
from node.errors import told
from node.recognition.header.frames import UNREADABLE
from node.recognition.protocol import is_outside
from storage.dicom_files import read_dataset
from storage.files import ObjectStore
from storage.records import StudyState
from storage.scanners import ScannedStudy, Scanner, Scanners, Uncounted, week_of

log = logging.getLogger(__name__)

_AT_ONCE = 200
"""Studies of one look: a record has thousands of frames, of which each is read here once."""


class ScannerCounting:
    """Counts what has ended since the last look."""

    def __init__(self, files: ObjectStore, engine: Engine) -> None:
        self._files, self._scanners = files, Scanners(engine)

    def look(self) -> None:
        """Count some studies."""
        for it in self._scanners.uncounted(_AT_ONCE):
            self._scanners.count(self._counted(it))

    def _counted(self, it: Uncounted) -> ScannedStudy:
        outside, located = _said(it)
        finding = located if it.state is StudyState.COMPLETED else None
        serial = _serial(self._files.root / it.path) if it.path else ""
        scanner = Scanner(it.scanner.manufacturer, it.scanner.model, serial)
        week = week_of(it.last_received_at)
        return ScannedStudy(it.study_instance_uid, it.revision, week, scanner, it.state, outside, finding)


def _said(it: Uncounted) -> tuple[bool, bool]:
    """Whether a record says that the protocol is outside, and whether it has a finding; one without record neither."""
    try:
        record = json.loads(it.document) if it.document else {}
        outside = any(map(is_outside, record.get("warnings", ()))) or any(
            refusal["code"] == Code.PROTOCOL for refusal in record.get("refusals", ())
        )
        return outside, bool(record.get("locations"))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        log.warning("study %s: its record cannot be counted by scanner: %s", it.study_instance_uid, told(error))
        return False, False


def _serial(path: Path) -> str:
    """Device Serial Number (0018,1000); empty where the file does not say it, or cannot be read."""
    try:
        with warnings.catch_warnings(action="ignore"):  # pydicom's repeat the value
            found = read_dataset(path, stop_before_pixels=True, specific_tags=["DeviceSerialNumber"])
            return str(found.get("DeviceSerialNumber", "") or "").strip()
    except (OSError, *UNREADABLE) as error:
        log.info("the serial number of a scanner is not known: %s", type(error).__name__)
        return ""
