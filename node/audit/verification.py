"""Whether a chain is whole: no line gone, changed or moved, from the first file to the last event that was written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from node.audit import chain
from storage.audit_chain import Chained

_PASSES = 20  # over what a node adds meanwhile
_HEAD = 64  # characters of a line that are compared with those of one that was written again


@dataclass(frozen=True, slots=True)
class ChainRemark:
    """Something about a place of the chain; `line` counts from 1, 0: of the file as a whole."""

    file: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What a check of a chain has found.

    Attributes:
        files: names of those that were read, in their order.
        lines: whole lines.
        last_event: number of the last one; 0: there is none.
        faults: what should not be so.
        notes: what may be so, such as a line that a power cut has torn.
    """

    files: tuple[str, ...]
    lines: int
    last_event: int
    faults: tuple[ChainRemark, ...]
    notes: tuple[ChainRemark, ...]


@dataclass(slots=True)
class _Reading:
    """How far the chain was read.

    Attributes:
        known: what the database says.
        suspects: what was met since the last line that follows another.
        behind: lines behind that which is known to be the last; None until that was met.
        places: of each file how many of its bytes, and of its lines, were read.
    """

    known: Chained
    before: str = chain.NOTHING
    event: int = 0
    lines: int = 0
    suspects: list[tuple[str, int, bytes]] = field(default_factory=list)
    faults: list[ChainRemark] = field(default_factory=list)
    notes: list[ChainRemark] = field(default_factory=list)
    behind: list[tuple[int, str]] | None = None
    places: dict[int, tuple[int, int]] = field(default_factory=dict)

    def know(self, known: Chained) -> None:
        """Go on with what the database says now."""
        if known.position != self.known.position and self.behind is not None:
            last = known.position.event, known.position.digest
            self.behind = self.behind[self.behind.index(last) + 1 :] if last in self.behind else None
        self.known = known
        if not known.position.event and self.behind is None:
            self.behind = []

    @property
    def is_borne_out(self) -> bool:
        """Whether what lies behind the last line that is known was announced."""
        return self.behind is not None and tuple(self.behind) == self.known.begun[: len(self.behind)]


def verify(folders: Iterable[Path], ask: Callable[[], Chained]) -> Verified:
    """Read a chain whose files lie in these folders, to which a node may add lines meanwhile.

    Args:
        folders: each counts once.
        ask: what the database knows at the moment.

    Raises:
        OSError: a file cannot be read.
    """
    known, twice = ask(), list[ChainRemark]()
    reading = _Reading(known)
    reading.know(known)
    for _ in range(_PASSES):
        files, twice = _files(folders)
        ends_with = _read(reading, files)
        if reading.behind is None or reading.is_borne_out or (known := ask()) == reading.known:
            break
        reading.know(known)
    reading.suspects += ends_with
    _end(reading, max(files.items())[1].name if files else "")
    names = tuple(path.name for _, path in sorted(files.items()))
    return Verified(names, reading.lines, reading.event, (*twice, *reading.faults), tuple(reading.notes))


def _files(folders: Iterable[Path]) -> tuple[dict[int, Path], list[ChainRemark]]:
    """The files by their numbers, and those that are there twice."""
    files, twice = dict[int, Path](), list[ChainRemark]()
    for folder in dict.fromkeys(it.resolve() for it in folders):
        for number, path in chain.files_in(folder).items():
            if number in files:
                text = f"is in {files[number].parent} and in {folder}: which of them belongs to this chain?"
                twice.append(ChainRemark(path.name, 0, text))
            files.setdefault(number, path)
    return files, twice


