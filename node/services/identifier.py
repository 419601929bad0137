"""The identifier of a query or a retrieval (PS3.4 C.4.1.1.3.1), read without trust.

Values are taken as bytes: pydicom's checks of a value hold for what is stored, not for keys, and repeat it in warnings.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from enum import Enum
from io import BytesIO

from pydicom import Dataset
from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.sequence import Sequence as Items
from pydicom.tag import BaseTag
from pydicom.uid import UID
from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS
from pynetdicom.dsutils import decode, encode

from node.dicom.pdu_reader import MALFORMED
from storage.catalogue.attributes import UNIQUE_KEYS, Level, keywords
from storage.catalogue.keys import NARRATIVE, Key, key, vr_of
from storage.catalogue.ranges import offset

MOST_UIDS = 10_000
"""UIDs of one list."""

MOST_VALUES = 100
"""Values of one key that are no UIDs."""

#: They say how a query is meant and where things are; none is matched (PS3.4 C.2.2.2, C.4.1.1.3.2).
_NO_KEYS = frozenset(
    {
        *("SpecificCharacterSet", "QueryRetrieveLevel", "QueryRetrieveView", "TimezoneOffsetFromUTC"),
        *("RetrieveAETitle", "InstanceAvailability", "StorageMediaFileSetID", "StorageMediaFileSetUID"),
        *("RetrieveURL", "RetrieveURI"),
    }
)
_TEXT = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_BINARY = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}
_UNDEFINED = 0xFFFFFFFF


class Root(Enum):
    """A query/retrieve information model (PS3.4 C.6), by its levels."""

    PATIENT = tuple(Level)
    STUDY = (Level.STUDY, Level.SERIES, Level.IMAGE)
    PATIENT_STUDY = (Level.PATIENT, Level.STUDY)


class IdentifierError(Exception):
    """The identifier is not one of its SOP class (status A900); the message repeats no value.

    Attributes:
        tag: of the element that is wrong, where it is one.
    """

    def __init__(self, reason: str, tag: int | None = None) -> None:
        super().__init__(reason)
        self.tag = tag


@dataclass(frozen=True, slots=True)
class Identifier:
    """What is asked for.

    Attributes:
        level: of the entities.
        keys: those that the catalogue has, in their order, with those that ask for a value alone.
        unsupported: others were asked for as well.
        unmatched: keywords of the elements that are no keys.
        character_set: Specific Character Set (0008,0005).
        zone: Timezone Offset From UTC (0008,0201), where it is stated.
    """

    level: Level
    keys: tuple[Key, ...]
    unsupported: bool
    unmatched: frozenset[str] = frozenset()
    character_set: tuple[str, ...] = ()
    zone: tzinfo | None = None


def read_identifier(
    encoded: bytes, syntax: UID, root: Root, relational: bool = False, empty_values: bool = False
) -> Identifier:
    """The identifier of a C-FIND, C-MOVE or C-GET.

    Args:
        encoded: as it came.
        syntax: transfer syntax of its presentation context.
        root: of its SOP class.
        relational: unique keys of the levels above need not be there (PS3.4 C.4.1.2.2.1, C.4.1.3.2.1).
        empty_values: two quotation marks ask for what is empty (PS3.4 C.2.2.2.7).

    Raises:
        IdentifierError: it is none of this SOP class.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom repeats values in its warnings
        try:
            said = _Said(_decoded(encoded, syntax), empty_values)
            return said.identifier(root, relational)
        except (*MALFORMED, EOFError, OSError, zlib.error) as error:
            raise IdentifierError("the identifier cannot be decoded") from error


def shortened(encoded: bytes, syntax: UID, most: int) -> tuple[bytes, str]:
    """An identifier of at most so many bytes, and what it lacks then: its longest elements, by tag.

    What is left is a data set still; of one that cannot be decoded nothing is left.
    """
    if len(encoded) <= most:
        return encoded, ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = _decoded(encoded, syntax)
            form = syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated
            tags = list(dataset.keys())
            sizes = {tag: len(encode(Dataset({tag: dataset.get_item(tag)}), *form[:2]) or b"") for tag in tags}
            left_out: list[BaseTag] = []
            for tag in sorted(sizes, key=sizes.__getitem__, reverse=True):
                if sum(sizes.values()) <= most:
                    break
                del dataset[tag]
                del sizes[tag]
                left_out.append(tag)
            whole = encode(dataset, *form)
        except (*MALFORMED, EOFError, OSError, zlib.error):
            whole, left_out = None, []
    if whole is None or len(whole) > most:
        return b"", f"all {len(encoded)} bytes, which cannot be decoded"
    return whole, ", ".join(str(tag) for tag in sorted(left_out))


def _decoded(encoded: bytes, syntax: UID) -> Dataset:
    return decode(BytesIO(encoded), syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)


