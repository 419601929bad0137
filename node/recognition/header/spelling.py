"""Dates, times and numbers as old systems and people spell them, in the form of the standard (PS3.5 6.2).

ACR-NEMA wrote dates with dots and times with colons; gateways write the decimal comma, whole numbers with `.0`, clocks
of twelve hours. What has one meaning is read, whatever its spelling; what could mean two things is no value.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import lru_cache

from pydicom.valuerep import DT

_YEAR_FIRST = re.compile(r"(\d{4})(\d{2})(\d{2})(?:\d{6}(?:\.\d*)?)?|(\d{4})[-./ ](\d{1,2})[-./ ](\d{1,2})")
# With dots the day stands first where the year does not; with slashes it may be the month.
_DAY_FIRST = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})")
_TIME = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d*)?)?"
_HALF = r"(?:[ap]\.?\s?m\b\.?|[上下]午)"
_HALVES = re.compile(
    rf"(?P<before>{_HALF}\s?)?(?P<time>{_TIME}|\d{{2}}(?:\d{{2}}(?:\d{{2}}(?:[.,]\d*)?)?)?)(?P<behind>\s?{_HALF})?",
    re.IGNORECASE,
)
_IN_TEXT = re.compile(rf"(?<![A-Za-z0-9.:])(?:{_HALF}\s?)?{_TIME}(?:\s?{_HALF})?(?![A-Za-z0-9:])", re.IGNORECASE)
_MOMENT = re.compile(r"\d{4,14}(?:\.\d{1,6})?(?:[+-]\d{4})?")
_SPACED_MOMENT = re.compile(r"(\d{4}[-./]\d{1,2}[-./]\d{1,2})[T ]\s*(.+?)\s*(?:(Z)|([+-])(\d{2}):?(\d{2}))?")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
_DIGITS_OF_FRACTION = 6


@lru_cache(maxsize=256)
def read_date(text: str) -> date | None:
    """The date of a DA value: YYYYMMDD, also with separators, or DD.MM.YYYY; None where it is none."""
    plain = _plain(text)
    found, day_first = _YEAR_FIRST.fullmatch(plain), _DAY_FIRST.fullmatch(plain)
    numbers = [int(part) for part in found.groups() if part] if found else []
    if day_first:
        numbers = [int(part) for part in reversed(day_first.groups())]
    try:
        return date(*numbers) if numbers else None
    except ValueError:
        return None


@lru_cache(maxsize=256)
def read_time(text: str) -> time | None:
    """The time of day of a TM value, also with colons, a decimal comma, or a.m. and p.m. in English or Chinese."""
    parts = _parts(text)
    if parts is None:
        return None
    hour, minute, second, fraction, half = parts
    in_full = _in_24_hours(int(hour), half)
    micros = int(fraction[:_DIGITS_OF_FRACTION].ljust(_DIGITS_OF_FRACTION, "0"))
    try:
        # A leap second is the last one of its minute.
        seconds = 59 if second == "60" else int(second or 0)
        return None if in_full is None else time(in_full, int(minute or 0), seconds, micros)
    except ValueError:
        return None


def has_seconds(text: str) -> bool:
    """Whether a TM value tells the second; one that does not may be wrong by a minute."""
    parts = _parts(text)
    return parts is not None and bool(parts[2])


def read_moment(text: str) -> datetime | None:
    """The date and time of a DT value, also with separators; with its offset from UTC where it states one."""
    plain = _plain(text)
    if _MOMENT.fullmatch(plain):
        try:
            return DT(plain)
        except ValueError:
            return None
    found = _SPACED_MOMENT.fullmatch(plain)
    day, at = (read_date(found[1]), read_time(found[2])) if found else (None, None)
    if found is None or day is None or at is None:
        return None
    return datetime.combine(day, at, _offset(*found.groups()[2:]))


def read_number(text: str) -> float | None:
    """The finite number of a DS or IS value, also with a decimal comma."""
    plain = _plain(text)
    if _DECIMAL_COMMA.fullmatch(plain):
        plain = plain.replace(",", ".")
    try:
        number = float(plain)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def clock_in(text: str) -> str:
    """The first time of day, with its seconds, that somebody wrote into a text; empty without one."""
    return next((found for found in _IN_TEXT.findall(text) if has_seconds(found) and read_time(found)), "")


def standard_form(vr: str, text: str) -> str:
    """A DA, TM, DT, DS or IS value as the standard writes it; what is written so already stays as it is.

    Raises:
        ValueError: it has no certain meaning.
    """
    written = _WRITTEN[vr](text)
    if written is None:
        raise ValueError(f"no {vr}")
    return written


def _plain(text: str) -> str:
    return " ".join(text.replace("\0", " ").split())


def _parts(text: str) -> tuple[str, str, str, str, str] | None:
    """Hour, minute, second and fraction of a time as digits, and the half of the day; empty what is not told."""
    found = _HALVES.fullmatch(_plain(text))
    if found is None or (found["before"] and found["behind"]):
        return None
    whole, _, fraction = found["time"].replace(",", ".").partition(".")
    pieces = whole.split(":") if ":" in whole else [whole[:2], whole[2:4], whole[4:]]
    hour, minute, second = (*pieces, "", "")[:3]
    return hour, minute, second, fraction, (found["before"] or found["behind"] or "").strip().lower()


def _in_24_hours(hour: int, half: str) -> int | None:
    """None where the half of the day contradicts the hour: 14 a.m., 0 p.m."""
    if not half:
        return hour
    afternoon = half[0] in "p下"
    if 1 <= hour <= 12:
        return hour % 12 + (12 if afternoon else 0)
    return hour if (hour > 12) == afternoon else None


def _offset(utc: str | None, sign: str | None, hours: str | None, minutes: str | None) -> timezone | None:
    if utc:
        return UTC
    if not hours or not minutes:
        return None
    away = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-away if sign == "-" else away)


def _written_date(text: str) -> str | None:
    found = read_date(text)
    return None if found is None else found.strftime("%Y%m%d")


def _written_time(text: str) -> str | None:
    parts, found = _parts(text), read_time(text)
    if parts is None or found is None:
        return None
    _, minute, second, fraction, _ = parts
    told = f"{found.hour:02d}{minute}{second}"
    return f"{told}.{fraction[:_DIGITS_OF_FRACTION]}" if fraction else told


def _written_moment(text: str) -> str | None:
    plain, found = _plain(text), read_moment(text)
    if found is None or _MOMENT.fullmatch(plain):
        return None if found is None else plain
    fraction = f".{found.microsecond:06d}" if found.microsecond else ""
    return f"{found:%Y%m%d%H%M%S}{fraction}{found:%z}"


def _written_number(text: str) -> str | None:
    number, plain = read_number(text), _plain(text)
    return None if number is None else plain.replace(",", ".")


def _written_whole(text: str) -> str | None:
    number = read_number(text)
    return None if number is None or not number.is_integer() else str(int(number))


_WRITTEN = {
    "DA": _written_date,
    "TM": _written_time,
    "DT": _written_moment,
    "DS": _written_number,
    "IS": _written_whole,
}
