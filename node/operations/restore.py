"""A node put back from a backup, onto a root that is empty; each file is compared with its digest on its way.

The index comes last, and a mark lies in the root until then: a restore that was interrupted goes on when it is
repeated, and no node starts on half of one.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import create_engine, inspect
from sqlalchemy.engine import make_url

from node.analysis.progress import queue_database, unfinished
from node.errors import NodeError
from node.operations import backup_format as form
from node.operations import postgresql
from node.operations.backup_format import Description
from node.operations.watching import Watch, unwatched
from storage import inventory
from storage.database import close, open_engine
from storage.durability import sync
from storage.inventory import Listed
from storage.restoring import PutBack, put_back
from storage.root import UNDER_WAY, establish


@dataclass(frozen=True, slots=True)
class Restored:
    """A root as it was at a moment.

    Attributes:
        files: how many are there.
        faults: files that the backup lacks, or has damaged, with the reason; a node that starts asks for them again.
        open_deliveries: what was to be sent then, and may have been since.
        held: whether those wait for a person.
        studies_under_way: studies that were being received or analysed, and are analysed again.
    """

    root: Path
    made_at: datetime
    files: int
    size: int
    faults: dict[str, str]
    open_deliveries: int
    held: bool
    studies_under_way: int


def restore(
    backup: Path,
    root: Path,
    database_url: str = "",
    files_from: Path | None = None,
    hold: bool = False,
    watch: Watch[Listed] = unwatched,
) -> Restored:
    """Put a node back.

    Args:
        backup: its folder.
        root: a folder that is empty or not there, or that the same restore was interrupted in.
        database_url: of an index in PostgreSQL, whose database has to be empty; empty: SQLite in the root.
        files_from: where the files lie, if not in the backup: a root as a backup of the file system has it.
        hold: send nothing of what was open until a person orders it.
        watch: sees each file.

    Raises:
        NodeError: the backup is none or damaged, or root or database are not empty.
        OSError: the disk refused.
    """
    backup, root = backup.absolute(), root.absolute()
    found = form.read(backup)
    source = files_from or (backup / form.FILES)
    if not found.copies and files_from is None:
        raise NodeError(f"{backup}: has the list of files alone: say where they are by --files")
    url = _index_url(found, root, database_url)
    _begin(root, found)
    count, size, faults = 0, 0, {}
    for it in watch(form.listed(backup / found.files.name), found.count):
        if why := _put(it, source, root):
            faults[it.path] = why
        else:
            count, size = count + 1, size + it.size
    _put_queue(backup, found, root)
    _put_index(backup, found, root, url)
    os.sync()
    engine = open_engine(url)
    done: PutBack = put_back(engine, f"{found.made_at:%Y-%m-%d %H:%M:%S} UTC", hold)
    establish(engine, root)
    close(engine)
    (root / UNDER_WAY).unlink()
    sync(root)
    return Restored(root, found.made_at, count, size, faults, done.open_deliveries, hold, done.studies_under_way)


def _index_url(found: Description, root: Path, database_url: str) -> str:
    if found.kind == "sqlite":
        if database_url and make_url(database_url).get_backend_name() != "sqlite":
            raise NodeError("the index of this backup is of SQLite: empty database_url of the configuration")
        return f"sqlite:///{root / 'index.sqlite'}"
    if not database_url or make_url(database_url).get_backend_name() != "postgresql":
        raise NodeError("the index of this backup is of PostgreSQL: give a configuration with its database_url")
    return database_url


def _begin(root: Path, found: Description) -> None:
    """Mark the root as one that is being restored into."""
    mark, what = root / UNDER_WAY, found.made_at.isoformat()
    if root.is_dir() and any(root.iterdir()):
        if not mark.exists() or mark.read_text("ascii") not in ("", what):
            raise NodeError(f"{root}: is not empty: restore onto a folder that is, and see what is here first")
    elif root.exists() and not root.is_dir():
        raise NodeError(f"{root}: is no folder")
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    mark.write_text(what, "ascii")
    sync(mark)
    sync(root)


def _put(it: Listed, source: Path, root: Path) -> str:
    """Copy a file, unless it is there; why it is not whole, empty where it is."""
    origin, target = source / it.path, root / it.path
    if _is_there(target, it):
        return ""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.part")
    try:
        shutil.copy2(origin, partial)
    except FileNotFoundError:
        return "it is not in the backup"
    if partial.stat().st_size != it.size or inventory.digest_of(partial, it.of_data_set) != it.digest:
        partial.unlink()
        return "its bytes are not those that were backed up"
    os.replace(partial, target)
    return ""


def _is_there(target: Path, it: Listed) -> bool:
    """Whether an interrupted restore has put the file there, which it did when the file was whole."""
    return target.is_file() and target.stat().st_size == it.size


def _put_queue(backup: Path, found: Description, root: Path) -> None:
    """The queue without what had not ended: its volumes are gone, and the intake submits it anew."""
    if found.queue is None:
        return
    target = queue_database(root)
    partial = target.with_name(f"{target.name}.part")
    shutil.copyfile(backup / found.queue.name, partial)
    os.replace(partial, target)
    if left := unfinished(root):
        from node.analysis.queue import Worklist, queue_url

        worklist = Worklist(queue_url(root))
        try:
            for study, revision in left:
                worklist.forget(study, revision)
        finally:
            worklist.close()


def _put_index(backup: Path, found: Description, root: Path, url: str) -> None:
    if found.kind == "sqlite":
        target = root / "index.sqlite"
        partial = root / "index.sqlite.part"
        shutil.copyfile(backup / found.index.name, partial)
        sync(partial)
        for beside in ("-wal", "-shm"):  # of whoever looked at the root meanwhile
            Path(f"{target}{beside}").unlink(missing_ok=True)
        os.replace(partial, target)
        return
    _require_empty(url)
    options = ("--exit-on-error", "--single-transaction", "--no-owner")
    if why := postgresql.run("pg_restore", make_url(url), *options, str(backup / found.index.name)):
        raise NodeError(why)


def _require_empty(url: str) -> None:
    """Refuse a database that has tables of a node."""
    engine = create_engine(url, hide_parameters=True)
    try:
        taken = inspect(engine).has_table("dicom_object")
    finally:
        engine.dispose()
    if taken:
        raise NodeError(f"{engine.url.render_as_string()}: is not empty: restore into a database that is")
