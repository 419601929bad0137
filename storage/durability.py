"""What a power cut must not undo."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future
from pathlib import Path


def sync(path: Path) -> None:
    """Return when a file, or the entries of a folder, survive a power cut.

    Raises:
        OSError: the disk refused.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(path: Path, data: bytes) -> None:
    """Write a file that has its name once it is whole and survives a power cut.

    Raises:
        OSError: the disk refused.
    """
    partial = path.with_name(f"partial-{path.name}")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    sync(path.parent)


class FolderSyncs:
    """Syncs folders in a thread, so that something else can be made durable meanwhile.

    One sync serves all who have asked for the folder before it begins.
    """

    def __init__(self) -> None:
        self._wanted: dict[Path, Future[None]] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def begin(self, folder: Path) -> Future[None]:
        """Ask for a sync of a folder: done when its entries of now survive a power cut; fails with OSError."""
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="folder-syncs", daemon=True)
                self._thread.start()
            wanted = self._wanted.setdefault(folder, Future())
            self._changed.notify()
        return wanted

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted)
                wanted, self._wanted = self._wanted, {}
            for folder, future in wanted.items():
                try:
                    sync(folder)
                except OSError as error:
                    future.set_exception(error)
                else:
                    future.set_result(None)
