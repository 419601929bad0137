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
_DATE = re.compile(r"([0-9]{4})([.-]?)([0-9]{2})\2([0-9]{2})")
#: TM, also as ACR-NEMA wrote it, and what a DT has behind its day (PS3.5 6.2).
_TIME = re.compile(r"([01][0-9]|2[0-3])(?:(:?)[0-5][0-9](?:\2(?:[0-5][0-9]|60)(?:\.[0-9]{1,6})?)?)?")
_OFFSET = re.compile(r"[+-](?:0[0-9]|1[0-4])[0-5][0-9]")


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
        """A DA moved; one that is no whole date, and no more, is replaced by a dummy."""
        found = _DATE.fullmatch(text.strip())
        if found is None:
            return DUMMY_DATE if text.strip() else ""
        try:
            moved = date(*map(int, found.group(1, 3, 4))) + timedelta(days=self.shift_days)
        except (ValueError, OverflowError):
            return DUMMY_DATE
        return f"{moved:%Y%m%d}" if moved.year >= 1000 else DUMMY_DATE

    def moment(self, text: str) -> str:
        """A DT moved by days: its time of day and offset from UTC stay, where they are such."""
        found = _DATE.match(text.strip())
        if found is None:
            return self.date(text)
        rest = text.strip()[found.end() :]
        return self.date(found.group()) + (rest if _is_rest(rest) else "")


def is_time(text: str) -> bool:
    """Whether a text is a TM."""
    return _TIME.fullmatch(text) is not None


def is_offset(text: str) -> bool:
    """Whether a text is an offset from UTC."""
    return _OFFSET.fullmatch(text) is not None


def is_day(text: str) -> bool:
    """Whether a text is a DA, or a DT that says no more than the day."""
    return _DATE.fullmatch(text) is not None


def _is_rest(text: str) -> bool:
    """Whether a text is what a DT has behind its day."""
    found = _TIME.match(text)
    rest = text[found.end() :] if found else text
    return not rest or is_offset(rest)


def is_registered(uid: str) -> bool:
    """Whether a UID is one of the standard's register (PS3.6 A), which names no object of anybody."""
    return UID(uid, validation_mode=config.IGNORE).name != uid
