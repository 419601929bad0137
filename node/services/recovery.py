"""What a power cut can leave of an object that was about to be acknowledged, put in order at the start."""

from __future__ import annotations

import logging

from storage.errors import HeaderError
from storage.files import ObjectStore
from storage.header import read_header
from storage.index import Index

log = logging.getLogger(__name__)


def finish_names(store: ObjectStore, index: Index) -> int:
    """Give files in the spool the names under which the index has them already; how many.

    The row of an object becomes durable while the folder with its name is synced. The bytes were durable before, so
    that one without its name is complete in the spool. What another listener is just writing has no row.

    Raises:
        OSError: the disk refused.
    """
    finished = 0
    for path in store.leftovers():
        try:
            header = read_header(path)
            named = store.name_of(path, header)
            if not (store.root / named).exists() and index.has_file(header, named):
                store.store(path, header)
                finished += 1
        except (HeaderError, FileNotFoundError):
            continue  # incomplete, or gone meanwhile: nobody was told that it is here
    if finished:
        log.warning("%d files that a power cut had left in the spool have their names", finished)
    return finished
