"""The chain on disk, added to by one process at a time (`writer`).

The files are believed as far as the database bears them out: they must hold the line that was written last, and behind
it nothing but lines that were announced. Where they do not, the chain goes on from the digest that the database has, by
which a check finds the place.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from node.audit import chain
from storage.audit_chain import Chained, Position
from storage.durability import sync

LOCK = "audit.lock"
"""File in the folder of the chain, whose lock has who adds to it."""
_BLOCK = 2**20  # bytes


class FolderTaken(OSError):  # noqa: N818 - it is taken, which is no fault of this node
    """Another node adds to the files of the folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(0, f"{folder}: another node writes its audit there: give each an `audit.folder` of its own")


@dataclass(frozen=True, slots=True)
class Found:
    """Where the chain goes on.

    Attributes:
        last: what was written last.
        fault: what is wrong with the files; empty where nothing is.
        resumed: digests of lines behind which the numbers go back.
    """

    last: Position
    fault: str = ""
    resumed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NextLine:
    """A line, without its line feed, that is about to be written."""

    event: int
    digest: str
    content: bytes


class ChainFile:
    """The files of one folder, of which the last is added to."""

    def __init__(self, folder: Path, largest: int) -> None:
        """`largest`: bytes of a file; the line that would make it larger is the first of the next."""
        self._folder, self._largest = folder, largest
        self._last: Position | None = None
        self._number = self._begun = 0  # of the file that is added to, and of the last one that there has been
        self._torn = False
        self._unsynced: list[Path] = []
        self._lock = -1

    @property
    def last(self) -> Position | None:
        """What was written last, as far as that was not put in doubt since `find`."""
        return self._last

    def find(self, state: Chained) -> Found:
        """Where the chain goes on, by the files and what the database knows of them.

        Raises:
            OSError: they cannot be read, or are another node's to write.
        """
        self._take()
        files = chain.files_in(self._folder)
        self._begun = max([*files, state.position.file])
        self._number, self._torn = max(self._begun, 1), False
        if self._number in files:
            self._torn = bool(next(_backwards(files[self._number])))
        lines = _newest_first(files)
        found = _put_back(state, lines) if state.is_put_back else _announced(state, lines)
        self._last = replace(found.last, file=self._begun)
        return replace(found, last=self._last)

    def lines(self, messages: Sequence[tuple[int, str]]) -> list[NextLine]:
        """The lines of messages with the numbers of their events, behind what was written last."""
        assert self._last is not None, "`find` comes before"
        before, found = self._last.digest or chain.NOTHING, list[NextLine]()
        for event, message in messages:
            content = chain.written(event, before, message)
            before = chain.digest_of(content)
            found.append(NextLine(event, before, content))
        return found

    def add(self, lines: Sequence[NextLine]) -> Position:
        """Write lines; returns the last, which is durable then.

        Raises:
            OSError: they could not be written; some may have been, which the next `find` finds.
        """
        last, self._last = self._last, None
        assert last is not None, "`find` comes before"
        self._take()
        while lines:
            size = self._size()
            data, count = self._fitting(lines, size)
            if not count:
                self._begin_next()
                continue
            self._write(data)
            last = Position(lines[count - 1].event, lines[count - 1].digest, self._number)
            lines = lines[count:]
        self._last = last
        return last

    def close(self) -> None:
        """Let another process add to the files."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _fitting(self, lines: Sequence[NextLine], size: int) -> tuple[bytes, int]:
        """As many lines as the file has room for, at least one in an empty one."""
        data, count = bytearray(), 0
        for line in lines:
            if size + len(data) and size + len(data) + len(line.content) >= self._largest:
                break
            data += line.content + b"\n"
            count += 1
        return bytes(data), count

    def _size(self) -> int:
        path = self._folder / chain.name_of(self._number)
        if path.exists():
            return path.stat().st_size
        if self._number <= self._begun:  # it was moved: another one of its number would take its place there
            self._begin_next()
        return 0

    def _begin_next(self) -> None:
        self._number, self._torn = max(self._number, self._begun) + 1, False

    def _write(self, data: bytes) -> None:
        path = self._folder / chain.name_of(self._number)
        if not path.exists():
            self._unsynced.append(self._folder)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            self._begun = self._number
            left = memoryview(b"\n" + data if self._torn else data)
            while left:
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._torn = False
        while self._unsynced:  # what is not synced now stays for the next time
            sync(self._unsynced[-1])
            self._unsynced.pop()

    def _take(self) -> None:
        """Keep others from the folder, which is made where it is not there."""
        path = self._folder / LOCK
        if self._lock >= 0 and path.exists() and os.path.samestat(os.fstat(self._lock), path.stat()):
            return
        self.close()
        # A process before may have been killed, or refused, between making a name and syncing it.
        made = [it.parent for it in self._folder.parents if not it.exists()]
        self._unsynced += [*made, self._folder.parent, self._folder]
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = taken(path)
        if self._lock < 0:
            raise FolderTaken(self._folder)


def taken(path: Path) -> int:
    """A descriptor with the lock of a file, which ends with the process; -1 where another has it.

    Raises:
        OSError: the file cannot be made.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            return -1
        raise
    return descriptor


def _announced(state: Chained, lines: Iterator[chain.Line]) -> Found:
    """Where the files hold what was written last, and behind it nothing that was not announced."""
    known, behind = state.position, list[tuple[int, str]]()
    for line in lines:
        if (line.event, line.digest) == (known.event, known.digest):
            break
        behind.append((line.event, line.digest))
        if len(behind) > len(state.begun):
            return Found(known, f"the files do not go on from event {known.event} as they were written")
    else:
        if known.event:
            return Found(known, f"the files do not hold event {known.event} as it was written")
    if tuple(reversed(behind)) != state.begun[: len(behind)]:
        return Found(known, f"the files do not go on from event {known.event} as they were written")
    return Found(Position(*behind[0]) if behind else known)


def _put_back(state: Chained, lines: Iterator[chain.Line]) -> Found:
    """Behind the end of files that are newer than the database, of which they must hold what it knows."""
    known = state.position
    last, newer, resumed = None, None, list[str]()
    for line in lines:
        last = last or line
        if newer is not None and newer.before != line.digest:
            return Found(known, f"the line of event {newer.event} does not follow that of event {line.event}")
        if newer is not None and newer.event <= line.event:
            resumed.append(line.digest)
        newer = line
        if (line.event, line.digest) == (known.event, known.digest):
            break
    else:
        if known.event:
            return Found(known, f"the files do not hold event {known.event} as it was written")
    if last is None:
        return Found(known)
    if last.event > known.event:
        resumed.append(last.digest)
    return Found(Position(known.event, last.digest), "", tuple(resumed))


def _newest_first(files: dict[int, Path]) -> Iterator[chain.Line]:
    """The whole lines of all files, from the last to the first; what is none is passed over."""
    for path in reversed(files.values()):
        whole = _backwards(path)
        next(whole)
        yield from (line for content in whole if (line := chain.read(content)) is not None)


def _backwards(path: Path) -> Iterator[bytes]:
    """What stands behind the last line feed of a file, and then its lines from the last to the first."""
    with path.open("rb") as file:
        begin, rest = file.seek(0, os.SEEK_END), b""
        while begin:
            end, begin = begin, max(begin - _BLOCK, 0)
            file.seek(begin)
            rest, *lines = (file.read(end - begin) + rest).split(b"\n")
            yield from reversed(lines)
        yield rest
