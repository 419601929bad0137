"""The tree of files that a kill, or a power cut, leaves after some of the recorded operations.

A kill loses nothing of what was done. A power cut keeps of the bytes of a file what a sync of the file covered, and of
the names in a folder what a sync of that folder covered (fsync(2), POSIX). What else is on the disk nobody can say:
some cuts keep nothing of it, others a part by chance, of the names the first ones in their order, as a journal does, of
the bytes any, and of a write perhaps its first sectors.

Nothing is asked of the file system beyond that: a name whose folder was not synced is lost although its file was. One
thing is taken for granted: a rename is one change, so that who syncs either folder has all of it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath

from .recorder import Answered, Copied, Made, Operation, Removed, Renamed, Resized, Sent, Synced, Written

_SECTOR = 512


class Loss(StrEnum):
    """What becomes of changes that no sync covers."""

    NOTHING = "a kill: nothing is lost"
    ALL = "a power cut: all that is not synced is lost"
    SOME = "a power cut: of what is not synced a part is lost"


@dataclass(slots=True)
class _File:
    """A file, whatever its name is: its changes with the number of the operation that made them."""

    changes: list[tuple[int, Written | Resized]] = field(default_factory=list)
    content: bytearray = field(default_factory=bytearray)
    syncs: list[tuple[int, int]] = field(default_factory=list)

    def change(self, number: int, change: Written | Resized) -> None:
        self.changes.append((number, change))
        _apply(self.content, change)


@dataclass(frozen=True, slots=True)
class _Naming:
    """A change of names: which file (None: a folder) has which name then, and which name is gone."""

    number: int
    file: _File | None
    name: str = ""
    gone: str = ""

    def folders(self) -> set[str]:
        return {str(PurePosixPath(path).parent) for path in (self.name, self.gone) if path}


class Tree:
    """The files below a folder and their history."""

    def __init__(self, root: Path, operations: Sequence[Operation], before: Path | None = None) -> None:
        """`before` holds a copy of the folder as it was before the first operation, all of it durable."""
        self._root = str(root)
        self._names: dict[str, _File | None] = {}
        self._namings: list[_Naming] = []
        self._folder_syncs: dict[str, list[tuple[int, int]]] = {}
        self._files: list[_File] = []
        for path in sorted(before.rglob("*")) if before else ():
            self._was_there(str(root / path.relative_to(before)), path)
        for number, operation in enumerate(operations):
            _HANDLERS[type(operation)](self, number, operation)

    def leave(self, target: Path, cut: int, loss: Loss, chance: random.Random) -> None:
        """Write into a new folder what is there when all ends before the operation with the number `cut`."""
        namings = [each for each in self._namings if each.number < cut]
        durable = [each.number < 0 or self._is_durable(each, cut) for each in namings]
        more = {Loss.NOTHING: len(namings), Loss.ALL: 0, Loss.SOME: chance.randint(0, durable.count(False))}[loss]
        names: dict[str, _File | None] = {}
        for naming, sure in zip(namings, durable, strict=True):
            if sure or more > 0:
                _rename(names, naming)
                more -= not sure
        target.mkdir(parents=True)
        for name in sorted(names):
            self._write(target / PurePosixPath(name).relative_to(self._root), names[name], cut, loss, chance)

    def _write(self, path: Path, file: _File | None, cut: int, loss: Loss, chance: random.Random) -> None:
        if not path.parent.is_dir():
            return  # its folder is lost, and everything in it
        if file is None:
            path.mkdir(exist_ok=True)
            return
        path.write_bytes(_content(file, cut, loss, chance))

    def _is_durable(self, naming: _Naming, cut: int) -> bool:
        syncs = (sync for folder in naming.folders() for sync in self._folder_syncs.get(folder, ()))
        return _covered(naming.number, cut, syncs)

    # --- the history, an operation after another

    def _was_there(self, name: str, path: Path) -> None:
        file = None if path.is_dir() else _File()
        if file is not None:
            file.change(-1, Written(name, 0, path.read_bytes()))
        self._names[name] = file
        self._namings.append(_Naming(-1, file, name))

    def _made(self, number: int, operation: Made) -> None:
        self._name(_Naming(number, None if operation.folder else _File(), operation.path))

    def _written(self, number: int, operation: Written | Resized) -> None:
        file = self._names.get(operation.path)
        assert file is not None, f"{operation.path} was written to and never made"
        file.change(number, operation)

    def _copied(self, number: int, operation: Copied) -> None:
        source = self._names[operation.source]
        assert source is not None
        data = bytes(source.content[operation.source_offset : operation.source_offset + operation.size])
        self._written(number, Written(operation.path, operation.offset, data))

    def _renamed(self, number: int, operation: Renamed) -> None:
        file = self._names[operation.path]
        assert file is not None, f"{operation.path}: a folder that gets another name is not replayed"
        self._name(_Naming(number, file, operation.new, operation.path))

    def _removed(self, number: int, operation: Removed) -> None:
        self._name(_Naming(number, None, gone=operation.path))

    def _synced(self, number: int, operation: Synced) -> None:
        file = self._names.get(operation.path)
        syncs = file.syncs if file is not None else self._folder_syncs.setdefault(operation.path, [])
        syncs.append((number, operation.covers))

    def _said(self, _number: int, _operation: Answered | Sent) -> None:
        """Nothing is changed by it."""

    def _name(self, naming: _Naming) -> None:
        self._namings.append(naming)
        _rename(self._names, naming)


_HANDLERS: dict[type[Operation], Callable[..., None]] = {
    Made: Tree._made,
    Written: Tree._written,
    Resized: Tree._written,
    Copied: Tree._copied,
    Renamed: Tree._renamed,
    Removed: Tree._removed,
    Synced: Tree._synced,
    Answered: Tree._said,
    Sent: Tree._said,
}


def _rename(names: dict[str, _File | None], naming: _Naming) -> None:
    if naming.gone:
        names.pop(naming.gone, None)
    if naming.name:
        names[naming.name] = naming.file


def _covered(number: int, cut: int, syncs: Iterable[tuple[int, int]]) -> bool:
    """Whether a sync that ended before `cut` had begun after the operation."""
    return any(ended < cut and number < covers for ended, covers in syncs)


def _content(file: _File, cut: int, loss: Loss, chance: random.Random) -> bytes:
    content = bytearray()
    for number, change in file.changes:
        if number >= cut:
            break
        if number < 0 or loss is Loss.NOTHING or _covered(number, cut, file.syncs):
            _apply(content, change)
        elif loss is Loss.SOME and chance.random() < 0.5:
            _apply(content, _torn(change, chance))
    return bytes(content)


def _torn(change: Written | Resized, chance: random.Random) -> Written | Resized:
    """A write of which, by chance, only the first sectors are on the disk."""
    if isinstance(change, Resized) or chance.random() < 0.5:
        return change
    sectors = chance.randint(0, len(change.data) // _SECTOR)
    return Written(change.path, change.offset, change.data[: sectors * _SECTOR])


def _apply(content: bytearray, change: Written | Resized) -> None:
    size = change.size if isinstance(change, Resized) else change.offset
    if len(content) < size:
        content.extend(bytes(size - len(content)))
    if isinstance(change, Resized):
        del content[change.size :]
    else:
        content[change.offset : change.offset + len(change.data)] = change.data
