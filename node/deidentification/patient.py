"""A patient as the export has them: a pseudonym, a key of new UIDs, and by how many days all dates are moved."""

from __future__ import annotations

import hashlib
import hmac
import re
import uuid
from dataclasses import dataclass, field
from datetime import date, timedelta

from pydicom import config
from pydicom.uid import UID

DUMMY_DATE, DUMMY_TIME = "19000101", "000000"
_DATE = re.compile(r"(\d{4})[.-]?(\d{2})[.-]?(\d{2})")


@dataclass(frozen=True, slots=True)
class Pseudonym:
    """Who stands in for a patient.

    Attributes:
        name: Patient ID and Patient's Name in the export.
        key: of the digests that UIDs are replaced by; without it nobody finds an old UID from a new one, or a new one
            from an old.
        shift_days: added to each date.
    """

    name: str
    key: bytes = field(repr=False)
    shift_days: int = field(repr=False)

    def uid(self, uid: str) -> str:
        """What a UID is replaced by, the same each time; one of the standard itself stays.

        2.25 with a UUID (PS3.5 B.2) that is made of an HMAC-SHA256 of the old one.
        """
        if not uid or is_registered(uid):
            return uid
        digest = hmac.new(self.key, uid.encode("utf-8", "replace"), hashlib.sha256).digest()
        return f"2.25.{uuid.UUID(bytes=digest[:16], version=5).int}"

    def date(self, text: str) -> str:
        """A DA, or the beginning of a DT, moved; one that is no whole date is replaced by a dummy."""
        found = _DATE.match(text.strip())
        if found is None:
            return DUMMY_DATE if text.strip() else ""
        try:
            moved = date(*map(int, found.groups())) + timedelta(days=self.shift_days)
        except (ValueError, OverflowError):
            return DUMMY_DATE
        return f"{moved:%Y%m%d}" if moved.year >= 1000 else DUMMY_DATE

    def moment(self, text: str) -> str:
        """A DT moved by days: its time of day and offset from UTC stay."""
        found = _DATE.match(text.strip())
        return self.date(text) + (text.strip()[found.end() :] if found else "")


def is_registered(uid: str) -> bool:
    """Whether a UID is one of the standard's register (PS3.6 A), which names no object of anybody."""
    return UID(uid, validation_mode=config.IGNORE).name != uid