class _Said:
    """A data set of keys."""

    def __init__(self, dataset: Dataset, empty_values: bool) -> None:
        self._dataset, self._empty_values = dataset, empty_values
        self._unsupported = False
        self._encodings: list[str] = []
        self._character_set = tuple(self._texts("SpecificCharacterSet"))
        if any(self._character_set):
            self._encodings = convert_encodings(list(self._character_set))

    def identifier(self, root: Root, relational: bool) -> Identifier:
        """The identifier that it is."""
        level = self._level(root)
        keys = tuple(self._keys(self._dataset, keywords(level)))
        if not relational:
            _check_unique_keys(root, level, keys)
        zones = self._texts("TimezoneOffsetFromUTC")
        return Identifier(
            level,
            keys,
            self._unsupported,
            frozenset(keyword for keyword in _NO_KEYS if keyword in self._dataset),
            self._character_set if any(self._character_set) else (),
            offset(zones[0]) if zones else None,
        )

    def _level(self, root: Root) -> Level:
        said = self._texts("QueryRetrieveLevel")
        tag = tag_for_keyword("QueryRetrieveLevel")
        if not any(said):
            raise IdentifierError("there is no Query/Retrieve Level", tag)
        found = next((level for level in root.value if [level] == said), None)
        if found is None:
            levels = ", ".join(root.value)
            raise IdentifierError(f"this SOP class has the levels {levels}", tag)
        return found

    def _texts(self, keyword: str) -> list[str]:
        tag = tag_for_keyword(keyword)
        assert tag is not None
        values = self._values(self._dataset.get_item(tag), vr_of(keyword)) if tag in self._dataset else []
        return [value.strip(" \0") for value in values]

    def _keys(self, dataset: Dataset, known: frozenset[str] | None) -> Iterator[Key]:
        """The keys of a data set; of an item (`known` is None) every attribute is one."""
        for element in dataset.elements():
            keyword = keyword_for_tag(element.tag)
            if not element.tag.element or keyword in _NO_KEYS:
                continue
            if not keyword or (known is not None and keyword not in known):
                _check_length(element)
                self._unsupported = True
            elif vr_of(keyword) == "SQ":
                yield self._sequence(dataset, element.tag, keyword)
            else:
                values = self._values(element, vr_of(keyword))
                most = MOST_UIDS if vr_of(keyword) == "UI" else MOST_VALUES
                if len(values) > most:
                    raise IdentifierError(f"a key of more than {most} values", element.tag)
                yield key(keyword, values, self._empty_values)

    def _sequence(self, dataset: Dataset, tag: BaseTag, keyword: str) -> Key:
        items = dataset[tag].value or ()
        if not isinstance(items, Items | tuple) or len(items) > 1:
            raise IdentifierError("a key that is a sequence has one item", tag)
        return Key(keyword, "SQ", items=tuple(each for item in items for each in self._keys(item, None)))

    def _values(self, element: DataElement | RawDataElement, vr: str) -> list[str]:
        """The values of an element, by the VR that the data dictionary has for it."""
        if isinstance(element, DataElement):  # made of a sequence, or by pydicom of its own accord
            value = element.value
            several = value if isinstance(value, list | tuple) or type(value).__name__ == "MultiValue" else [value]
            return ["" if each is None else str(each) for each in several]
        _check_length(element)
        if vr in _BINARY or vr == "AT":
            return _numbers(element, vr)
        text = self._text(element.value or b"", vr)
        return [text] if vr in NARRATIVE else text.split("\\")

    def _text(self, value: bytes, vr: str) -> str:
        if vr not in _TEXT or (value.isascii() and b"\x1b" not in value):
            return value.decode("latin-1")
        if not self._encodings:
            # The default repertoire has none of these bytes: they are of whoever forgot to say so.
            try:
                return value.decode("utf-8")
            except UnicodeDecodeError:
                return value.decode("latin-1")
        return decode_bytes(value, self._encodings, PN_DELIMS if vr == "PN" else TEXT_VR_DELIMS)


def _check_unique_keys(root: Root, level: Level, keys: Sequence[Key]) -> None:
    """Of each level above there is one value of the unique key (PS3.4 C.4.1.2.1, C.4.1.3.1.1)."""
    said = {each.keyword: each.values for each in keys}
    for above in root.value[: root.value.index(level)]:
        keyword = UNIQUE_KEYS[above]
        values = said.get(keyword, ())
        if len(values) != 1 or any(card in values[0] for card in "*?"):
            reason = f"{level} level needs one value of {keyword}"
            raise IdentifierError(reason, tag_for_keyword(keyword))


def _check_length(element: DataElement | RawDataElement) -> None:
    if isinstance(element, RawDataElement) and element.length not in (_UNDEFINED, len(element.value or b"")):
        raise IdentifierError("the identifier ends inside an element", element.tag)


def _numbers(element: RawDataElement, vr: str) -> list[str]:
    data, order = element.value or b"", "<" if element.is_little_endian else ">"
    if vr == "AT":
        parts = struct.unpack(f"{order}{len(data) // 2}H", data)
        return [f"{group:04X}{number:04X}" for group, number in zip(parts[::2], parts[1::2], strict=True)]
    size = struct.calcsize(_BINARY[vr])
    return [str(number) for number in struct.unpack(f"{order}{len(data) // size}{_BINARY[vr]}", data)]
