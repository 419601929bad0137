"""Dates, times and datetimes in keys: one of them covers all moments of its precision, a range those between its ends
(PS3.4 C.2.2.2.1, C.2.2.2.5).

Moments are text that sorts as they do: YYYYMMDD, HHMMSS.FFFFFF, and YYYYMMDDHHMMSS.FFFFFF in UTC.
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import NamedTuple

# PS3.5 6.2, with the forms of ACR-NEMA. Offsets are -1200 to +1400; any other hyphen is that
# of a range (PS3.4 C.2.2.2.5.3).
_FORMS = {
    "DA": r"\d{4}(?:\d{4}|\.\d\d\.\d\d)",
    "TM": r"\d\d(?::?\d\d(?::?\d\d(?:\.\d{1,6})?)?)?",
    "DT": r"\d{4}(?:\d\d){0,5}(?:(?<=\d{14})\.\d{1,6})?(?:-(?:0\d|1[0-2])[0-5]\d|\+(?:0\d|1[0-4])[0-5]\d)?",
}
_KEYS = {vr: re.compile(f"({form})|({form})? *- *({form})?") for vr, form in _FORMS.items()}
_TIMES = ("000000000000", "235959999999")
_DATETIMES = ("00000101000000000000", "99991231235959999999")
_OFFSET = re.compile(r"([+-])(\d\d)(\d\d)$")


class Span(NamedTuple):
    """First and last moment, both included; empty where a range is open."""

    first: str
    last: str


def ends(vr: str, key: str) -> Span | None:
    """Both ends of a range as they stand, of a single value twice itself; None where it is neither."""
    found = _KEYS[vr].fullmatch(key.strip())
    if found is None:
        return None
    single, first, last = (part or "" for part in found.groups())
    return Span(single or first, single or last) if single or first or last else None


def span(vr: str, key: str, zone: tzinfo | None = None) -> Span | None:
    """The moments that a key covers; None where there are none.

    Args:
        vr: DA, TM or DT.
        key: a value or a range.
        zone: of a DT without an offset; None: that of the machine.
    """
    found = ends(vr, key)
    if found is None:
        return None
    first, last = (_covered(vr, end, zone) if end else Span("", "") for end in found)
    if first is None or last is None:
        return None
    return Span(first.first, last.last)


def combined(dates: str, times: str) -> Span | None:
    """The span of a date range and a time range that are one of datetimes (PS3.4 C.2.2.2.5.4), as the two texts
    without separator; None where they are not two ranges of the same form."""
    date, time = ends("DA", dates), ends("TM", times)
    if date is None or time is None or "-" not in dates or "-" not in times:
        return None
    if [bool(end) for end in date] != [bool(end) for end in time]:
        return None
    whole_day, hours = span("DA", dates), span("TM", times)
    assert whole_day is not None
    assert hours is not None
    return Span(whole_day.first + hours.first, whole_day.last + hours.last)


def offset(value: str) -> tzinfo | None:
    """A value of Timezone Offset From UTC (0008,0201); None where it is none."""
    found = _OFFSET.fullmatch(value.strip())
    if found is None:
        return None
    sign, hours, minutes = found.groups()
    shift = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-shift if sign == "-" else shift) if shift < timedelta(days=1) else None


def _covered(vr: str, value: str, zone: tzinfo | None) -> Span | None:
    """First and last moment of a single value, by its precision."""
    if vr == "DA":
        day = value.replace(".", "")
        return Span(day, day)
    if vr == "TM":
        digits = re.sub("[.:]", "", value)
        first, last = (digits + rest[len(digits) :] for rest in _TIMES)
        return Span(f"{first[:6]}.{first[6:]}", f"{last[:6]}.{last[6:]}")
    return _datetimes(value, zone)


def _datetimes(value: str, zone: tzinfo | None) -> Span | None:
    stated = _OFFSET.search(value)
    if stated is not None:
        zone, value = offset(stated.group()), value[: stated.start()]
    digits = value.replace(".", "")
    first, last = (digits + rest[len(digits) :] for rest in _DATETIMES)
    try:
        if len(digits) < 8:
            last = f"{last[:6]}{monthrange(int(last[:4]), int(last[4:6]))[1]:02}{last[8:]}"
        return Span(_in_utc(first, zone), _in_utc(last, zone))
    except (ValueError, OverflowError, IndexError):
        return None  # no day of the calendar


def _in_utc(digits: str, zone: tzinfo | None) -> str:
    moment = datetime.strptime(digits, "%Y%m%d%H%M%S%f")
    moment = moment.astimezone() if zone is None else moment.replace(tzinfo=zone)
    return moment.astimezone(UTC).strftime("%Y%m%d%H%M%S.%f")
