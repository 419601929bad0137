"""In which offset from UTC an object tells its times, and how DICOM writes them.

An object has one offset, Timezone Offset From UTC (0008,0201) of the SOP Common module (PS3.3 C.12.1.1): every date and
time in it that states none of its own is in it, those that were copied from the source included. So it is the offset of
the source; where the source states none, that of the site's zone when the study was made, which keeps summer time for a
study of July that is analysed again in January.
"""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

from pydicom.dataset import Dataset
from pydicom.valuerep import DA, TM

_OFFSET = re.compile(r"([+-])(\d{2})([0-5]\d)")
_WEST, _EAST = timedelta(hours=-12), timedelta(hours=14)
#: Studies that say they are older come from an anonymiser; zones had odd offsets then.
_FIRST_YEAR = 1970


def offset_of(header: Dataset, time_zone: str, created_at: datetime) -> timezone:
    """Offset from UTC, in whole minutes, of the objects that are made from a source.

    Args:
        header: of the source.
        time_zone: the site's zone by its IANA name; empty: the machine's.
        created_at: when the objects came to be, aware; decides where the study has no date, or one that cannot be.
    """
    stated = _stated(header)
    if stated is not None:
        return stated
    moment = _moment_of(header)
    if moment is None or not _FIRST_YEAR <= moment.year <= created_at.year:
        return _in_minutes(created_at.astimezone(ZoneInfo(time_zone) if time_zone else None))
    return _in_minutes(moment.replace(tzinfo=ZoneInfo(time_zone)) if time_zone else moment.astimezone())


def pdf_date(moment: datetime) -> str:
    """A moment as a date of PDF (ISO 32000-1, 7.9.4)."""
    zone = f"{moment:%z}"
    return f"D:{moment:%Y%m%d%H%M%S}{zone[:3]}'{zone[3:]}'"


def _stated(header: Dataset) -> timezone | None:
    """The offset from UTC that the source states; -0000, which shall not be used, is none."""
    text = str(header.get("TimezoneOffsetFromUTC", "")).strip()
    found = _OFFSET.fullmatch(text)
    if found is None or text == "-0000":
        return None
    sign, hours, minutes = found.groups()
    away = timedelta(hours=int(hours), minutes=int(minutes)) * (-1 if sign == "-" else 1)
    return timezone(away) if _WEST <= away <= _EAST else None


def _moment_of(header: Dataset) -> datetime | None:
    """When the study began, by the clock on the wall; noon where only the date is told."""
    try:
        day = DA(header.get("StudyDate") or "")
    except (ValueError, TypeError):
        return None
    try:
        at = TM(header.get("StudyTime") or "")
    except (ValueError, TypeError):
        at = None
    return None if day is None else datetime.combine(day, at or time(12))


def _in_minutes(moment: datetime) -> timezone:
    away = moment.utcoffset() or timedelta()
    return timezone(timedelta(minutes=away // timedelta(minutes=1)))
