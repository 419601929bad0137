"""What stands before a received data set in its file (PS3.10 7.1): preamble and file meta information.

Written in bytes: pydicom takes as long for it as storing an image takes.
"""

from __future__ import annotations

import struct
from functools import lru_cache

from pynetdicom import PYNETDICOM_IMPLEMENTATION_UID, PYNETDICOM_IMPLEMENTATION_VERSION

_PREFIX = bytes(128) + b"DICM"


def head(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Preamble and file meta information of an object."""
    before, after = _around(sop_class_uid, transfer_syntax_uid)
    return _file(before + _uid(0x0003, sop_instance_uid) + after)


def head_without_uids(transfer_syntax_uid: str) -> bytes:
    """The same where class and instance are not sure; readers take such a file nevertheless."""
    return _file(_uid(0x0010, transfer_syntax_uid))


@lru_cache(64)
def _around(sop_class_uid: str, transfer_syntax_uid: str) -> tuple[bytes, bytes]:
    """What stands before and after the SOP Instance UID."""
    version = struct.pack("<HH2sHL", 0x0002, 0x0001, b"OB", 0, 2) + b"\0\1"
    implementation = _uid(0x0012, str(PYNETDICOM_IMPLEMENTATION_UID))
    name = _element(0x0013, b"SH", PYNETDICOM_IMPLEMENTATION_VERSION.encode("ascii"), b" ")
    return version + _uid(0x0002, sop_class_uid), _uid(0x0010, transfer_syntax_uid) + implementation + name


def _file(elements: bytes) -> bytes:
    return _PREFIX + _element(0x0000, b"UL", struct.pack("<L", len(elements)), b"") + elements


def _uid(number: int, uid: str) -> bytes:
    return _element(number, b"UI", uid.encode("ascii"), b"\0")


def _element(number: int, vr: bytes, value: bytes, padding: bytes) -> bytes:
    value += padding * (len(value) % 2)
    return struct.pack("<HH2sH", 0x0002, number, vr, len(value)) + value
