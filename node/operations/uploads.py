"""What a person uploads: a DICOM file, or a ZIP archive of such; each goes the way of what is received."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from node.errors import NodeError
from node.operations import archives
from node.operations.intake import Became, Giver, Intake, Taken

log = logging.getLogger(__name__)

MOST_TOLD = 2000
"""Files of an archive that are named one by one."""

_MAGIC = 4
_DIRECTORY = "DICOMDIR"


@dataclass(slots=True)
class Uploaded:
    """What became of the files of an upload: counted, and the first of them.

    `refusal`: why the rest was not looked at; empty where all was.
    """

    counts: Counter[Became] = field(default_factory=Counter)
    files: list[Taken] = field(default_factory=list)
    studies: dict[str, None] = field(default_factory=dict)
    refusal: str = ""

    def add(self, taken: Taken) -> None:
        """Count a file."""
        self.counts[taken.became] += 1
        if len(self.files) < MOST_TOLD:
            self.files.append(taken)
        if taken.is_kept and taken.study_instance_uid:
            self.studies[taken.study_instance_uid] = None


def upload(intake: Intake, giver: Giver, name: str, file: Path, largest: int) -> Uploaded:
    """Take in what a person gives under a name; `largest`: bytes that the files of an archive may have together."""
    found = Uploaded()
    with file.open("rb") as source:
        if not archives.is_zip(source.read(_MAGIC)):
            source.seek(0)
            found.add(_taken(intake, giver, archives.shown(name), source))
            return found
    try:
        with archives.opened(file, largest) as entries:
            for taken in _all(intake, giver, entries):
                found.add(taken)
    except NodeError as error:
        found.refusal = str(error)
    log.info("an archive was uploaded: %s", dict(found.counts) or found.refusal)
    return found


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
