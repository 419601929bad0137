"""The attributes of the SOP instances that the node makes, read from examples of each SOP class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from node.conformance.examples import Example, by_class
from node.conformance.markdown import table

_DEEPEST = 3  # sequences within sequences
_LONGEST = 48  # characters of a value that is shown
_OF_EACH = frozenset({"DA", "TM", "DT", "OB", "OW", "OF", "UN"})
#: Told of in a table of its own: the content of a report.
_CONTENT = Tag("ContentSequence")

_Path = tuple[BaseTag, ...]


@dataclass(slots=True)
class Found:
    """What the examples have of an attribute; `there` counts data sets or items that have it, `filled` those with a
    value, and `copied` those with the value of a source image."""

    name: str
    vr: str
    there: int = 0
    filled: int = 0
    copied: int = 0
    values: set[str] = field(default_factory=set)


def created_instances(examples: Sequence[Example]) -> str:
    """The SOP classes of results."""
    rows = []
    for uid, found in by_class(examples).items():
        modalities = sorted({str(it.dataset.Modality) for it in found})
        series = sorted({int(it.dataset.SeriesNumber) for it in found})
        rows.append((uid.name, uid, ", ".join(modalities), ", ".join(map(str, series))))
    return table(("SOP class", "UID", "modality", "series numbers"), rows)


def attributes_of_each(examples: Sequence[Example]) -> str:
    """A table of attributes for each SOP class, under its name."""
    parts = (f"#### {uid.name}\n\n{_attributes(found)}" for uid, found in by_class(examples).items())
    return "\n\n".join(parts)


def private_attributes(examples: Sequence[Example]) -> str:
    """A sentence on private attributes."""
    found = sorted({str(it.tag) for example in examples for it in example.dataset.iterall() if it.tag.is_private})
    return f"Private attributes of results: {', '.join(found)}." if found else "No result has a private attribute."


def _attributes(examples: Sequence[Example]) -> str:
    attributes: dict[_Path, Found] = {}
    parents: dict[_Path, int] = {(): len(examples)}
    for example in examples:
        for path, element in _walk(example.dataset, ()):
            if path[-1] == Tag(0xFFFE, 0xE000):
                parents[path[:-1]] = parents.get(path[:-1], 0) + 1
                continue
            assert element is not None
            known = attributes.setdefault(path, Found(element.name, element.VR))
            _note(known, element, example.sources if len(path) == 1 else ())
    rows = [
        (f"{'>' * (len(path) - 1)}{it.name}", str(path[-1]), it.vr, _presence(it, parents[path[:-1]]), _value(it))
        for path, it in sorted(attributes.items())
    ]
    return table(("attribute", "tag", "VR", "presence", "value"), rows)


def _walk(dataset: Dataset, above: _Path) -> Iterator[tuple[_Path, DataElement | None]]:
    """Elements with the tags of the sequences that they are in; before those of an item the item, without element."""
    for element in dataset:
        path = (*above, element.tag)
        yield path, element
        if element.VR == "SQ" and element.tag != _CONTENT and len(path) <= _DEEPEST:
            for item in element.value:
                yield (*path, Tag(0xFFFE, 0xE000)), None
                yield from _walk(item, path)


def _note(found: Found, element: DataElement, sources: Sequence[Dataset]) -> None:
    found.there += 1
    if element.is_empty:
        return
    found.filled += 1
    if any(element.tag in source and source[element.tag].value == element.value for source in sources):
        found.copied += 1
    if element.VR != "SQ" and len(found.values) < 2:
        found.values.add(_text(element))


def _text(element: DataElement) -> str:
    if element.VR in ("OB", "OW", "OF", "UN"):
        return "bytes"
    value = element.value
    return "\\".join(map(str, value)) if element.VM > 1 else str(value)


def _presence(found: Found, parents: int) -> str:
    """As PS3.2 abbreviates it."""
    if not found.filled:
        return "EMPTY"
    if found.there < parents:
        return "ANAP"
    return "ALWAYS" if found.filled == found.there else "VNAP"


def _value(found: Found) -> str:
    if found.copied and found.copied == found.filled:
        return "COPY"
    if found.vr == "SQ" or not found.filled:
        return ""
    (value, *others) = found.values
    if others or len(value) > _LONGEST or found.vr in _OF_EACH:
        return "AUTO"
    if found.vr != "UI":
        return f"`{value}`"
    name = UID(value).name
    return "AUTO" if name == value else f"{name} ({value})"
