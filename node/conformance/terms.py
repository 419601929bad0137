"""The codes in results, and the items of reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pydicom.dataset import Dataset

from node.conformance.examples import Example, by_class
from node.conformance.markdown import table
from node.results.modules import LOCAL_SCHEME

_SHORT_NAMES = {
    "1.2.840.10008.5.1.4.1.1.4": "MR",
    "1.2.840.10008.5.1.4.1.1.7": "SC",
    "1.2.840.10008.5.1.4.1.1.66.4": "SEG",
    "1.2.840.10008.5.1.4.1.1.88.59": "KO",
    "1.2.840.10008.5.1.4.1.1.104.1": "PDF",
}
_MOST_VALUES = 4  # that are named
#: TID 4019, which every number has.
_ALGORITHM = frozenset({"111000", "111001", "111002", "111003"})

_Code = tuple[str, str, str]
"""Coding Scheme Designator, Code Value, Code Meaning."""


@dataclass(slots=True)
class Item:
    """Content items of one place in the tree; `values` are of codes and units."""

    relationship: str
    value_type: str
    values: dict[_Code, None] = field(default_factory=dict)


def schemes(examples: Sequence[Example]) -> str:
    """Coding schemes, and how many codes of each there are."""
    codes = _codes(examples)
    names = sorted({scheme for scheme, _, _ in codes})
    rows = [
        (f"`{name}`", sum(scheme == name for scheme, _, _ in codes), "private" if name.startswith("99") else "standard")
        for name in names
    ]
    return table(("coding scheme", "codes", ""), rows)


def codes_as_table(examples: Sequence[Example]) -> str:
    """Every code, and the kinds of objects that have it."""
    rows = [
        (scheme, f"`{value}`", meaning, ", ".join(sorted(kinds)))
        for (scheme, value, meaning), kinds in sorted(_codes(examples).items())
    ]
    return table(("scheme", "value", "meaning", "in"), rows)


def private_codes(examples: Sequence[Example]) -> str:
    """How many codes are the node's own."""
    return str(sum(scheme == LOCAL_SCHEME for scheme, _, _ in _codes(examples)))


def content_tree(examples: Sequence[Example]) -> str:
    """The content items of each document, by its title; each kind of item once at its place."""
    tree: dict[tuple[_Code, ...], Item] = {}
    for example in examples:
        if "ContentSequence" in example.dataset:
            _grow(tree, (_code(example.dataset.ConceptNameCodeSequence[0]),), example.dataset)
    rows: dict[_Code, list[tuple[str, ...]]] = {}
    for path, it in _in_order(tree):
        if path[-1][1] not in _ALGORITHM:
            name = f"{'>' * (len(path) - 2)}{_said(path[-1])}"
            rows.setdefault(path[0], []).append((name, it.relationship, it.value_type, _several(it.values)))
    head = ("concept", "relationship", "value type", "codes, units")
    return "\n\n".join(f"#### {_said(title)}\n\n{table(head, found)}" for title, found in rows.items())


def _grow(tree: dict[tuple[_Code, ...], Item], above: tuple[_Code, ...], container: Dataset) -> None:
    for content in container.get("ContentSequence", ()):
        names = content.get("ConceptNameCodeSequence")
        path = (*above, _code(names[0]) if names else ("", "", content.ValueType))
        item = tree.setdefault(path, Item(content.get("RelationshipType", ""), content.get("ValueType", "")))
        for coded in _coded_values(content):
            item.values[coded] = None
        _grow(tree, path, content)


def _coded_values(content: Dataset) -> Iterator[_Code]:
    for code in content.get("ConceptCodeSequence", ()):
        yield _code(code)
    for measured in content.get("MeasuredValueSequence", ()):
        yield from map(_code, measured.MeasurementUnitsCodeSequence)


def _in_order(tree: dict[tuple[_Code, ...], Item]) -> Iterator[tuple[tuple[_Code, ...], Item]]:
    """Each item before what it contains, its siblings in the order in which they were met."""
    children: dict[tuple[_Code, ...], list[tuple[_Code, ...]]] = {}
    for path in tree:
        children.setdefault(path[:-1], []).append(path)
    waiting = [path for path in reversed(list(tree)) if path[:-1] not in tree]
    while waiting:
        path = waiting.pop()
        yield path, tree[path]
        waiting += reversed(children.get(path, []))


def _several(values: dict[_Code, None]) -> str:
    said = [_said(code) for code in values]
    more = f" and {len(said) - _MOST_VALUES} more" if len(said) > _MOST_VALUES else ""
    return "; ".join(said[:_MOST_VALUES]) + more


def _said(code: _Code) -> str:
    scheme, value, meaning = code
    return f"{meaning} ({value}, {scheme})" if scheme else meaning


def _codes(examples: Sequence[Example]) -> dict[_Code, set[str]]:
    found: dict[_Code, set[str]] = {}
    for uid, members in by_class(examples).items():
        for example in members:
            for code in _coded(example.dataset):
                found.setdefault(code, set()).add(_SHORT_NAMES.get(uid, "SR" if "SR" in uid.name else uid.name))
    return found


def _coded(dataset: Dataset) -> Iterator[_Code]:
    """The codes in a data set and in all its items."""
    if "CodingSchemeDesignator" in dataset and "CodeMeaning" in dataset:
        yield _code(dataset)
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _coded(item)


def _code(item: Dataset) -> _Code:
    value = next(str(item[key].value) for key in ("CodeValue", "LongCodeValue", "URNCodeValue") if key in item)
    return str(item.CodingSchemeDesignator), value, str(item.CodeMeaning)