def _read(reading: _Reading, files: dict[int, Path]) -> list[tuple[str, int, bytes]]:
    """Read what was not read before; what stands behind the last line feed, where something does."""
    expected, open_end = 1, list[tuple[str, int, bytes]]()
    before, passed = 0, (0, 0)
    for number, path in sorted(files.items()):
        if number != expected and number not in reading.places:
            gone = f"files {expected} to {number - 1} are" if number > expected + 1 else f"file {expected} is"
            reading.faults.append(ChainRemark(path.name, 0, f"{gone} not here: where they were moved to, say so"))
            reading.before = ""
        expected = number + 1
        if open_end:
            reading.suspects += open_end
            reading.places[before] = passed
            open_end = []
        before, passed = number, (0, 0)
        offset, place = reading.places.get(number, (0, 0))
        with path.open("rb") as file:
            file.seek(offset)
            for place, content in enumerate(file, place + 1):  # noqa: B020 - it counts on
                if not content.endswith(b"\n"):
                    open_end, passed = [(path.name, place, content)], (offset + len(content), place)
                    break
                _take(reading, path.name, place, content[:-1])
                offset += len(content)
                reading.places[number] = offset, place
    return open_end


def _take(reading: _Reading, file: str, place: int, content: bytes) -> None:
    line = chain.read(content)
    if line is None:
        reading.suspects.append((file, place, content))
        return
    _settle(reading, content)
    if reading.before and line.before != reading.before:
        reading.faults.append(ChainRemark(file, place, _why(reading, line)))
    elif line.event <= reading.event:
        _goes_back(reading, line, file, place)
    if reading.behind is not None:
        reading.behind.append((line.event, line.digest))
    elif (line.event, line.digest) == (reading.known.position.event, reading.known.position.digest):
        reading.behind = []
    reading.before, reading.event, reading.lines = line.digest, line.event, reading.lines + 1


def _goes_back(reading: _Reading, line: chain.Line, file: str, place: int) -> None:
    """A line whose number is not above that before it, as it is where a database was put back, and nowhere else."""
    if line.before in reading.known.resumed or reading.known.is_put_back:
        again = f"the numbers go on from {line.event}: the database was put back"
        reading.notes.append(ChainRemark(file, place, again))
    else:
        text = (
            f"the numbers go back from {reading.event} to {line.event}, and no restore or reindex is known that did it"
        )
        reading.faults.append(ChainRemark(file, place, text))


def _settle(reading: _Reading, next_line: bytes) -> None:
    """What of the suspects was the begin of a line that was written again, and what is none of this chain's."""
    for file, place, content in reading.suspects:
        if content[:_HEAD] == next_line[: len(content)][:_HEAD]:
            reading.notes.append(ChainRemark(file, place, "torn while it was written; the line was written again"))
        else:
            reading.faults.append(ChainRemark(file, place, "is no line of the chain: it was changed, or put in"))
    reading.suspects.clear()


def _why(reading: _Reading, line: chain.Line) -> str:
    """What a line tells that does not follow the one before."""
    if reading.lines == 0:
        return f"the lines before this one (event {line.event}) are gone"
    if line.event > reading.event + 1:
        return f"lines between this one (event {line.event}) and the one before (event {reading.event}) are gone"
    if line.event <= reading.event:
        return f"this line (event {line.event}) was moved behind event {reading.event}, or lines were"
    return f"the line before this one (event {reading.event}) was changed"


def _end(reading: _Reading, file: str) -> None:
    for name, place, _ in reading.suspects[:-1]:
        reading.faults.append(ChainRemark(name, place, "is no line of the chain: it was changed, or put in"))
    for name, place, _ in reading.suspects[-1:]:
        reading.notes.append(ChainRemark(name, place, "torn while it was written; the next writer writes it again"))
    known = reading.known.position.event
    if reading.behind is None and reading.event < known:
        gone = f"ends with event {reading.event}, and event {known} was written: lines at the end are gone"
        reading.faults.append(ChainRemark(file, 0, gone))
    elif reading.behind is None and not reading.faults:
        changed = f"event {known} is not as it was written: it, or lines before it, were changed"
        reading.faults.append(ChainRemark(file, 0, changed))
    elif reading.behind is not None and not reading.is_borne_out and not reading.known.is_put_back:
        text = f"lines behind event {known} are none that the node has written"
        reading.faults.append(ChainRemark(file, 0, text))
