"""Which errors are this machine's, and pass; every other is the object's or the peer's, and stays."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from models.errors import VolumeError
from node.errors import PermanentError, Refusal, TransientError
from node.failure import FAULTS, Fault, fault_of
from storage.database import open_engine
from storage.errors import HeaderError, TransitionError


def of_models(cause: Exception) -> VolumeError:
    """What a model says of what a library below it said."""
    error = VolumeError("N4 finds no bias field")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        (errno.ENOSPC, Fault.DISK_FULL),
        (errno.EDQUOT, Fault.DISK_FULL),
        (errno.EROFS, Fault.NOT_WRITABLE),
        (errno.EACCES, Fault.NOT_WRITABLE),
        (errno.EIO, Fault.UNREADABLE),
        (errno.ESTALE, Fault.UNREADABLE),
        (errno.ENOENT, Fault.UNREADABLE),
        (errno.EMFILE, Fault.SHORT),
        (errno.ENOMEM, Fault.SHORT),
        (errno.ECONNREFUSED, Fault.NETWORK),
        (errno.ENETUNREACH, Fault.NETWORK),
    ],
)
def test_what_the_operating_system_refuses_is_this_machines(number: int, fault: Fault) -> None:
    assert fault_of(OSError(number, os.strerror(number))) is fault


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (MemoryError(), Fault.SHORT),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), Fault.SHORT),
        (RuntimeError("Exception from src/inference/src/core.cpp: std::bad_alloc"), Fault.SHORT),
        (RuntimeError("can't start new thread"), Fault.SHORT),
        (TransientError("no answer"), Fault.NETWORK),
        (of_models(RuntimeError("itk::ERROR: std::bad_alloc")), Fault.SHORT),
    ],
)
def test_so_is_what_libraries_say_of_memory_and_threads_and_what_a_peer_does_not_answer(
    error: Exception, fault: Fault
) -> None:
    assert isinstance(error, FAULTS)
    assert fault_of(error) is fault


@pytest.mark.parametrize(
    "error",
    [
        of_models(RuntimeError("itk::ERROR: the bias field does not converge")),
        ValueError("a value"),
        RuntimeError("filter weights not of the size of the input"),
        OSError("pydicom says so of a sequence that is cut short"),
        OSError(errno.ENAMETOOLONG, "File name too long"),
        PermanentError("an image does not lie where its source does"),
        Refusal("E-DECODE", "cut short"),
        HeaderError("no DICOM"),
        TransitionError("COMPLETED"),
        VolumeError("empty"),
    ],
)
def test_what_an_object_is_does_not_pass(error: Exception) -> None:
    assert fault_of(error) is None


def raised_by(act: Callable[[], object]) -> DBAPIError:
    with pytest.raises(DBAPIError) as found:
        act()
    return found.value


def test_a_database_that_is_locked_read_only_or_damaged_is_this_machines(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    open_engine(f"sqlite:///{path}").dispose()
    impatient = create_engine(f"sqlite:///{path}", connect_args={"timeout": 0.01})

    def write() -> None:
        with impatient.begin() as connection:
            connection.execute(text("CREATE TABLE more (it)"))

    locker = sqlite3.connect(path, isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    assert fault_of(raised_by(write)) is Fault.DATABASE
    locker.execute("ROLLBACK")
    locker.close()
    read_only = create_engine(f"sqlite:///file:{path}?mode=ro&uri=true")
    with read_only.connect() as connection:
        error = raised_by(lambda: connection.execute(text("CREATE TABLE more (it)")))
    assert fault_of(error) is Fault.NOT_WRITABLE
    impatient.dispose()
    path.write_bytes(b"garbled " * 1000)
    assert fault_of(raised_by(write)) is Fault.DATABASE


def test_a_statement_that_a_database_refuses_for_what_it_says_is_not(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'one.sqlite'}")

    def twice() -> None:
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE one (it PRIMARY KEY)"))
            connection.execute(text("INSERT INTO one VALUES (1), (1)"))

    error = raised_by(twice)
    assert isinstance(error, IntegrityError)
    assert fault_of(error) is None
