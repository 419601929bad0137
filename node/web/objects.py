"""The stored objects that a path means, as they can be had."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from sqlalchemy import Engine

from node.dicom.conversion.errors import ConversionError
from node.dicom.conversion.meta import as_it_is
from node.dicom.conversion.pixels import decoder_of
from node.dicom.sendable import Sendable, opened
from node.recognition.header.elements import MALFORMED
from node.web.media_types import DICOM, Accepted
from node.web.multipart import PIECE
from node.web.problems import MalformedError, NotHereError, uid
from storage.catalogue import retrieval
from storage.catalogue.retrieval import TooManyObjectsError, UniqueKeys
from storage.errors import HeaderError
from storage.files import ObjectStore

MOST = 100_000
"""Objects of one retrieval."""

EXPLICIT = str(ExplicitVRLittleEndian)
_NATIVE = frozenset({ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian})
#: Never sent (PS3.18 8.7.3.5.2).
_NOT_OF_THE_WEB = frozenset({str(ImplicitVRLittleEndian), str(ExplicitVRBigEndian)})


@contextmanager
def damage_told() -> Iterator[None]:
    """What pydicom raises of damaged bytes, which repeats them, as a `HeaderError` that does not."""
    try:
        yield
    except OSError:
        raise
    except (*MALFORMED, InvalidDicomError, RecursionError) as error:
        raise HeaderError(f"the file is damaged: {type(error).__name__}") from error


@dataclass(frozen=True, slots=True)
class WebObject:
    """A stored object.

    Attributes:
        file: where it is, and what is known of it.
        digest: of its data set.
    """

    file: Sendable
    digest: str

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.file.path

    @property
    def syntax(self) -> str:
        """The transfer syntax that it is stored in."""
        return self.file.header.transfer_syntax_uid

    @property
    def is_encapsulated(self) -> bool:
        """Whether its pixels are compressed."""
        return UID(self.syntax) not in _NATIVE and self.syntax != DeflatedExplicitVRLittleEndian

    def address(self, service: str) -> str:
        """Where it can be retrieved."""
        header = self.file.header
        study, series = header.study_instance_uid, header.series_instance_uid
        return f"{service}/studies/{study}/series/{series}/instances/{header.sop_instance_uid}"

    def pieces(self, syntax: str) -> Iterator[bytes]:
        """The DICOM file in a transfer syntax.

        Raises:
            ConversionError: it cannot be had in it.
            HeaderError: the file is damaged.
            OSError: it cannot be read.
        """
        with damage_told(), opened(self.file, syntax) as (content, _):
            for begin in range(0, len(content), PIECE):
                yield content[begin : begin + PIECE]

    def chosen(self, ranges: Sequence[Accepted], multipart: bool) -> str:
        """The transfer syntax that it is sent in; empty where none is accepted that it can be had in.

        Without a word on transfer syntaxes that is Explicit VR Little Endian (PS3.18 8.7.3.5.2).
        """
        for each in ranges:
            if not each.takes(DICOM, multipart):
                continue
            wanted = each.transfer_syntax or EXPLICIT
            if wanted in ("*", self.syntax) and self.syntax not in _NOT_OF_THE_WEB:
                return self.syntax
            if (wanted == EXPLICIT or wanted == "*") and self.can_be_decoded:
                return EXPLICIT
        return ""

    @property
    def can_be_decoded(self) -> bool:
        """Whether there is a decoder for its transfer syntax, where it needs one."""
        if not self.is_encapsulated:
            return True
        try:
            decoder_of(as_it_is(self.syntax))
        except ConversionError:
            return False
        return True


class WebObjects:
    """Looks up stored objects; as in C-MOVE, what has just come is found, and what is withdrawn is not."""

    def __init__(self, engine: Engine, files: ObjectStore) -> None:
        self._engine, self._files = engine, files

    def of(self, study: str, series: str = "", instance: str = "") -> list[WebObject]:
        """The objects of a study, of a series of it, or one of them.

        Raises:
            MalformedError: a UID is none, or there are too many objects.
            NotHereError: there are none.
        """
        named = (("study", study), ("series", series), ("instance", instance))
        said = {f"{name}_uid": uid(value, f"the UID of the {name}") for name, value in named if value}
        keys = UniqueKeys(
            study_instance_uids=(said["study_uid"],),
            series_instance_uids=(said["series_uid"],) if series else (),
            sop_instance_uids=(said["instance_uid"],) if instance else (),
        )
        try:
            with self._engine.connect() as connection:
                rows = retrieval.objects(connection, keys, MOST)
        except TooManyObjectsError as error:
            raise MalformedError(f"{error}: ask for its series") from error
        if not rows:
            raise NotHereError(f"the {'instance' if instance else 'series' if series else 'study'}")
        return [
            WebObject(Sendable(self._files.absolute(file), header, file.size), file.digest) for header, file in rows
        ]

    def served(self, study: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """An answer of several objects of a study, which nothing removes while it is being read."""
        with self._files.locks.using([study]):
            yield from pieces

    def one(self, study: str, series: str, instance: str) -> WebObject:
        """An instance; raises as `of`."""
        return self.of(study, series, instance)[-1]


def entity_tag(objects: Sequence[WebObject], variant: str) -> str:
    """What tells one state of these objects, in a form, from another (RFC 9110 8.8.3)."""
    digest = hashlib.sha256(variant.encode())
    for each in objects:
        digest.update(f"{each.syntax} {each.digest}\n".encode())
    return f'"{digest.hexdigest()[:32]}"'
