"""What a power cut or a kill leaves in the spool: files of objects that lack their names, and those of nobody."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from storage.errors import HeaderError
from storage.files import ObjectStore
from storage.header import read_header
from storage.index import Index

log = logging.getLogger(__name__)


def finish_names(files: ObjectStore, index: Index) -> int:
    """Give files in the spool the names under which the index has them already; how many.

    The row of an object becomes durable while the folder with its name is synced. The bytes were durable before, so
    that one without its name is complete in the spool. What another listener is just writing has no row.

    Raises:
        OSError: the disk refused.
    """
    finished = sum(_finish(path, files, index) for path in files.leftovers())
    _tell(finished)
    return finished


def clear_spool(files: ObjectStore, index: Index, older_than_s: float) -> int:
    """Have nothing in the spool that is so old: what the index has gets its name, the rest is removed; how many.

    `older_than_s`: more than a writer takes for one file.

    Raises:
        OSError: the disk refused a file, which stays; all others were seen to.
    """
    limit, finished, removed = time.time() - older_than_s, 0, 0
    refused: OSError | None = None
    for path in files.leftovers():
        try:
            if path.stat().st_mtime > limit:
                continue
            # No file goes before this question: an acknowledged object may have no other.
            if _finish(path, files, index):
                finished += 1
            else:
                path.unlink(missing_ok=True)
                removed += 1
        except FileNotFoundError:
            continue
        except OSError as error:
            refused = refused or error
    _tell(finished)
    if refused is not None:
        raise refused
    return removed


def _finish(path: Path, files: ObjectStore, index: Index) -> bool:
    try:
        header = read_header(path)
        named = files.name_of(path, header)
        if (files.root / named).exists() or not index.has_file(header, named):
            return False
        files.name(path, header)
    except (HeaderError, FileNotFoundError):
        return False  # incomplete, or gone meanwhile: nobody was told that it is here
    return True


def _tell(finished: int) -> None:
    if finished:
        log.warning("%d files that a power cut had left in the spool have their names", finished)
