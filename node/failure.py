"""Kinds of failure, decided here for every room: what this machine could not do, and what an object or a peer says.

What this machine could not do passes without a change of the object: it is tried again, for as long as it lasts, and an
alert says so. `fault_of` is the only place that tells the two apart; whatever it does not know is of the object.
"""

from __future__ import annotations

import errno
import sqlite3
from enum import StrEnum

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from models.errors import ModelError
from node.codes import Alert
from node.errors import TransientError


class Fault(StrEnum):
    """What a machine lacks, in words; `code` is that of its alert."""

    code: Alert

    def __new__(cls, words: str, code: Alert) -> Fault:
        member = str.__new__(cls, words)
        member._value_ = words
        member.code = code
        return member

    DISK_FULL = "the disk is full", Alert.DISK_FULL
    NOT_WRITABLE = "the disk, or a folder, cannot be written", Alert.NOT_WRITABLE
    UNREADABLE = "the disk does not give what is on it", Alert.DISK_ERROR
    SHORT = "memory, threads or file descriptors are short", Alert.SHORT_OF_RESOURCES
    DATABASE = "the database is locked, away, or not what it was", Alert.DATABASE_FAULT
    NETWORK = "the network, or a remote, is away", Alert.NETWORK_FAULT


_OF_ERRNO = {
    Fault.DISK_FULL: (errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    Fault.NOT_WRITABLE: (errno.EROFS, errno.EACCES, errno.EPERM),
    Fault.SHORT: (errno.ENOMEM, errno.ENOBUFS, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOLCK),
    Fault.NETWORK: (
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.ECONNABORTED,
        errno.EPIPE,
        errno.ETIMEDOUT,
        errno.EHOSTUNREACH,
        errno.EHOSTDOWN,
        errno.ENETUNREACH,
        errno.ENETDOWN,
        errno.EADDRNOTAVAIL,
    ),
}
#: What is asked for cannot be had of any disk; None: libraries say so of a file that is not what it should be.
_OF_THE_OBJECT = (
    None,
    errno.EINVAL,
    errno.EILSEQ,
    errno.ENAMETOOLONG,
    errno.EISDIR,
    errno.EEXIST,
    errno.ENOTEMPTY,
    errno.EDOM,
    errno.ERANGE,
)
_BY_NUMBER = {number: fault for fault, numbers in _OF_ERRNO.items() for number in numbers}

#: Primary result codes of SQLite (https://www.sqlite.org/rescode.html) that say more than that it failed.
_OF_SQLITE = {
    7: Fault.SHORT,  # SQLITE_NOMEM
    8: Fault.NOT_WRITABLE,  # SQLITE_READONLY
    10: Fault.UNREADABLE,  # SQLITE_IOERR
    13: Fault.DISK_FULL,  # SQLITE_FULL
}
_DAMAGED = (11, 26)  # SQLITE_CORRUPT, SQLITE_NOTADB: errors of a kind that otherwise blames the statement
_PRIMARY = 0xFF

#: How libraries without kinds of errors (SimpleITK, torch, OpenVINO, threading) say that memory or threads are short.
_SHORTAGES = ("bad_alloc", "allocate memory", "out of memory", "start new thread")

#: What `fault_of` may know; narrower in an `except` than every exception.
FAULTS = (OSError, MemoryError, SQLAlchemyError, sqlite3.Error, RuntimeError, ModelError, TransientError)


def fault_of(error: BaseException) -> Fault | None:
    """What this machine lacked where that was the reason of an error; None where the object or the peer is."""
    match error:
        case MemoryError():
            return Fault.SHORT
        case SQLAlchemyError():
            return _of_database(error)
        case sqlite3.DatabaseError():
            return _of_sqlite(error, isinstance(error, sqlite3.OperationalError))
        case TimeoutError() | ConnectionError():
            return Fault.NETWORK
        case OSError():
            return None if error.errno in _OF_THE_OBJECT else _BY_NUMBER.get(error.errno or 0, Fault.UNREADABLE)
        case TransientError():
            return (error.__cause__ and fault_of(error.__cause__)) or Fault.NETWORK
        case ModelError():  # what a library below it said
            return fault_of(error.__cause__) if isinstance(error.__cause__, RuntimeError | MemoryError) else None
        case RuntimeError() if any(words in str(error).lower() for words in _SHORTAGES):
            return Fault.SHORT
    return None


def pass_on(error: BaseException) -> None:
    """Raise an error again that is this machine's, where any other is about to be told as damage of an object."""
    if fault_of(error) is not None:
        raise error


def _of_database(error: SQLAlchemyError) -> Fault | None:
    if isinstance(error, NoConnectionFree):
        return Fault.DATABASE
    if not isinstance(error, DBAPIError):
        return None
    lost = isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated
    return _of_sqlite(error.orig, lost)


def _of_sqlite(error: BaseException | None, lost: bool) -> Fault | None:
    """Of an error of a driver, SQLite's or another; `lost`: it does not blame the statement."""
    number = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
    return _OF_SQLITE.get(number, Fault.DATABASE) if lost or number in _DAMAGED else None
