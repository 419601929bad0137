"""A root opened: files and database, which have to be usable and have to belong together.

Both have the same identifier, the database in a row and the root in a file. A database that lacks it beside a root that
has files was lost, emptied, or made anew and not to the end; one that has another is of another root. Who goes on with
either answers Success for studies of which it knows nothing, so nobody does: a person decides between a backup and what
the files tell.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, insert, select

from storage import database
from storage.database_faults import told_of_disk
from storage.durability import sync
from storage.errors import StorageError
from storage.files import ObjectStore
from storage.maintenance_schema import root_identity
from storage.schema import dicom_object

IDENTITY = "root-identity"
"""File of the identifier in a root."""
UNDER_WAY = "restore-under-way"
"""File in a root that a backup is being restored into."""

_PROBE = 4096  # bytes that a disk has to take


class RootError(StorageError):
    """The root cannot be used, or its database is not its own."""


def open_root(root: Path, url: str) -> tuple[Engine, ObjectStore]:
    """Open files and database of a node that is about to run; a new root gets its identity.

    Raises:
        RootError: the root cannot be written, or the database is not its own.
        StorageError: the database cannot be opened.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        if why := _half_restored(root):
            raise RootError(why)
        files = ObjectStore(root)
        probe = files.spooled(bytes(_PROBE))
        sync(probe)
        probe.unlink()
    except OSError as error:
        raise RootError(told_of_disk(error, str(root)) or f"{root}: cannot be written: {error.strerror}") from error
    engine = database.open_engine(url)
    database.check(engine)
    require_own(engine, root)
    return engine, files


def require_own(engine: Engine, root: Path) -> None:
    """Refuse a database that is not that of the root; a new pair, or one of an earlier release, gets its identifier.

    Raises:
        RootError: it is not, or a restore did not come to its end.
    """
    with _alone(root):
        if why := fault(engine, root):
            raise RootError(why)
        if not _in_root(root) or not _in_database(engine):
            establish(engine, root)


def fault(engine: Engine, root: Path) -> str:
    """Why root and database do not belong together, and what to do; empty where they do, or nothing says so yet."""
    where = engine.url.render_as_string()
    if why := _half_restored(root):
        return why
    in_root, in_database = _in_root(root), _in_database(engine)
    if in_database:
        if in_root in ("", in_database) and (in_root or _lies_in(engine, root) or _proposed(root) == in_database):
            return ""
        return f"{where}: is the database of another root than {root}: mend root or database_url, or mount the root"
    if _holds_objects(engine):
        if not in_root:
            return ""
        return f"{where}: was not made to its end, or is of another root: move it away and `rectal-node reindex` again"
    if _holds_files(root):
        return (
            f"{where}: knows none of the files in {root / 'objects'}: `rectal-node restore` a backup, or `rectal-node "
            "reindex`, which makes it anew from the files"
        )
    return ""


def _half_restored(root: Path) -> str:
    if not (root / UNDER_WAY).exists():
        return ""
    return f"{root}: a restore did not come to its end: `rectal-node restore` the same backup again"


def establish(engine: Engine, root: Path) -> None:
    """Give root and database the same identifier; that of either, where it has one.

    The file gets its name when the row is durable: a root that has it has had a database that knew it.
    """
    identifier = _in_database(engine) or _in_root(root) or _proposed(root) or str(uuid.uuid4())
    proposal = _proposal(root)
    proposal.write_text(identifier, "ascii")
    sync(proposal)
    sync(root)  # its name too: of a database elsewhere the row alone would not tell that it is this root's
    if not _in_database(engine):
        with database.writing(engine).begin() as connection:
            connection.execute(insert(root_identity).values(identifier=identifier))
    os.replace(proposal, root / IDENTITY)
    sync(root)


def _in_database(engine: Engine) -> str:
    with engine.connect() as connection:
        return connection.scalar(select(root_identity.c.identifier)) or ""


def _in_root(root: Path) -> str:
    return _read(root / IDENTITY)


def _proposed(root: Path) -> str:
    return _read(_proposal(root))


def _proposal(root: Path) -> Path:
    return root / f"{IDENTITY}.part"


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except FileNotFoundError:
        return ""


def _holds_objects(engine: Engine) -> bool:
    with engine.connect() as connection:
        return connection.scalar(select(dicom_object.c.identifier).limit(1)) is not None


def _holds_files(root: Path) -> bool:
    return any(names for _, _, names in os.walk(root / "objects"))


def _lies_in(engine: Engine, root: Path) -> bool:
    """Whether the database is a file of the root, so that it cannot be another's by mistake."""
    name = engine.url.database
    return engine.dialect.name == "sqlite" and bool(name) and Path(name or "").absolute().parent == root.absolute()


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Among the processes of this root that start."""
    descriptor = os.open(root, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
