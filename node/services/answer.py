"""The identifier of a C-FIND response (PS3.4 C.4.1.1.3.2): the attributes of an entity that were asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydicom import Dataset, config
from pydicom.charset import python_encoding
from pydicom.dataelem import DataElement
from pydicom.valuerep import format_number_as_ds

from node.services.identifier import Identifier
from storage.catalogue import fitting
from storage.catalogue.attributes import UNIQUE_KEYS
from storage.catalogue.entity import Entity
from storage.catalogue.keys import Key, vr_of

_TEXT = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_LATIN, _UNICODE = "ISO_IR 100", "ISO_IR 192"
_DEFAULT_REPERTOIRE = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6"})


def answer(entity: Entity, asked: Identifier, ae_title: str) -> Dataset:
    """The answer for an entity.

    Args:
        entity: that fits.
        asked: what the query says.
        ae_title: where the objects can be retrieved from.
    """
    found = Dataset()
    zones = fitting.Zones(asked.zone)
    for key in asked.keys:
        found.add(_element(key, entity.elements.get(key.tag), zones))
    unique = Key(UNIQUE_KEYS[asked.level], vr_of(UNIQUE_KEYS[asked.level]))
    found.add(_element(unique, entity.elements.get(unique.tag), zones))
    for keyword in asked.unmatched & {"InstanceAvailability", "TimezoneOffsetFromUTC"}:
        key = Key(keyword, vr_of(keyword))
        found.add(_element(key, entity.elements.get(key.tag), zones))
    found.QueryRetrieveLevel = str(asked.level)
    found.RetrieveAETitle = ae_title
    _declare(found, asked.character_set)
    return found


def _element(key: Key, model: Mapping[str, Any] | None, zones: fitting.Zones) -> DataElement:
    """An element with its values; without any where the entity has none."""
    values = (model or {}).get("Value", [])
    if key.vr == "SQ":
        return DataElement(key.tag, "SQ", [_item(key, each) for each in values if fitting.item_fits(key, each, zones)])
    return _of_values(key.tag, key.vr, values)


def _item(key: Key, item: fitting.Elements) -> Dataset:
    """An item with the attributes that were asked for; all of it where none was."""
    if not key.items:
        return _whole(item)
    found = Dataset()
    for each in key.items:
        found.add(_element(each, item.get(each.tag), fitting.Zones()))
    return found


def _whole(item: fitting.Elements) -> Dataset:
    found = Dataset()
    for tag, model in item.items():
        values = model.get("Value", [])
        if model["vr"] == "SQ":
            found.add(DataElement(tag, "SQ", [_whole(each) for each in values]))
        else:
            found.add(_of_values(tag, model["vr"], values))
    return found


def _of_values(tag: str, vr: str, values: Sequence[Any]) -> DataElement:
    # As they were sent, whatever a check of them would say.
    return DataElement(tag, vr, _value(vr, values), validation_mode=config.IGNORE)


def _value(vr: str, values: Sequence[Any]) -> Any:  # noqa: ANN401 (of any VR)
    if vr in ("US", "SS", "UL", "SL", "FL", "FD", "UV", "SV"):
        return list(values) or None
    if vr == "DS":
        return "\\".join("" if each is None else format_number_as_ds(float(each)) for each in values)
    return "\\".join(map(fitting.text_of, values))


def _declare(found: Dataset, asked: Sequence[str]) -> None:
    """Name the character set of an answer: that of the query where all text can be written in it."""
    texts = list(_texts(found))
    plain = all(text.isascii() for text in texts)
    if asked and (plain or all(map(_writable(asked), {character for text in texts for character in text}))):
        found.SpecificCharacterSet = list(asked)
    elif not plain:
        latin = all(_is_in(character, "latin-1") for text in texts for character in text)
        found.SpecificCharacterSet = _LATIN if latin else _UNICODE


def _texts(dataset: Dataset) -> Iterator[str]:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _texts(item)
        elif element.VR in _TEXT and element.value:
            values: Iterable[Any] = element.value if element.VM > 1 else [element.value]
            yield from map(str, values)


def _writable(asked: Sequence[str]) -> Callable[[str], bool]:
    """Whether a character is in one of these sets."""
    encodings = ["ascii" if name in _DEFAULT_REPERTOIRE else python_encoding.get(name, "ascii") for name in asked]
    return lambda character: any(_is_in(character, encoding) for encoding in encodings)


def _is_in(character: str, encoding: str) -> bool:
    try:
        character.encode(encoding)
    except (UnicodeError, LookupError):
        return False
    return True
