"""Tolerant reading of single elements: a malformed value counts as absent, it never ends the reading.

Private elements are addressed by their creator (PS3.5 7.8.1), wherever an archive has moved the block to, and
are decoded by their known type where an implicit transfer syntax has turned the value representation into UN.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from datetime import date, time
from functools import cache, lru_cache

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.errors import BytesLengthException
from pydicom.tag import BaseTag
from pydicom.valuerep import DA, DT, TM

from node.recognition.facts import Fault, Vector

MALFORMED = (
    ValueError,
    TypeError,
    AttributeError,
    KeyError,
    IndexError,
    ArithmeticError,
    NotImplementedError,
    EOFError,
    OSError,
    struct.error,
    BytesLengthException,
)

_BINARY = {"FL": "<f", "FD": "<d", "SS": "<h", "US": "<H", "SL": "<i", "UL": "<I"}


def value(dataset: Dataset, keyword: str) -> object | None:
    """The value of a standard element, or None where it is absent, empty or cannot be decoded."""
    tag = _tag(keyword)
    # Most elements asked for are absent; the view of the keys answers that without pydicom's conversions.
    if tag not in dataset.keys():  # noqa: SIM118
        return None
    try:
        found = dataset[tag].value
    except MALFORMED:
        return None
    return None if found is None or found == "" else found


@cache
def _tag(keyword: str) -> BaseTag:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(f"{keyword} is no keyword of the standard")
    return BaseTag(tag)


def text(dataset: Dataset, keyword: str) -> str:
    """The value as stripped text; several values joined by a backslash."""
    return "\\".join(texts(dataset, keyword))


def texts(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """The values as stripped text."""
    return tuple(str(item).strip() for item in _items(value(dataset, keyword)))


def number(dataset: Dataset, keyword: str) -> float | None:
    """The first value as a finite number."""
    found = numbers(dataset, keyword)
    return found[0] if found else None


def integer(dataset: Dataset, keyword: str) -> int | None:
    """The first value as a whole number."""
    found = number(dataset, keyword)
    return None if found is None else int(found)


def numbers(dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """All values as finite numbers, or nothing when one of them is not."""
    return _finite(_items(value(dataset, keyword)))


def vector(dataset: Dataset, keyword: str) -> Vector | None:
    """Three finite numbers."""
    found = numbers(dataset, keyword)
    return (found[0], found[1], found[2]) if len(found) == 3 else None


def item(dataset: Dataset, keyword: str) -> Dataset:
    """The first item of a sequence, or an empty data set."""
    found = value(dataset, keyword)
    try:
        first = next(iter(found), None) if isinstance(found, Iterable) else None
    except MALFORMED:
        return Dataset()
    return first if isinstance(first, Dataset) else Dataset()


def clock_s(dataset: Dataset, date_keywords: tuple[str, ...], time_keyword: str) -> float | None:
    """Seconds of a DA and TM pair, counted from a common midnight; the first valid date is taken."""
    moment = time_of_day(text(dataset, time_keyword))
    if moment is None:
        return None
    for keyword in date_keywords:
        day = _date(text(dataset, keyword))
        if day is not None:
            return day.toordinal() * 86400.0 + moment
    return moment


def datetime_s(dataset: Dataset, keyword: str) -> float | None:
    """Seconds of a DT value, counted from the same midnight as `clock_s`."""
    try:
        moment = DT(text(dataset, keyword))
    except MALFORMED:
        return None
    if moment is None:
        return None
    return moment.toordinal() * 86400.0 + _seconds(moment.time())


@lru_cache(maxsize=256)
def time_of_day(raw: str) -> float | None:
    """Seconds since midnight of a TM value."""
    try:
        moment = TM(raw)
    except MALFORMED:
        return None
    return None if moment is None else _seconds(moment)


@lru_cache(maxsize=256)
def _date(raw: str) -> date | None:
    try:
        return DA(raw)
    except MALFORMED:
        return None


def _seconds(moment: time) -> float:
    return moment.hour * 3600 + moment.minute * 60 + moment.second + moment.microsecond / 1e6


def _items(found: object) -> tuple[object, ...]:
    if found is None:
        return ()
    if isinstance(found, str | bytes) or not isinstance(found, Iterable):
        return (found,)
    return tuple(found)


def _finite(found: Iterable[object]) -> tuple[float, ...]:
    try:
        result = tuple(float(entry) for entry in found)  # type: ignore[arg-type]
    except (ValueError, TypeError, OverflowError):
        return ()
    return result if all(math.isfinite(entry) for entry in result) else ()


class PrivateElements:
    """The private elements of a data set by creator; `faults` collects what could not be decoded."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._blocks: dict[tuple[int, str], list[int]] = {}
        self.faults: list[Fault] = []
        for tag in dataset.keys():  # noqa: SIM118 - iterating a Dataset would convert every element
            if tag & 0x1FF00 == 0x10000 and tag & 0xFF >= 0x10:
                creator = self._text(tag)
                self._blocks.setdefault((tag >> 16, creator), []).append((tag & 0xFF) << 8)

    def has(self, *prefixes: str) -> bool:
        """Whether a creator starts with one of the prefixes."""
        return any(creator.startswith(prefixes) for _, creator in self._blocks)

    def number(self, group: int, creator: str, element: int, vr: str) -> float | None:
        """The first number of an element whose type is `vr`."""
        found = self.numbers(group, creator, element, vr)
        return found[0] if found else None

    def numbers(self, group: int, creator: str, element: int, vr: str) -> tuple[float, ...]:
        """The numbers of an element whose type is `vr`; of the wrong length or kind: none, and a fault."""
        raw = self._raw(group, creator, element)
        if raw is None or raw == "" or raw == b"":
            return ()
        if isinstance(raw, bytes):
            return self._unpacked(raw, vr, f"({group:04X},xx{element:02X}) {creator}")
        return _finite(_items(raw))

    def text(self, group: int, creator: str, element: int) -> str:
        """The element as stripped text."""
        raw = self._raw(group, creator, element)
        return _decoded(raw)

    def binary(self, group: int, creator: str, element: int) -> bytes:
        """The element as it stands, where it is binary."""
        raw = self._raw(group, creator, element)
        return raw if isinstance(raw, bytes) else b""

    def sequence(self, group: int, creator: str, element: int) -> tuple[Dataset, ...]:
        """The items of a private sequence; none where it has been flattened or dropped."""
        raw = self._raw(group, creator, element)
        return tuple(entry for entry in _items(raw) if isinstance(entry, Dataset))

    def _raw(self, group: int, creator: str, element: int) -> object | None:
        for block in self._blocks.get((group, creator), ()):
            tag = BaseTag(group << 16 | block | element)
            if tag in self._dataset.keys():  # noqa: SIM118
                try:
                    return self._dataset[tag].value
                except MALFORMED as error:
                    self.faults.append(Fault("E-PRIVATE-UNDECODED", f"{tag} {creator}: {error}"))
                    return None
        return None

    def _text(self, tag: BaseTag) -> str:
        try:
            return _decoded(self._dataset[tag].value)
        except MALFORMED:
            return ""

    def _unpacked(self, raw: bytes, vr: str, name: str) -> tuple[float, ...]:
        form = _BINARY.get(vr)
        if form is None:
            return _finite(part for part in _decoded(raw).split("\\") if part)
        size = struct.calcsize(form)
        if len(raw) % size:
            self.faults.append(Fault("E-PRIVATE-UNDECODED", f"{name} has {len(raw)} bytes, {vr} needs {size}"))
            return ()
        return _finite(entry for (entry,) in struct.iter_unpack(form, raw))


def _decoded(raw: object) -> str:
    if isinstance(raw, bytes):
        return raw.decode("latin-1").strip("\x00 ")
    return "\\".join(str(entry).strip() for entry in _items(raw))
