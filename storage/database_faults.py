"""What a failed database, or the disk below it, means for who operates a node, in one line with what to do."""

from __future__ import annotations

import errno
import sqlite3

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError

_RESTORE = "move it and the files beside it away, then `rectal-node restore` a backup, or `rectal-node reindex`"
_MEANINGS = (
    (("not a database", "malformed", "corrupt", "no such table", "no such column"), f"is damaged: {_RESTORE}"),
    (("database or disk is full",), "cannot be written, its disk is full: free space"),
    (("readonly", "read-only"), "cannot be written: its file system is read-only, or it is another user's"),
    (("locked", "busy"), "is held by another process: end that first"),
    (
        ("unable to open", "disk i/o error"),
        "cannot be opened: see that its folder can be written, and that its disk is well and has space",
    ),
)
_OF_THE_DISK = {
    errno.ENOSPC: "free space",
    errno.EDQUOT: "free space, or have the quota raised",
    errno.EROFS: "its file system is read-only: see why (dmesg), and mount it for writing",
    errno.EACCES: "give it to the user that runs the node",
    errno.EPERM: "give it to the user that runs the node",
    errno.EIO: "the disk does not work: see dmesg",
}


def told(error: BaseException, where: str) -> str:
    """What a failed database means and what to do, in one line; empty where it is no failure of a database."""
    of_statement = IntegrityError | ProgrammingError | DataError | sqlite3.IntegrityError | sqlite3.ProgrammingError
    if not isinstance(error, DBAPIError | sqlite3.Error) or isinstance(error, of_statement):
        return ""
    said = words(error)
    if "postgresql" in where or not (isinstance(error, sqlite3.Error) or isinstance(error.orig, sqlite3.Error)):
        return f"{where}: the database does not answer as it should: {said}: see that it runs and has space"
    meaning = next((it for texts, it in _MEANINGS if any(text in said.lower() for text in texts)), "does not work")
    return f"{where}: the database {meaning} ({said})"


def told_of_disk(error: OSError, where: str) -> str:
    """What a refusal of the operating system means and what to do, in one line; empty where it is no such one."""
    remedy = _OF_THE_DISK.get(error.errno or 0, "")
    return f"{where}: {error.strerror}: {remedy}" if remedy else ""


def words(error: DBAPIError | sqlite3.Error) -> str:
    """The first line of what the driver says, which holds no values where it is no failure of a statement."""
    said = str(error.orig if isinstance(error, DBAPIError) else error)
    return said.strip().splitlines()[0] if said.strip() else type(error).__name__
