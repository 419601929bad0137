"""A backup of a node that runs: its databases as they are at one moment, and every file that they name.

The queue is copied before the index, so that the index is the newer of the two: what had ended is not computed again.
Files are never changed once they have their names; those that a former backup on the same path has are not copied anew.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from itertools import chain
from pathlib import Path

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from node import errors
from node.analysis.progress import queue_database
from node.clock import utc_now
from node.errors import NodeError
from node.operations import backup_format as form
from node.operations import postgresql
from node.operations.backup_format import Description, Part
from node.operations.watching import Watch, unwatched
from node.settings import Settings
from storage import inventory
from storage.audit import Audit, AuditAction, AuditEvent
from storage.database import open_engine
from storage.database_faults import told
from storage.durability import sync
from storage.errors import StorageError
from storage.inventory import Listed
from storage.migrations import is_current
from storage.online_copy import copy_database, settle


class Keep(StrEnum):
    """How files are kept: as copies; as hard links, on the same file system; or by others, from the list."""

    COPIES = "copies"
    LINKS = "links"
    LIST = "list"


@dataclass(frozen=True, slots=True)
class BackedUp:
    """A backup that is whole, but for files that are named: they are gone, or damaged, in the root itself.

    `added` of the files were not there from a former backup; `size` in bytes is that of all. `unrecorded`: why that it
    was made is not on record; empty where it is.
    """

    path: Path
    made_at: datetime
    files: int
    added: int
    size: int
    kept: Keep
    faults: dict[str, str]
    unrecorded: str = ""


def back_up(
    settings: Settings, target: Path, keep: Keep = Keep.COPIES, watch: Watch[Listed] = unwatched, by: str = ""
) -> BackedUp:
    """Back a node up, which may run; again onto the same path only what is new is copied, and what is gone goes.

    That it was done goes on record, with who did it (`by`).

    Raises:
        NodeError: the target is something else, or a database cannot be copied; the backup before is as it was.
        OSError: the disk refused.
    """
    root, target = settings.root.absolute(), target.absolute()
    _require_free(target, root)
    with _alone(target):
        (target / form.UNDER_WAY).touch()
        made_at = datetime.now(UTC)
        stamp = f"{made_at:%Y%m%dT%H%M%S%fZ}"
        queue = _copy_queue(root, target / f"queue-{stamp}.sqlite")
        index, engine = _copy_index(settings, target, stamp)
        try:
            files = _Files(root, target / form.FILES, keep)
            names = target / f"files-{stamp}.jsonl"
            _list(engine, root, files, names, watch)
        finally:
            engine.dispose()
        os.sync()
        kind = "sqlite" if index.name.endswith(".sqlite") else "postgresql"
        form.write(
            target,
            Description(
                form.VERSION,
                made_at,
                kind,
                index,
                queue,
                form.part_of(names),
                files.count,
                files.size,
                keep is not Keep.LIST,
            ),
        )
        _remove_former(target, stamp)
        (target / form.UNDER_WAY).unlink()
    unrecorded = _on_record(settings, by, target, files.count)
    return BackedUp(target, made_at, files.count, files.added, files.size, keep, files.faults, unrecorded)


class _Files:
    """Keeps files, one after the other, and counts them."""

    def __init__(self, root: Path, target: Path, keep: Keep) -> None:
        self._root, self._target, self._keep = root, target, keep
        self.count = self.added = self.size = 0
        self.faults: dict[str, str] = {}

    def take(self, it: Listed) -> Listed | None:
        """Keep a file; as it is to be listed, None where it is not there as it should be."""
        try:
            kept = self._kept(it)
        except FileNotFoundError:
            if it.digest:
                self.faults[it.path] = "the file is gone"
            return None
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self.faults[it.path] = f"it cannot be read: {error.strerror}"
            return None
        if kept is not None:
            self.count, self.size = self.count + 1, self.size + kept.size
        return kept

    def _kept(self, it: Listed) -> Listed | None:
        source, target = self._root / it.path, self._target / it.path
        status = source.stat()
        known = replace(it, size=status.st_size)
        if it.digest and status.st_size != it.size:
            self.faults[it.path] = f"it has {status.st_size} bytes and not {it.size}"
            return None
        if self._keep is Keep.LIST:
            return replace(known, digest=it.digest or inventory.digest_of(source, it.of_data_set))
        if not _is_there(target, status):
            self._copy(source, target)
            digest = inventory.digest_of(target, it.of_data_set) if self._keep is Keep.COPIES else it.digest
            if it.digest and digest != it.digest:
                target.unlink()
                self.faults[it.path] = "its bytes are not those that were stored"
                return None
            self.added += 1
            it = replace(it, digest=digest)
        return replace(known, digest=it.digest or inventory.digest_of(target, it.of_data_set))

    def _copy(self, source: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.part")
        partial.unlink(missing_ok=True)
        if self._keep is Keep.LINKS:
            try:
                os.link(source, partial)
            except OSError as error:
                raise NodeError(f"{target}: no hard link can be made ({error.strerror}): leave out --link") from error
        else:
            shutil.copy2(source, partial)
        os.replace(partial, target)


def _on_record(settings: Settings, by: str, target: Path, files: int) -> str:
    """Why it is not on record, as in a database that cannot be written; one of an earlier release is left as it is."""
    engine = create_engine(settings.storage_url, hide_parameters=True)
    try:
        with engine.connect() as connection:
            if not is_current(connection):
                return ""
        engine.dispose()
        engine = open_engine(settings.storage_url)
        said = f"backup of {files} files"
        Audit(engine).add(AuditEvent(utc_now(), AuditAction.COPIED, True, by, subject=str(target), detail=said))
    except (SQLAlchemyError, StorageError) as error:
        return errors.told(error)
    finally:
        engine.dispose()
    return ""


def _is_there(target: Path, status: os.stat_result) -> bool:
    """Whether a former backup has the file: the same size and time of writing, which a copy keeps."""
    try:
        there = target.stat()
    except FileNotFoundError:
        return False
    return (there.st_size, there.st_mtime_ns) == (status.st_size, status.st_mtime_ns)


def _list(engine: Engine, root: Path, files: _Files, names: Path, watch: Watch[Listed]) -> None:
    everything = chain(inventory.of_database(engine), inventory.of_root(root))
    with names.open("w", encoding="utf-8") as lines:
        for it in watch(everything, inventory.count(engine)):
            if (kept := files.take(it)) is not None:
                lines.write(form.line_of(kept))
    sync(names)


def _copy_queue(root: Path, target: Path) -> Part | None:
    source = queue_database(root)
    if not source.exists() or not source.stat().st_size:
        return None
    return _copied(source, target)


def _copied(source: Path, target: Path) -> Part:
    try:
        copy_database(source, target)
        settle(target)
    except sqlite3.Error as error:
        raise NodeError(f"not backed up: {told(error, str(source))}") from error
    return form.part_of(target)


def _copy_index(settings: Settings, target: Path, stamp: str) -> tuple[Part, Engine]:
    """The copy of the index, and an engine on what names the files: the copy, or PostgreSQL itself after its dump."""
    url = make_url(settings.storage_url)
    if url.get_backend_name() == "sqlite":
        source = Path(url.database or "")
        if not source.exists():
            raise NodeError(f"{source}: there is no index to back up")
        copied = target / f"index-{stamp}.sqlite"
        return _copied(source, copied), create_engine(f"sqlite:///{copied}", hide_parameters=True)
    dump = target / f"index-{stamp}.dump"
    if why := postgresql.run("pg_dump", url, "--format=custom", f"--file={dump}"):
        raise NodeError(f"not backed up: {why}")
    sync(dump)
    return form.part_of(dump), open_engine(settings.storage_url)


def _require_free(target: Path, root: Path) -> None:
    """Refuse a folder that is the root's, or holds something else than a backup."""
    if target == root or root in target.parents or target in root.parents:
        raise NodeError(f"{target}: a backup lies neither in the root nor above it")
    if target.is_dir() and any(target.iterdir()):
        if not any((target / name).exists() for name in (form.DOCUMENT, form.UNDER_WAY)):
            raise NodeError(f"{target}: holds something else: give an empty folder, or one with a backup")
    elif target.exists() and not target.is_dir():
        raise NodeError(f"{target}: is no folder")
    target.mkdir(parents=True, exist_ok=True, mode=0o700)


def _remove_former(target: Path, stamp: str) -> None:
    """Remove the parts of former backups, and what the last of them had and this one has not."""
    former = [path for path in sorted(target.glob("files-*.jsonl")) if stamp not in path.name]
    if former:
        now = {it.path for it in form.listed(target / f"files-{stamp}.jsonl")}
        for path in former:
            for it in form.listed(path, whole=False):
                if it.path not in now:
                    (target / form.FILES / it.path).unlink(missing_ok=True)
    for pattern in ("files-*.jsonl", "index-*", "queue-*"):
        for path in target.glob(pattern):
            if stamp not in path.name:
                path.unlink()


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    descriptor = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NodeError(f"{target}: another backup is being made there") from None
        yield
    finally:
        os.close(descriptor)
