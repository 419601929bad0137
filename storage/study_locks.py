"""Who uses the files of a study just now, across threads and processes: many may, or one who removes them.

Whoever stores an object, or sends objects, uses its study meanwhile. Whoever removes a study takes it alone, or goes on
without it: nobody waits for a removal longer than it takes. Locks are of the kernel (flock) and end with their process.
A lock file serves all studies whose UIDs have the same digest modulo the number of files, which do not grow in number.
"""

from __future__ import annotations

import fcntl
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

_FILES = 256


class StudyLocks:
    """The locks of one root."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "locks"

    @contextmanager
    def using(self, study_uids: Iterable[str]) -> Iterator[None]:
        """A context in which nobody removes files of these studies.

        Raises:
            OSError: the disk refused the lock file.
        """
        with ExitStack() as held:
            for number in sorted({_number(uid) for uid in study_uids}):  # all in one order
                held.enter_context(self._locked(number, fcntl.LOCK_SH))
            yield

    @contextmanager
    def alone(self, study_uid: str) -> Iterator[bool]:
        """A context in which nobody else uses files of the study; False where somebody does: leave it alone then.

        Raises:
            OSError: the disk refused the lock file.
        """
        with ExitStack() as held:
            try:
                held.enter_context(self._locked(_number(study_uid), fcntl.LOCK_EX | fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            yield True

    @contextmanager
    def _locked(self, number: int, kind: int) -> Iterator[None]:
        # A descriptor of its own for each: a lock belongs to what was opened, and threads must not share one.
        path = f"{self._folder}/{number:02x}"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except FileNotFoundError:
            self._folder.mkdir(exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, kind)
            yield
        finally:
            os.close(descriptor)


def _number(study_uid: str) -> int:
    return zlib.crc32(study_uid.encode()) % _FILES
