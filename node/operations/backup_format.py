"""A backup on disk: `backup.json` names its databases and the list of its files, which lie below `root`.

`backup.json` is written last and names files of its own generation, so that a backup that was interrupted leaves the
one before as it was.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from node.errors import NodeError
from storage.durability import sync
from storage.inventory import Listed, digest_of

DOCUMENT = "backup.json"
FILES = "root"
UNDER_WAY = "backup-under-way"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Part:
    """A file of a backup: its name and the SHA-256 (hex) of its bytes."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class Description:
    """What a backup holds.

    `kind` is that of the index: sqlite or postgresql. `queue` is None where there was none. `copies`: whether the files
    are in the backup; else they are in one of the file system's.
    """

    version: int
    made_at: datetime
    kind: str
    index: Part
    queue: Part | None
    files: Part
    count: int
    size: int
    copies: bool


_DESCRIPTION = TypeAdapter(Description)
_LISTED = TypeAdapter(Listed)


def part_of(path: Path) -> Part:
    """A file of the backup that is whole now."""
    return Part(path.name, digest_of(path, of_data_set=False))


def write(folder: Path, description: Description) -> None:
    """Say what the backup holds from now on, durably."""
    partial = folder / f"{DOCUMENT}.part"
    partial.write_bytes(_DESCRIPTION.dump_json(description, indent=1))
    sync(partial)
    os.replace(partial, folder / DOCUMENT)
    sync(folder)


def read(folder: Path) -> Description:
    """What a backup holds, once its own files are whole.

    Raises:
        NodeError: it is none, is of a newer release, or is damaged.
    """
    path = folder / DOCUMENT
    try:
        found = _DESCRIPTION.validate_json(path.read_bytes())
    except FileNotFoundError:
        raise NodeError(f"{folder}: is no backup: it has no {DOCUMENT}, which a backup gets at its end") from None
    except (OSError, ValidationError) as error:
        raise NodeError(f"{path}: cannot be read: {type(error).__name__}") from error
    if found.version > VERSION:
        raise NodeError(f"{path}: a newer release made this backup: restore it by that release")
    for part in filter(None, (found.index, found.queue, found.files)):
        if not (folder / part.name).is_file() or part_of(folder / part.name) != part:
            raise NodeError(f"{folder / part.name}: is not what was backed up: take another backup")
    return found


def listed(path: Path, whole: bool = True) -> Iterator[Listed]:
    """The files of a list, up to where its writing was interrupted if it need not be `whole`."""
    with path.open("rb") as lines:
        for line in lines:
            if not whole and not line.endswith(b"\n"):
                return
            yield _LISTED.validate_json(line)


def line_of(it: Listed) -> str:
    """A file as a line of the list."""
    return json.dumps(asdict(it), separators=(",", ":")) + "\n"
