"""Whether a chain is whole: no line gone, changed or moved, from the first file to the last event that was written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from node.audit import chain
from storage.audit import Position

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
    """How far the chain was read; `suspects` are what was met since the last line that follows another."""

    before: str = chain.NOTHING
    event: int = 0
    lines: int = 0
    suspects: list[tuple[str, int, bytes]] = field(default_factory=list)
    faults: list[ChainRemark] = field(default_factory=list)
    notes: list[ChainRemark] = field(default_factory=list)
    digest_of_known: str = ""


def verify(folders: Iterable[Path], known: Position) -> Verified:
    """Read a chain whose files lie in these folders, as of events up to `known`, which were written last.

    Raises:
        OSError: a file cannot be read.
    """
    files: dict[int, Path] = {}
    for folder in folders:
        files |= chain.files_in(folder)
    state = _Reading()
    expected = 1
    for number, path in sorted(files.items()):
        if number != expected:
            gone = f"files {expected} to {number - 1} are" if number > expected + 1 else f"file {expected} is"
            state.faults.append(ChainRemark(path.name, 0, f"{gone} not here: where they were moved to, say so"))
            state.before = ""
        expected = number + 1
        for place, line, ends in _lines(path):
            _take(state, known, path.name, place, line, ends)
    _end(state, known, max(files.items())[1].name if files else "")
    names = tuple(path.name for _, path in sorted(files.items()))
    return Verified(names, state.lines, state.event, tuple(state.faults), tuple(state.notes))


def _lines(path: Path) -> Iterator[tuple[int, bytes, bool]]:
    """Number and bytes of each line, and whether a line feed ends it."""
    with path.open("rb") as file:
        for place, line in enumerate(file, 1):
            yield place, line.rstrip(b"\n"), line.endswith(b"\n")


def _take(state: _Reading, known: Position, file: str, place: int, content: bytes, ends: bool) -> None:
    line = chain.read(content) if ends else None
    if line is None:
        state.suspects.append((file, place, content))
        return
    _settle(state, content)
    if state.before and line.before != state.before:
        state.faults.append(ChainRemark(file, place, _why(state, line)))
    elif line.event <= state.event:
        again = f"the numbers go on from {line.event}: the database was put back"
        state.notes.append(ChainRemark(file, place, again))
    if line.event == known.event:
        state.digest_of_known = line.digest
    state.before, state.event, state.lines = line.digest, line.event, state.lines + 1


def _settle(state: _Reading, next_line: bytes) -> None:
    """What of the suspects was the begin of a line that was written again, and what is none of this chain's."""
    for file, place, content in state.suspects:
        if content[:_HEAD] == next_line[: len(content)][:_HEAD]:
            state.notes.append(ChainRemark(file, place, "torn while it was written; the line was written again"))
        else:
            state.faults.append(ChainRemark(file, place, "is no line of the chain: it was changed, or put in"))
    state.suspects.clear()


def _why(state: _Reading, line: chain.Line) -> str:
    """What a line tells that does not follow the one before."""
    if state.lines == 0:
        return f"the lines before this one (event {line.event}) are gone"
    if line.event > state.event + 1:
        return f"lines between this one (event {line.event}) and the one before (event {state.event}) are gone"
    if line.event <= state.event:
        return f"this line (event {line.event}) was moved behind event {state.event}, or lines were"
    return f"the line before this one (event {state.event}) was changed"


def _end(state: _Reading, known: Position, file: str) -> None:
    for name, place, content in state.suspects[:-1]:
        state.faults.append(ChainRemark(name, place, "is no line of the chain: it was changed, or put in"))
        del content
    for name, place, _ in state.suspects[-1:]:
        state.notes.append(ChainRemark(name, place, "torn while it was written; the next writer writes it again"))
    if state.event < known.event:
        gone = f"ends with event {state.event}, and event {known.event} was written: lines at the end are gone"
        state.faults.append(ChainRemark(file, 0, gone))
    elif known.digest and state.digest_of_known != known.digest and not state.faults:
        changed = f"event {known.event} is not as it was written: it, or lines before it, were changed"
        state.faults.append(ChainRemark(file, 0, changed))
