"""The chain on disk, added to by one process at a time (`writer`).

What was written last is read from the files themselves, so that a kill between the disk and the database repeats
nothing. Where they end before what the database says was written, lines are gone: the chain goes on from the digest
that the database has, by which a check finds the gap.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from node.audit import chain
from storage.audit import Position
from storage.durability import sync

_TAIL = 2**20  # bytes in which the last line is looked for first


class ChainFile:
    """The files of one folder, of which the last is added to."""

    def __init__(self, folder: Path, largest: int) -> None:
        """`largest`: bytes of a file; the line that would make it larger is the first of the next."""
        self._folder, self._largest = folder, largest
        self._last: Position | None = None
        self._number = 0
        self._torn = False

    def last(self, known: Position, is_event: Callable[[chain.Line], bool]) -> tuple[Position, bool]:
        """The event that was written last, and whether the files lack, or have another, than is known to have been.

        Args:
            known: what the database says was written last.
            is_event: whether a line is that of the event of its number in the database: of one that was put back it
                is not, and what came since is written again.

        Raises:
            OSError: they cannot be read.
        """
        if self._last is None:
            found = self._found()
            is_damaged = found.event < known.event or (found.event == known.event and found.digest != known.digest)
            if is_damaged:
                self._last = known
            elif found.event > known.event and not is_event(found):
                self._last = Position(known.event, found.digest)
            else:
                self._last = Position(found.event, found.digest)
            return self._last, is_damaged
        return self._last, False

    def add(self, messages: Sequence[tuple[int, str]]) -> Position:
        """Write messages with the numbers of their events; returns the last, which is durable then.

        Raises:
            OSError: they could not be written; some may have been, which the next `last` finds.
        """
        last, self._last = self._last, None
        assert last is not None, "`last` comes before"
        while messages:
            size = self._size()
            data, last, count = self._fitting(messages, last, size)
            if not count:
                self._begin_next()
                continue
            self._write(data)
            messages = messages[count:]
        self._last = last
        return last

    def _fitting(self, messages: Sequence[tuple[int, str]], last: Position, size: int) -> tuple[bytes, Position, int]:
        """As many lines as the file has room for, at least one in an empty one."""
        data, count = bytearray(), 0
        for event, message in messages:
            line = chain.written(event, last.digest or chain.NOTHING, message)
            if size + len(data) and size + len(data) + len(line) >= self._largest:
                break
            data += line + b"\n"
            last, count = Position(event, chain.digest_of(line)), count + 1
        return bytes(data), last, count

    def _size(self) -> int:
        path = self._folder / chain.name_of(self._number)
        return path.stat().st_size if path.exists() else 0

    def _begin_next(self) -> None:
        self._number, self._torn = self._number + 1, False

    def _write(self, data: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / chain.name_of(self._number)
        is_new = not path.exists()
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            left = memoryview(b"\n" + data if self._torn else data)
            while left:
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._torn = False
        if is_new:
            sync(self._folder)

    def _found(self) -> chain.Line:
        """The last whole line of the files; what is behind it is torn. Number 0 where there is none."""
        files = chain.files_in(self._folder)
        self._number, self._torn = max(files, default=1), False
        for number, path in reversed(files.items()):
            line, ends = _last_line(path)
            if number == self._number:
                self._torn = not ends
            if line is not None:
                return line
        return chain.Line(0, "", "")


def _last_line(path: Path) -> tuple[chain.Line | None, bool]:
    """The last whole line of a file, and whether the file is empty or ends with a line feed."""
    size = path.stat().st_size
    for begin in (max(size - _TAIL, 0), 0):
        with path.open("rb") as file:
            file.seek(begin)
            *lines, rest = file.read().split(b"\n")
        for line in reversed(lines[1:] if begin else lines):
            if (found := chain.read(line)) is not None:
                return found, not rest
    return None, not rest
