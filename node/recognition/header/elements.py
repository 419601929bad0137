"""Tolerant reading of single elements: a malformed value counts as absent, it never ends the reading."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from datetime import time
from functools import cache

from pydicom import Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.tag import BaseTag

from node.recognition.header import spelling
from node.recognition.header.facts import Scaling, Vector
from storage.dicom_files import ELEMENT_ERRORS
from storage.errors import HeaderError
from storage.header import check_uid

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f]+")
_TEXT_NUMBERS = frozenset({"DS", "IS"})
MALFORMED = (OSError, *ELEMENT_ERRORS)


def value(dataset: Dataset, keyword: str) -> object | None:
    """The value of a standard element, or None where it is absent, empty or cannot be decoded."""
    tag = _tag(keyword)
    # Most elements asked for are absent; the view of the keys answers that without pydicom's conversions.
    if tag not in dataset.keys():  # noqa: SIM118
        return None
    try:
        found = dataset[tag].value
    except MALFORMED:
        found = _as_written(dataset, tag)
    return None if found is None or found == "" else found


def as_it_stands(dataset: Dataset, tag: int) -> object | None:
    """The value of an element without any conversion; None where it is absent, empty, or too long to have been read."""
    element = dataset.get_item(tag, keep_deferred=True)
    return None if element is None else element.value


def _as_written(dataset: Dataset, tag: BaseTag) -> list[str] | None:
    """The values of an element of numbers in text that pydicom cannot convert, as they stand."""
    raw = as_it_stands(dataset, tag)
    if dictionary_VR(tag) not in _TEXT_NUMBERS or not isinstance(raw, bytes):
        return None
    return raw.decode("latin-1").split("\\")


@cache
def _tag(keyword: str) -> BaseTag:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(f"{keyword} is no keyword of the standard")
    return BaseTag(tag)


def text(dataset: Dataset, keyword: str) -> str:
    """The value as stripped text; several values joined by a backslash."""
    return "\\".join(texts(dataset, keyword))


def uid(dataset: Dataset, keyword: str) -> str:
    """A UID as it stands, leading zeros of components and all; empty where it is absent or none."""
    try:
        return check_uid(identifier(dataset, keyword), keyword)
    except HeaderError:
        return ""


def identifier(dataset: Dataset, keyword: str) -> str:
    """The text that stands where a UID should, read as the storage does, which knows objects by it: the bytes are text,
    whatever value representation they are said to have."""
    tag = _tag(keyword)
    raw = as_it_stands(dataset, tag)
    return (raw.decode("latin-1") if isinstance(raw, bytes) else text(dataset, keyword)).strip(" \0")


def texts(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """The values as stripped text, without control characters."""
    return tuple(_CONTROLS.sub(" ", str(item)).strip() for item in items(value(dataset, keyword)))


def number(dataset: Dataset, keyword: str) -> float | None:
    """The first value as a finite number."""
    found = numbers(dataset, keyword)
    return found[0] if found else None


def integer(dataset: Dataset, keyword: str) -> int | None:
    """The first value as a whole number; None where it is no whole one."""
    found = number(dataset, keyword)
    return int(found) if found is not None and found.is_integer() else None


def numbers(dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """All values as finite numbers, or nothing when one of them is not."""
    return finite(items(value(dataset, keyword)))


def vector(dataset: Dataset, keyword: str) -> Vector | None:
    """Three finite numbers."""
    return three(numbers(dataset, keyword))


def three(found: Sequence[float]) -> Vector | None:
    """Three numbers, or nothing when there are more or fewer."""
    return (found[0], found[1], found[2]) if len(found) == 3 else None


def scaling(dataset: Dataset, scale_slope: float | None) -> Scaling:
    """Rescale Slope and Intercept of a data set, or of the Pixel Value Transformation of a frame."""
    return Scaling(number(dataset, "RescaleSlope"), number(dataset, "RescaleIntercept"), scale_slope)


def item(dataset: Dataset, keyword: str) -> Dataset:
    """The first item of a sequence, or an empty data set."""
    return next(iter(datasets(dataset, keyword)), Dataset())


def datasets(dataset: Dataset, keyword: str) -> tuple[Dataset, ...]:
    """The items of a sequence; none where the element is absent or is no sequence."""
    try:
        return tuple(each for each in items(value(dataset, keyword)) if isinstance(each, Dataset))
    except MALFORMED:
        return ()


def stated(dataset: Dataset, keyword: str) -> bool:
    """Whether an element is there and not empty, be it readable or not."""
    tag = _tag(keyword)
    if tag not in dataset.keys():  # noqa: SIM118
        return False
    found = as_it_stands(dataset, tag)
    if isinstance(found, bytes):
        # A number of zero bytes is a 0 where numbers are binary, and nothing where they are text.
        return bool(found.strip(b" \0") if dictionary_VR(tag) in _TEXT_NUMBERS else found)
    return found not in (None, "", [])


def clock_s(dataset: Dataset, date_keywords: tuple[str, ...], time_keyword: str) -> float | None:
    """Seconds of a DA and TM pair, counted from a common midnight; the first valid date is taken.

    None for a time without seconds: it may be wrong by a minute.
    """
    moment = time_of_day(text(dataset, time_keyword))
    if moment is None:
        return None
    for keyword in date_keywords:
        day = spelling.read_date(text(dataset, keyword))
        if day is not None:
            return day.toordinal() * 86400.0 + moment
    return moment


def datetime_s(dataset: Dataset, keyword: str) -> float | None:
    """Seconds of a DT value, counted from the same midnight as `clock_s`."""
    moment = spelling.read_moment(text(dataset, keyword))
    return None if moment is None else moment.toordinal() * 86400.0 + _seconds(moment.time())


def time_of_day(raw: str) -> float | None:
    """Seconds since midnight of a TM value that tells them."""
    moment = spelling.read_time(raw)
    return None if moment is None or not spelling.has_seconds(raw) else _seconds(moment)


def to_the_minute(dataset: Dataset, keyword: str) -> bool:
    """Whether a time is told without its seconds."""
    raw = text(dataset, keyword)
    return spelling.read_time(raw) is not None and not spelling.has_seconds(raw)


def _seconds(moment: time) -> float:
    return moment.hour * 3600 + moment.minute * 60 + moment.second + moment.microsecond / 1e6


def items(found: object) -> tuple[object, ...]:
    """The values of an element, one or many."""
    if found is None:
        return ()
    if isinstance(found, str | bytes) or not isinstance(found, Iterable):
        return (found,)
    return tuple(found)


def finite(found: Iterable[object]) -> tuple[float, ...]:
    """The values as numbers, or nothing when one of them is no finite number."""
    result = [_number(entry) for entry in found]
    known = [entry for entry in result if entry is not None]
    return tuple(known) if len(known) == len(result) else ()


def first(found: Iterable[float | None]) -> float | None:
    """The first number that is there."""
    return next((entry for entry in found if entry is not None), None)


def _number(entry: object) -> float | None:
    if isinstance(entry, str):
        return spelling.read_number(entry)
    try:
        number = float(entry)  # type: ignore[arg-type]
    except (ValueError, TypeError, OverflowError):
        return None
    return number if math.isfinite(number) else None
