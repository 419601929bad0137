"""What has to be kept of a root beside its databases: each file with its size and digest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, func, select

from storage import pseudonyms
from storage.header import content_of
from storage.records import QuarantineState
from storage.root import IDENTITY
from storage.schema import dicom_object, quarantine
from storage.site_secret import NAME as SITE_SECRET

_AT_ONCE = 5000  # rows that are held
#: What can be computed again, or is of a writer that is under way.
_NOT_KEPT_OF_WORK = ("results",)


@dataclass(frozen=True, slots=True)
class Listed:
    """A file, its path relative to the root with slashes.

    `digest` is the SHA-256 (hex) of its data set where `of_data_set`, else of the whole file; empty: not known yet.
    """

    path: str
    size: int
    digest: str
    of_data_set: bool


def count(engine: Engine) -> int:
    """How many files the rows of a database name."""
    with engine.connect() as connection:
        objects = connection.scalar(select(func.count()).select_from(dicom_object)) or 0
        held = connection.scalar(select(func.count()).select_from(quarantine).where(_HELD)) or 0
    return int(objects) + int(held)


def of_database(engine: Engine) -> Iterator[Listed]:
    """The files that the rows of a database name: objects, and what is held in quarantine with its reasons."""
    columns = (dicom_object.c.path, dicom_object.c.size, dicom_object.c.digest)
    held = select(quarantine.c.path, quarantine.c.size, quarantine.c.digest).where(_HELD).distinct()
    with engine.connect().execution_options(yield_per=_AT_ONCE) as connection:
        for path, size, digest in connection.execute(select(*columns)):
            yield Listed(path, size, digest, True)
        for path, size, digest in connection.execute(held):
            yield Listed(path, size, digest, bool(digest))
            yield Listed(Path(path).with_suffix(".json").as_posix(), -1, "", False)


def of_root(root: Path) -> Iterator[Listed]:
    """Files that no row names: the root's own, and what analyses have left beside their volumes."""
    for name in (IDENTITY, SITE_SECRET):
        yield Listed(name, -1, "", False)
    for path in pseudonyms.files(root):
        yield Listed(path.relative_to(root).as_posix(), -1, "", False)
    for folder, folders, names in os.walk(root / "work"):
        folders[:] = [name for name in folders if name not in _NOT_KEPT_OF_WORK]
        for name in names:
            if not name.endswith(".nrrd") and not name.startswith("partial-"):
                yield Listed(Path(folder, name).relative_to(root).as_posix(), -1, "", False)


def digest_of(path: Path, of_data_set: bool) -> str:
    """The digest of a file, as it is listed.

    Raises:
        OSError: it cannot be read.
    """
    if of_data_set:
        return content_of(path).digest
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_HELD = quarantine.c.state == QuarantineState.HELD
