"""Whose turn it is to write among the processes of a machine.

Where several want to write at once, SQLite has those that wait look again and again, each time later; here the kernel
wakes them in turn.
"""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path
from types import TracebackType

from sqlalchemy import Engine


class Turn:
    """A lock of the folder of an SQLite database (flock), as a context; nothing for other databases."""

    def __init__(self, engine: Engine) -> None:
        database = engine.url.database
        of_a_file = engine.dialect.name == "sqlite" and database and database != ":memory:"
        self._folder = Path(database).absolute().parent if of_a_file and database else None
        self._descriptor = -1
        self._lock = threading.Lock()  # a descriptor is locked for all threads of a process

    def __enter__(self) -> None:
        self._lock.acquire()
        if self._folder is None:
            return
        if self._descriptor < 0:
            self._descriptor = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor >= 0:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        self._lock.release()
