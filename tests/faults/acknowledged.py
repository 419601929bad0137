"""What a node has answered with Success, and whether it still has it: the ledger that no fault may falsify."""

from __future__ import annotations

import hashlib
import struct
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import create_engine, text

from node.settings import Settings


def data_set_digest(file: bytes) -> str:
    """SHA-256 of the data set in a DICOM file, by its group length (0002,0000) and nothing of the node's.

    Of what is no DICOM file, of all of it.
    """
    if file[128:132] != b"DICM" or len(file) < 144:
        return hashlib.sha256(file).hexdigest()
    (group_length,) = struct.unpack_from("<I", file, 140)
    return hashlib.sha256(file[144 + group_length :]).hexdigest()


@dataclass(frozen=True)
class Kept:
    """What became of acknowledged images.

    Attributes:
        acknowledged: how many there are.
        lost: names of those of which the node has no row, or no file.
        changed: names of those whose file holds other bytes than were sent.
    """

    acknowledged: int
    lost: tuple[str, ...]
    changed: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether each is there with its bytes."""
        return not self.lost and not self.changed


@dataclass
class Acknowledged:
    """Digests of the images that were answered with Success, by SOP Instance UID; senders note them in threads."""

    digests: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, sop_instance_uid: str, file: Path) -> None:
        """Success was answered to this image."""
        digest = data_set_digest(file.read_bytes())
        with self._lock:
            self.digests[sop_instance_uid] = digest

    def only(self, sop_instance_uids: Iterable[str]) -> Acknowledged:
        """Those of some images."""
        return Acknowledged({uid: self.digests[uid] for uid in sop_instance_uids if uid in self.digests})

    def kept_in(self, settings: Settings) -> Kept:
        """What the node of these settings has of it: by the rows of its index, and their files."""
        with self._lock:
            wanted = dict(self.digests)
        rows, lost, changed = _received(settings.storage_url), [], []
        for uid, digest in wanted.items():
            files = [settings.root / path for path in rows.get(uid, ()) if (settings.root / path).is_file()]
            if not files:
                lost.append(uid)
            elif digest not in {data_set_digest(path.read_bytes()) for path in files}:
                changed.append(uid)
        return Kept(len(wanted), tuple(lost), tuple(changed))


def _received(url: str) -> dict[str, list[str]]:
    """Paths of the received files by SOP Instance UID."""
    engine = create_engine(url)
    found: dict[str, list[str]] = {}
    try:
        with engine.connect() as connection:
            query = text("SELECT sop_instance_uid, path FROM dicom_object WHERE origin = 'RECEIVED'")
            for uid, path in connection.execute(query):
                found.setdefault(uid, []).append(path)
    finally:
        engine.dispose()
    return found
