"""The body of a request that stores: its parts, each a DICOM file (PS3.10), on their way into the spool."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from node.dicom.command import Refusal
from node.recognition.header.elements import MALFORMED
from node.services.leases import Sender
from node.services.store import CANNOT_UNDERSTAND, FileArrival, Reception, StorageSCP
from node.web.media_types import DICOM
from node.web.problems import MalformedError
from node.web.stored import Stored
from storage.errors import HeaderError
from storage.header import file_meta

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MOST_PARTS = 100_000
"""Of one request."""

_META = 2**14
"""Bytes of a part that are looked at for its file meta information, which has about 500 …"""

_MOST_META = 2**18
"""… and at most so many."""


class Upload:
    """What a request brings, part by part; used by one thread at a time."""

    def __init__(self, storage: StorageSCP, sender: Sender, boundary: bytes | None, study: str) -> None:
        """`boundary` is None of a body that is one object; `study` is that of the path, where it has one."""
        self._storage, self._sender, self._study = storage, sender, study
        self._stored: list[Stored] = []
        self._beginning = bytearray()  # of a part, until its file meta information is whole
        self._named = ("", "")
        self._reception: Reception | None = None
        self._ended = boundary is None
        self._parser = None if boundary is None else MultipartParser(boundary, self._callbacks())

    def write(self, piece: bytes) -> None:
        """Take a piece of the body.

        Raises:
            MalformedError: it is no multipart message.
        """
        if self._parser is None:
            self._data(piece, 0, len(piece))
            return
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise MalformedError(f"the body is no multipart message; {self._so_far}") from error

    def end(self) -> list[Stored]:
        """The body is whole; what became of its parts.

        Raises:
            MalformedError: it has no parts, or no end.
        """
        if self._parser is None:
            self._part_end()
        if not self._ended:
            raise MalformedError(f"the body ends within a part; {self._so_far}")
        if not self._stored:
            raise MalformedError("the body has no parts")
        return self._stored

    def discard(self) -> None:
        """Remove what is left of a part that did not end."""
        if self._reception is not None:
            self._reception.discard()
            self._reception = None

    @property
    def _so_far(self) -> str:
        kept = sum(each.refusal is None for each in self._stored)
        return f"{kept} objects before it were stored"

    def _callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._part_begin,
            "on_part_data": self._data,
            "on_part_end": self._part_end,
            "on_end": self._message_end,
        }

    def _part_begin(self) -> None:
        if len(self._stored) >= MOST_PARTS:
            raise MalformedError(f"a request has at most {MOST_PARTS} parts; {self._so_far}")

    def _message_end(self) -> None:
        self._ended = True

    def _data(self, data: bytes, start: int, end: int) -> None:
        view = memoryview(data)[start:end]
        if self._reception is not None:
            self._reception.write(view)
            return
        self._beginning += view
        if len(self._beginning) >= _META:
            self._begin(final=len(self._beginning) >= _MOST_META)

    def _part_end(self) -> None:
        if self._reception is None:
            self._begin(final=True)
        reception, self._reception = self._reception, None
        assert reception is not None
        refusal = reception.end()
        header = reception.header
        sop_class, instance = (header.sop_class_uid, header.sop_instance_uid) if header else self._named
        study, series = (header.study_instance_uid, header.series_instance_uid) if header else ("", "")
        self._stored.append(Stored(sop_class, instance, study, series, refusal))

    def _begin(self, final: bool) -> None:
        """Begin to write the file, once its file meta information is whole; `final`: no more is waited for."""
        beginning = bytes(self._beginning)
        try:
            syntax, start = file_meta(beginning)
        except HeaderError as error:
            if not final:
                return
            refusal = Refusal(CANNOT_UNDERSTAND, f"not {DICOM}: {error}")
            arrival, start = FileArrival(self._sender, "", b"", refusal=refusal), 0
        else:
            if start >= len(beginning) - 8 and not final:
                return
            arrival = FileArrival(self._sender, syntax, beginning[:start], self._study)
        self._named = _named(arrival.head)
        self._beginning.clear()
        self._reception = self._storage.begin(arrival)
        self._reception.write(memoryview(beginning)[start:])


def _named(head: bytes) -> tuple[str, str]:
    """SOP class and instance that the file meta information names; empty where it names none."""
    if not head:
        return "", ""
    try:
        meta = dcmread(io.BytesIO(head), stop_before_pixels=True).file_meta
        return str(meta.get("MediaStorageSOPClassUID", "")), str(meta.get("MediaStorageSOPInstanceUID", ""))
    except (*MALFORMED, InvalidDicomError):
        return "", ""
