"""The identity of objects: what is one, what is a revision of it, and what is a clash. All of the node goes by it.

- One object is a SOP Instance UID within a series of a study: its `InstanceKey` in that study.
- Its content is its data set together with the transfer syntax that the bytes are encoded in (`Content`): the same
  bytes mean something else in another syntax. Preamble and file meta information are no part of it: they are the
  writer's.
- The same content again is a duplicate and changes nothing.
- Another content under the same UID in the same series is a revision: the one that arrived last counts, the files of
  the others are kept. Where nothing arrives (files in a folder) the last in the order of their names counts.
- The same SOP Instance UID in another series, or in another study, is a clash of two objects: both are kept, each
  series is analysed whole as what it is, and the clash is named by its code, `CLASH`.
- A result of this node is known by its SOP Instance UID alone: nobody else makes UIDs under its root, and an archive
  that files it under another series or study must not bring it back as an image. Under other UIDs it is known by its
  equipment, its series and what it was made from (`storage.objects`).

No object that was acknowledged is left out of an analysis unnamed, save revisions that a later one replaces.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

CLASH = "E-UID-CLASH"


@dataclass(frozen=True, slots=True, order=True)
class InstanceKey:
    """One object of a study."""

    series_instance_uid: str
    sop_instance_uid: str

    def __str__(self) -> str:
        return f"{self.series_instance_uid}/{self.sop_instance_uid}"


@dataclass(frozen=True, slots=True)
class Content:
    """The content of an object.

    `digest` is the SHA-256 (hex) of the data set bytes, `transfer_syntax_uid` what they are encoded in, empty where no
    file meta information says.
    """

    digest: str
    transfer_syntax_uid: str

    @property
    def identifier(self) -> str:
        """SHA-256 (hex) over both: the same for the same content only."""
        return hashlib.sha256(f"{self.digest} {self.transfer_syntax_uid}".encode()).hexdigest()
