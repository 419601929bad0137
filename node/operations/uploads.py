"""What a person uploads: a DICOM file, or a ZIP archive of such; each goes the way of what is received."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from node.errors import NodeError, on_record, told
from node.operations import archives
from node.operations.intake import Became, Giver, Intake, Taken
from storage.errors import StorageError

log = logging.getLogger(__name__)

MOST_TOLD = 2000
"""Files of an archive that are named one by one."""

_MAGIC = 4
_DIRECTORY = "DICOMDIR"


@dataclass(slots=True)
class Uploaded:
    """What became of the files of an upload: counted, and the first of them.

    `refusal`: why the rest was not looked at; empty where all was. `on_record`: the same without names of files, which
    may be those of patients.
    """

    counts: Counter[Became] = field(default_factory=Counter)
    files: list[Taken] = field(default_factory=list)
    studies: dict[str, None] = field(default_factory=dict)
    refusal: str = ""
    on_record: str = ""

    @property
    def counted(self) -> str:
        """How many files became what."""
        return ", ".join(f"{count} {became}" for became, count in self.counts.items())

    def add(self, taken: Taken) -> None:
        """Count a file."""
        self.counts[taken.became] += 1
        if len(self.files) < MOST_TOLD:
            self.files.append(taken)
        if taken.is_kept and taken.study_instance_uid:
            self.studies[taken.study_instance_uid] = None


def upload(intake: Intake, giver: Giver, name: str, file: Path, largest: int, found: Uploaded) -> None:
    """Take in what a person gives under a name, told of in `found`, whatever comes in between.

    `largest`: bytes that the files of an archive may have together.
    """
    with file.open("rb") as source:
        if not archives.is_zip(source.read(_MAGIC)):
            source.seek(0)
            found.add(_taken(intake, giver, archives.shown(name), source))
            return
    try:
        with archives.opened(file, largest) as entries:
            for taken in _all(intake, giver, entries):
                found.add(taken)
    except NodeError as error:
        found.refusal, found.on_record = str(error), on_record(error)
    except (OSError, MemoryError, SQLAlchemyError, StorageError) as error:
        if not found.counts:
            raise
        found.refusal = found.on_record = f"the node could not go on: {told(error)}"
    log.info("an archive was uploaded: %s", "; ".join(filter(None, (found.counted, found.on_record))))


def _all(intake: Intake, giver: Giver, entries: Iterator[archives.Entry]) -> Iterator[Taken]:
    for entry in entries:
        if entry.content is None:
            yield Taken(entry.name, Became.REFUSED, entry.refusal)
        else:
            yield _taken(intake, giver, entry.name, entry.content)


def _taken(intake: Intake, giver: Giver, name: str, source: archives.Readable) -> Taken:
    if name.rpartition("/")[2].upper() == _DIRECTORY:
        return Taken(name, Became.REFUSED, "the directory of a medium is no object of a study")
    return intake.take(name, source, giver)
