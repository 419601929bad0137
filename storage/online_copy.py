"""A copy of an SQLite database that others write, what its log holds included, as one whole file."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from storage.durability import sync


def copy_database(source: Path, target: Path) -> None:
    """Copy a database as it is at one moment; nobody who writes waits for it. Durable when this returns.

    Raises:
        sqlite3.Error: it cannot be read, or is damaged.
        OSError: the disk refused.
    """
    partial = target.with_name(f"{target.name}.part")
    partial.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(source)) as old, contextlib.closing(sqlite3.connect(partial)) as new:
        old.backup(new)  # all pages in one go: of one that goes by parts, each writer begins it anew
    sync(partial)
    os.replace(partial, target)
    sync(target.parent)


def settle(copied: Path) -> None:
    """Have a copy need no log beside it, and look through it.

    Raises:
        sqlite3.Error: it is damaged.
    """
    with contextlib.closing(sqlite3.connect(copied)) as database:
        database.execute("PRAGMA journal_mode=DELETE")
        (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError("database disk image is malformed")
    sync(copied)
