"""Which claimers of deliveries live: each holds a lock on a file of its own, which ends with its process.

So a process that was killed is told from one that is busy, on the machine of this root, without a wait for its lease.
Of a claimer without a file, of another root or an earlier release, nothing is known: its lease has to run out.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from uuid import uuid4


class Presence:
    """A claimer of deliveries in this process; `name` is its own."""

    def __init__(self, root: Path) -> None:
        self.name = uuid4().hex
        self._path = _folder(root) / f"{self.name}.lock"
        self._held: IO[str] | None = None

    def begin(self) -> None:
        """Hold the lock.

        Raises:
            OSError: the disk refused.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._held = self._path.open("w")
        fcntl.flock(self._held, fcntl.LOCK_EX)

    def end(self) -> None:
        """Give the lock back; nothing is claimed any more."""
        if self._held is not None:
            self._path.unlink(missing_ok=True)
            self._held.close()
            self._held = None


def gone(root: Path) -> Iterator[str]:
    """Names of claimers whose process has provably ended; each is forgotten when the next is asked for."""
    for path in sorted(_folder(root).glob("*.lock")):
        try:
            file = path.open("r+")
        except FileNotFoundError:
            continue  # it has ended in order meanwhile
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield path.stem
            path.unlink(missing_ok=True)


def _folder(root: Path) -> Path:
    return root / "delivery"
