"""The origin of an object, as its header tells: the equipment that it names, and the images that it was made from.

Only whether this node is named is told of the equipment, no text of the sender; of long sequences the beginning is
looked at, and a broken one tells what stands before the break.
"""

from __future__ import annotations

import re

from storage.elements import ITEM, ITEM_END, SEQUENCE_END, UNDEFINED, Encoding, Source, after_items, element
from storage.errors import HeaderError
from storage.inflation import Plain

#: How the node calls itself in Manufacturer, Manufacturer's Model Name and Software Versions of its results.
PRODUCT = "rectal-node"

# Manufacturer, Manufacturer's Model Name, Software Versions: of the object, and in Contributing Equipment Sequence.
_EQUIPMENT = frozenset({0x00080070, 0x00081090, 0x00181020})
_LONGEST_NAME = 256  # bytes
_REFERENCED_INSTANCE = 0x00081155
_UID = re.compile(rb"[0-9.]{1,64}")
_MAXIMUM_SOURCES = 64
# Contributing Equipment, Source Image, the functional groups with the Derivation Image Sequence of frames.
_TOP = frozenset({0x0018A001, 0x00082112, 0x52009229, 0x52009230})
_NESTED = frozenset({0x00089124, 0x00082112})
#: Top-level elements that tell something of the origin.
OF_ORIGIN = _TOP | _EQUIPMENT
# What Referenced Image Sequence names an image was planned on, and not made from.
_PASSED_OVER = 0x00081140
_LOOKED_AT = 2**16  # bytes of a sequence


def names_this_node(name: str) -> bool:
    """Whether a Manufacturer, a model or a software is this node."""
    return PRODUCT in name.lower()


class Origin:
    """Looks at elements that a walk over a data set comes by, and keeps what they tell."""

    def __init__(self) -> None:
        self.made_here = False
        self._sources: dict[str, None] = {}

    @property
    def sources(self) -> tuple[str, ...]:
        """SOP Instance UIDs of images that the object was made from, the first of them."""
        return tuple(self._sources)

    def look(self, source: Source, encoding: Encoding, tag: int, length: int, value: int) -> None:
        """Look at a top-level element whose value begins at `value`."""
        if tag in _TOP:
            self._sequence(Plain(source.at(value, min(length, _LOOKED_AT))), encoding)
        else:
            self._value(source, tag, length, value)

    def _sequence(self, source: Plain, encoding: Encoding) -> None:
        """Look at all elements within a sequence, however they are nested."""
        position: int | None = 0
        # Sequences of undefined length that have not ended; where the outer one ends, other elements follow.
        opened: list[int] = []
        try:
            while position is not None and source.reaches(position + 8):
                position = self._nested(source, encoding, position, opened)
        except HeaderError:
            return  # cut at the limit, or broken: the walk itself tells

    def _nested(self, source: Plain, encoding: Encoding, position: int, opened: list[int]) -> int | None:
        """Offset of the next element; None at the end of the sequence."""
        tag, vr, length, value = element(source, position, encoding)
        if tag == SEQUENCE_END:
            return value if opened and opened.pop() else None
        if tag in (ITEM, ITEM_END):
            return value
        if tag == _PASSED_OVER:
            return after_items(source, value, encoding, 0) if length == UNDEFINED else value + length
        if vr == b"SQ" or tag in _NESTED or length == UNDEFINED:
            opened.extend([tag] if length == UNDEFINED else [])
            return value
        self._value(source, tag, length, value, nested=True)
        return value + length

    def _value(self, source: Source, tag: int, length: int, value: int, nested: bool = False) -> None:
        if tag in _EQUIPMENT:
            name = source.at(value, min(length, _LONGEST_NAME))
            self.made_here = self.made_here or names_this_node(name.decode("latin-1"))
        elif nested and tag == _REFERENCED_INSTANCE and len(self._sources) < _MAXIMUM_SOURCES:
            uid = source.at(value, min(length, _LONGEST_NAME)).strip(b" \0")
            if _UID.fullmatch(uid):
                self._sources[uid.decode("ascii")] = None
