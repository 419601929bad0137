"""DICOM files under one root: received objects and results, a spool, a quarantine.

``objects/<study>/<series>/<SOP instance>-<content>.dcm`` — the content (`storage.identity`) in the name means that a
revision never overwrites what was there, and that storing the same content twice is one file. Whatever has its final
name is complete and durable: written under a temporary name in `spool` (same file system), fsync, rename,
fsync of the folder, which those share who need it at the same time.
A caller that makes something else durable as well (`place`) does it while the folder is synced.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from storage.durability import FolderSyncs, sync
from storage.header import check_uid, content_of
from storage.identity import Content
from storage.records import InstanceHeader, StoredFile
from storage.spool import SpooledFile
from storage.study_locks import StudyLocks

_MOST_FOLDERS = 4096  # that are remembered


@dataclass(frozen=True, slots=True)
class Placed:
    """A file whose bytes survive a power cut, and whose name is about to."""

    file: StoredFile
    named: Future[None]

    def wait(self) -> None:
        """Return when the name survives a power cut as well.

        Raises:
            OSError: the disk refused.
        """
        self.named.result()


class ObjectStore:
    """The files of the node; paths in records are relative to `root`, so that the root can be moved.

    Attributes:
        locks: by which it is known whose files are in use.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.spool = self.root / "spool"
        # Folders whose entries this process knows to survive a power cut: that one is there does not say so, another
        # may just have made it.
        self._durable: dict[Path, None] = {}
        self._syncs = FolderSyncs()
        self.locks = StudyLocks(self.root)
        self._make_durably(self.spool)

    def is_there(self) -> bool:
        """Whether the root is: neither removed nor the empty folder where its file system was mounted."""
        return self.spool.is_dir() and (self.root / "objects").is_dir()

    def spooled(self, *parts: bytes | memoryview) -> Path:
        """A new file in `spool` of these bytes, not durable yet: `store` and `quarantine` take it over.

        Raises:
            OSError: the disk refused; nothing is left behind.
        """
        descriptor, name = tempfile.mkstemp(dir=self.spool, suffix=".part")
        try:
            with os.fdopen(descriptor, "wb") as file:
                for part in parts:
                    file.write(part)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
        return Path(name)

    def spool_file(self, head: bytes, transfer_syntax_uid: str) -> SpooledFile:
        """A file in `spool` to be written piece by piece.

        Args:
            head: preamble and file meta information.
            transfer_syntax_uid: what the data set is encoded in.

        Raises:
            OSError: the disk refused; nothing is left behind.
        """
        return SpooledFile(self.spool, head, transfer_syntax_uid)

    def store(self, data: bytes | Path | SpooledFile, header: InstanceHeader) -> StoredFile:
        """Keep a DICOM file; `data` is its bytes, or a complete file in `spool`, which is moved.

        Returns when the file survives a power cut.

        Raises:
            HeaderError: a UID of the header cannot be a file name.
            OSError: the disk refused; nothing has the final name.
        """
        placed = self.place(data, header)
        placed.wait()
        return placed.file

    def place(self, data: bytes | Path | SpooledFile, header: InstanceHeader) -> Placed:
        """As `store`, but return when the bytes survive a power cut; the name does after `Placed.wait`."""
        content = _content_of(data)
        return self._keep(data, self._name(header, content), content)

    def name(self, spooled: Path, header: InstanceHeader) -> None:
        """As `store`, of a file that an object has already: where the disk refuses, it stays in `spool`."""
        content = content_of(spooled)
        self._keep(spooled, self._name(header, content), content, is_kept=True).wait()

    def name_of(self, path: Path, header: InstanceHeader) -> Path:
        """The name, relative to the root, under which a DICOM file is kept.

        Raises:
            HeaderError: a UID of the header cannot be a file name.
        """
        return self._name(header, content_of(path))

    def leftovers(self) -> list[Path]:
        """Files in the spool: being written now, or left by interrupted writers."""
        return sorted(path for path in self.spool.iterdir() if path.is_file())

    def quarantine(self, data: bytes | Path | SpooledFile, reason: str) -> StoredFile:
        """Keep bytes that cannot be indexed, with the reason in a small JSON file beside them.

        The name is the content: a sender that repeats the same broken object does not fill the disk.
        """
        content = _content_of(data)
        path = Path("quarantine", f"{content.identifier}.dcm")
        document = json.dumps({"digest": content.digest, "reason": reason}, indent=1).encode()
        for placed in (
            self._keep(document, path.with_suffix(".json"), content_of(document)),
            kept := self._keep(data, path, content),
        ):
            placed.wait()
        return kept.file

    def set_aside(self, file: StoredFile, content: Content | None, reason: str) -> StoredFile:
        """Move a stored file that is not what was stored into quarantine, with the reason beside it.

        `content` is what it has now; None: it cannot be read, and is moved as it is.

        Raises:
            OSError: the disk refused.
        """
        source = self.absolute(file)
        name = content.identifier if content else f"unreadable-{hashlib.sha256(os.fsencode(file.path)).hexdigest()}"
        target = Path("quarantine", f"{name}.dcm")
        size = source.stat().st_size
        document = json.dumps({"digest": content.digest if content else "", "reason": reason}, indent=1).encode()
        self._keep(document, target.with_suffix(".json"), content_of(document)).wait()
        os.replace(source, self.root / target)
        sync((self.root / target).parent)
        sync(source.parent)
        return StoredFile(target, content.digest if content else "", size)

    def absolute(self, file: StoredFile) -> Path:
        """Where the file is now."""
        return self.root / file.path

    def free_bytes(self) -> int:
        """Free space of the file system that holds the root, for an ordinary user."""
        return shutil.disk_usage(self.root).free

    def _name(self, header: InstanceHeader, content: Content) -> Path:
        study = check_uid(header.study_instance_uid, "Study Instance UID")
        series = check_uid(header.series_instance_uid, "Series Instance UID")
        instance = check_uid(header.sop_instance_uid, "SOP Instance UID")
        folder = Path("objects", study, series)
        # Before the transfer syntax was part of the content the name held the digest of the data set alone.
        former = folder / f"{instance}-{content.digest[:16]}.dcm"
        return former if self._holds(former, content) else folder / f"{instance}-{content.identifier[:16]}.dcm"

    def _holds(self, relative: Path, content: Content) -> bool:
        target = self.root / relative
        return target.is_file() and content_of(target) == content

    def _keep(
        self, data: bytes | Path | SpooledFile, relative: Path, content: Content, is_kept: bool = False
    ) -> Placed:
        target = self.root / relative
        if self._holds(relative, content):
            _discard(data)
            # Its writer may not have come to this yet, and the caller is about to acknowledge.
            file = StoredFile(relative, content.digest, target.stat().st_size)
            return Placed(file, self._syncs.begin(target.parent))
        temporary = self.spooled(data) if isinstance(data, bytes) else data
        try:
            self._make_durably(target.parent)
            size = _synced(temporary)
            if isinstance(temporary, SpooledFile):
                temporary.move(target)
            else:
                os.replace(temporary, target)
        except OSError:
            self._durable.pop(target.parent, None)  # it may be gone
            if not is_kept:
                _discard(temporary)
            raise
        return Placed(StoredFile(relative, content.digest, size), self._syncs.begin(target.parent))

    def _make_durably(self, folder: Path) -> None:
        """Make a folder whose entry survives a power cut; the root itself only where there is none.

        The folders that stand in the root may be links, to another disk; those within them are the node's own.

        Raises:
            OSError: the disk refused, or a link stands there.
        """
        known = folder in self._durable or self.root not in folder.parents
        if known and folder.is_dir():  # one that was there goes with the study that was in it
            return
        self._make_durably(folder.parent)
        if folder.is_symlink() and folder.parent not in (self.root, self.root.parent):
            raise OSError(errno.ELOOP, "a link in the root leads elsewhere and is not followed", str(folder))
        folder.mkdir(exist_ok=True)
        sync(folder.parent)
        self._durable[folder] = None
        if len(self._durable) > _MOST_FOLDERS:
            self._durable.pop(next(iter(self._durable)), None)


def _content_of(data: bytes | Path | SpooledFile) -> Content:
    return data.content if isinstance(data, SpooledFile) else content_of(data)


def _synced(file: Path | SpooledFile) -> int:
    """The size of a file whose bytes survive a power cut from here on."""
    if isinstance(file, SpooledFile):
        file.sync()
        return file.size
    sync(file)
    return file.stat().st_size


def _discard(data: bytes | Path | SpooledFile) -> None:
    if isinstance(data, SpooledFile):
        data.discard()
    elif isinstance(data, Path):
        data.unlink(missing_ok=True)
