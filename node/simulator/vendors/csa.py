"""Siemens CSA header, (0029,xx10) of ``SIEMENS CSA HEADER``: little-endian entries after the magic ``SV10``.

The layout is that of public readers: an entry has a name of 64 bytes, VM, VR of 4 bytes, syngo data type, number of
items and a marker; an item repeats its length three times around the marker and is padded to 4 bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

_ENTRY = struct.Struct("<64s i 4s i i i")
_ITEM = struct.Struct("<4i")
_MARKER = 77
_SYNGO_TYPES = {"IS": 6, "CS": 16, "FD": 4, "DS": 3, "US": 11, "LO": 18}


def csa_header(entries: Mapping[str, tuple[str, Sequence[object]]]) -> bytes:
    """The header that holds `entries`: name → (VR, values), values written as text."""
    encoded = b"".join(_entry(name, vr, values) for name, (vr, values) in entries.items())
    return b"SV10\x04\x03\x02\x01" + struct.pack("<2i", len(entries), _MARKER) + encoded


def _entry(name: str, vr: str, values: Sequence[object]) -> bytes:
    head = _ENTRY.pack(name.encode("ascii"), len(values), vr.encode("ascii"), _SYNGO_TYPES[vr], len(values), _MARKER)
    return head + b"".join(_item(str(value)) for value in values)


def _item(text: str) -> bytes:
    raw = text.encode("ascii") + b"\0"
    return _ITEM.pack(len(raw), len(raw), _MARKER, len(raw)) + raw.ljust((len(raw) + 3) & ~3, b"\0")
