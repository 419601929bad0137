"""The folder of a de-identified export: objects, the lists of what is there and of what was left out, and its end.

`export.json` is written last: a folder without it is no whole export. A file has its name once it is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from models.spreadsheet import write_row
from node.deidentification.instance import Deidentified
from node.deidentification.kinds import UnreadableObjectError
from node.errors import NodeError
from storage.durability import sync, write

DOCUMENT, UNDER_WAY, OBJECTS = "export.json", "export-under-way", "objects"
_LISTS = {
    "files.csv": ("path", "sha256", "size", "patient", "study", "series", "object", "sop_class"),
    "left-out.csv": ("patient", "study", "series", "object", "sop_class", "reason"),
    "cases.csv": ("study", "patient", "objects", "left_out"),
}


class ExportFolder:
    """A folder that an export is written into; used as a context, which closes its lists."""

    def __init__(self, target: Path) -> None:
        self.path = target
        self._files = {name: (target / name).open("x", encoding="utf-8", newline="") for name in _LISTS}
        for name, columns in _LISTS.items():
            write_row(self._files[name], columns)

    def add(self, it: Deidentified, pseudonym: str) -> int:
        """Keep an object, which has its name once it is whole and on the disk; its size in bytes.

        Raises:
            UnreadableObjectError: it cannot be written; nothing of it is there.
            OSError: the disk refused.
        """
        relative = Path(OBJECTS, pseudonym, it.study_instance_uid, it.series_instance_uid, f"{it.sop_instance_uid}.dcm")
        path = self.path / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        try:
            with partial.open("wb") as file:
                it.write(file)
                file.flush()
                os.fsync(file.fileno())
        except UnreadableObjectError:
            partial.unlink()
            raise
        os.replace(partial, path)
        size = path.stat().st_size
        uids = (it.study_instance_uid, it.series_instance_uid, it.sop_instance_uid, it.sop_class_uid)
        self._row("files.csv", (relative.as_posix(), _digest(path), size, pseudonym, *uids))
        return size

    def leave_out(self, pseudonym: str, uids: Sequence[str], sop_class_uid: str, reason: str) -> None:
        """Note an object that stays here; `uids` of study, series and object are the new ones."""
        self._row("left-out.csv", (pseudonym, *uids, sop_class_uid, reason))

    def case(self, study: str, pseudonym: str, objects: int, left_out: int) -> None:
        """Note a study that has come to its end, by its new UID."""
        self._row("cases.csv", (study, pseudonym, objects, left_out))

    def close(self) -> None:
        """Close the lists."""
        for file in self._files.values():
            file.close()

    def finish(self, said: dict[str, object]) -> None:
        """Say, durably and last of all, that the export is whole, and what it is.

        Raises:
            OSError: the disk refused.
        """
        self.close()
        for name in _LISTS:
            sync(self.path / name)
        for folder, _, _ in os.walk(self.path):
            sync(Path(folder))
        lists = {name: _digest(self.path / name) for name in _LISTS}
        document = json.dumps({**said, "lists": lists}, indent=1, ensure_ascii=False)
        write(self.path / DOCUMENT, f"{document}\n".encode())
        (self.path / UNDER_WAY).unlink()
        sync(self.path)

    def _row(self, name: str, values: Sequence[object]) -> None:
        write_row(self._files[name], values)


@contextmanager
def export_folder(target: Path, root: Path) -> Iterator[ExportFolder]:
    """A new or empty folder, made into an export.

    Raises:
        NodeError: it lies in the root or above it, or holds something.
        OSError: it cannot be made.
    """
    require_free(target, root)
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        os.close(os.open(target / UNDER_WAY, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        raise NodeError(f"{target}: another export is being made there") from None
    folder = ExportFolder(target)
    try:
        yield folder
    finally:
        folder.close()


def require_free(target: Path, root: Path) -> None:
    """Refuse a target of an export that is not its own.

    Raises:
        NodeError: it lies in the root or above it, or holds something.
    """
    there, inside = target.resolve(), root.resolve()
    if there == inside or inside in there.parents or there in inside.parents:
        raise NodeError(f"{target}: an export lies neither in the root nor above it")
    if target.exists() and not target.is_dir():
        raise NodeError(f"{target}: is no folder")
    if (target / UNDER_WAY).exists():
        raise NodeError(f"{target}: an export is being made there, or was interrupted: remove it, and export again")
    if target.is_dir() and any(target.iterdir()):
        raise NodeError(f"{target}: holds something: give an empty folder, or a new one")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
