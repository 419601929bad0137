"""Private elements by their creator (PS3.5 7.8.1), wherever an archive has moved the block to.

They are decoded by their known type where an implicit transfer syntax has turned the value representation into UN.
"""

from __future__ import annotations

import struct

from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.values import convert_SQ

from node.codes import Code
from node.recognition.header.elements import MALFORMED, as_it_stands, finite, items, three
from node.recognition.header.facts import Fault, Vector

_BINARY = {"FL": "<f", "FD": "<d", "SS": "<h", "US": "<H", "SL": "<i", "UL": "<I"}


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

    @property
    def orphans(self) -> bool:
        """Whether there are private elements in a block that no creator has taken."""
        taken = {(group, block) for (group, _), blocks in self._blocks.items() for block in blocks}
        return any(
            tag & 0x10000 and tag & 0xFF00 >= 0x1000 and (tag >> 16, tag & 0xFF00) not in taken
            for tag in self._dataset.keys()  # noqa: SIM118
        )

    def number(self, group: int, creator: str, element: int, vr: str) -> float | None:
        """The first number of an element whose type is `vr`."""
        found = self.numbers(group, creator, element, vr)
        return found[0] if found else None

    def integer(self, group: int, creator: str, element: int, vr: str) -> int | None:
        """The same without what stands behind the decimal point."""
        found = self.number(group, creator, element, vr)
        return None if found is None else int(found)

    def numbers(self, group: int, creator: str, element: int, vr: str) -> tuple[float, ...]:
        """The numbers of an element whose type is `vr`; of the wrong length or kind: none, and a fault."""
        raw = self._raw(group, creator, element)
        if raw is None or raw == "" or raw == b"":
            return ()
        if isinstance(raw, bytes):
            return self._unpacked(raw, vr, f"({group:04X},xx{element:02X}) {creator}")
        return finite(items(raw))

    def vector(self, group: int, creator: str, elements: tuple[int, int, int], vr: str) -> Vector | None:
        """The numbers of three elements."""
        parts = (self.number(group, creator, element, vr) for element in elements)
        return three([part for part in parts if part is not None])

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
        if isinstance(raw, bytes):
            raw = self._items(raw, f"({group:04X},xx{element:02X}) {creator}")
        return tuple(entry for entry in items(raw) if isinstance(entry, Dataset))

    def _raw(self, group: int, creator: str, element: int) -> object | None:
        for block in self._blocks.get((group, creator), ()):
            tag = BaseTag(group << 16 | block | element)
            if tag in self._dataset.keys():  # noqa: SIM118
                try:
                    return self._dataset[tag].value
                except MALFORMED:
                    # As it stands: the type that the element is known to have reads more than the stated one.
                    return as_it_stands(self._dataset, tag)
        return None

    def _items(self, raw: bytes, name: str) -> Sequence | None:
        try:
            # What has become UN is encoded as implicit VR little endian (PS3.5 6.2.2).
            return convert_SQ(raw, is_implicit_VR=True, is_little_endian=True)
        except MALFORMED:
            self.faults.append(Fault(Code.PRIVATE_UNDECODED, f"{name} is no sequence"))
            return None

    def _text(self, tag: BaseTag) -> str:
        try:
            return _decoded(self._dataset[tag].value)
        except MALFORMED:
            return ""

    def _unpacked(self, raw: bytes, vr: str, name: str) -> tuple[float, ...]:
        form = _BINARY.get(vr)
        if form is None:
            return finite(part for part in _decoded(raw).split("\\") if part)
        size = struct.calcsize(form)
        if len(raw) % size:
            self.faults.append(Fault(Code.PRIVATE_UNDECODED, f"{name} has {len(raw)} bytes, {vr} needs {size}"))
            return ()
        return finite(entry for (entry,) in struct.iter_unpack(form, raw))


def _decoded(raw: object) -> str:
    if isinstance(raw, bytes):
        return raw.decode("latin-1").strip("\x00 ")
    return "\\".join(str(entry).strip() for entry in items(raw))
