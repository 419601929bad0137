"""Who stands behind the pseudonyms of de-identified exports: a table a project, apart from everything else of the root.

`pseudonyms/<project>.jsonl`, a line a patient, for the user of the node alone. What is in it makes new UIDs, and finds
the patient of a pseudonym; an export has nothing of it. A line is durable before its pseudonym is used, and one that a
power cut has left unfinished was not.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from storage import durability
from storage.errors import StorageError
from storage.records import PatientIdentity

FOLDER = "pseudonyms"
_SUFFIX = ".jsonl"
_PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_WEEK, _FIRST_WEEK, _LAST_WEEK = 7, 52, 520
_ALPHABET_BYTES = 5  # eight characters of base 32


@dataclass(frozen=True, slots=True)
class PseudonymRow:
    """A patient of a project.

    Attributes:
        pseudonym: in the exports of the project.
        identifier, issuer, born: digests by which headers of the patient are found again (`PatientIdentity`), empty
            while none has stated it; of a study without a Patient ID its UID stands in `study`.
        patient_id: as a header spells it; empty where none has one.
        study: Study Instance UID of a study that names nobody; else empty.
        key: 32 random bytes (hex) of which the new UIDs are made.
        shift_days: by which all dates are moved: weeks, between one and ten years back.
    """

    pseudonym: str
    identifier: str
    issuer: str
    patient_id: str
    study: str
    key: str = field(repr=False)
    shift_days: int = field(repr=False)
    born: str = ""

    @property
    def stated(self) -> PatientIdentity:
        """All that headers of the patient have stated."""
        return PatientIdentity(self.identifier, self.issuer, self.born)


class AmbiguousPatientError(StorageError):
    """Several patients of a project have the Patient ID of a study, which states too little to tell whose it is."""


@dataclass(frozen=True, slots=True)
class Matching:
    """How identities are compared.

    Attributes:
        contradict: whether two name different patients.
        merged: all that two of one patient state.
    """

    contradict: Callable[[PatientIdentity, PatientIdentity], bool]
    merged: Callable[[PatientIdentity, PatientIdentity], PatientIdentity]


class Pseudonyms:
    """The tables of a root; safe for use by several processes."""

    def __init__(self, root: Path) -> None:
        self._folder = root / FOLDER

    def of_patient(
        self, project: str, patient_id: str, who: PatientIdentity, study: str, matching: Matching
    ) -> PseudonymRow:
        """The row of a patient, made where there is none yet; `study` tells those apart that name nobody.

        A row learns what `who` states and no header before has stated.

        Raises:
            AmbiguousPatientError: it may be that of several; no row was made.
            OSError: the disk refused.
            StorageError: the project has no name that a file can have, or its table is damaged.
        """
        path = self._path(project)
        own_study = "" if who.identifier else study
        with self._alone():
            rows = list(_rows(path))
            fitting = [number for number, row in enumerate(rows) if _is_of(row, who, own_study, matching)]
            if len(fitting) > 1:
                raise AmbiguousPatientError(
                    "several patients of the project have its Patient ID, and its issuer and birth date do not say "
                    "whose it is"
                )
            if fitting:
                return _learnt(path, rows, fitting[0], who, matching)
            row = _new(project, {it.pseudonym for it in rows}, who, patient_id, own_study)
            _append(path, row)
            return row

    def rows(self, project: str) -> tuple[PseudonymRow, ...]:
        """All patients of a project.

        Raises:
            StorageError: its table is damaged.
        """
        with self._alone():
            return tuple(_rows(self._path(project)))

    def forget(self, is_meant: Callable[[PseudonymRow], bool]) -> int:
        """Remove rows in the tables of all projects; how many there were. Nobody finds these patients again.

        Raises:
            OSError: the disk refused.
            StorageError: a table is damaged.
        """
        if not self._folder.is_dir():
            return 0
        forgotten = 0
        with self._alone():
            for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
                rows = list(_rows(path))
                kept = [row for row in rows if not is_meant(row)]
                if len(kept) != len(rows):
                    _replace(path, kept)
                    forgotten += len(rows) - len(kept)
        return forgotten

    def _path(self, project: str) -> Path:
        if _PROJECT.fullmatch(project) is None:
            raise StorageError(f"{project!r} is no name of a project: at most 32 of A-Z, a-z, 0-9, _ and -")
        return self._folder / f"{project}{_SUFFIX}"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def files(root: Path) -> list[Path]:
    """The tables of a root."""
    return sorted((root / FOLDER).glob(f"*{_SUFFIX}"))


def _is_of(row: PseudonymRow, who: PatientIdentity, study: str, matching: Matching) -> bool:
    if study or not row.identifier:
        return bool(study) and row.study == study
    return row.identifier == who.identifier and not matching.contradict(row.stated, who)


def _learnt(
    path: Path, rows: Sequence[PseudonymRow], number: int, who: PatientIdentity, matching: Matching
) -> PseudonymRow:
    """The row with what it did not have: from then on it is no longer that of whoever states something else."""
    row = rows[number]
    stated = matching.merged(row.stated, who) if row.identifier else row.stated
    known = replace(row, issuer=stated.issuer, born=stated.born)
    if known != row:
        _replace(path, [*rows[:number], known, *rows[number + 1 :]])
    return known


def _new(project: str, taken: set[str], who: PatientIdentity, patient_id: str, study: str) -> PseudonymRow:
    while True:
        name = f"{project}-{base64.b32encode(secrets.token_bytes(_ALPHABET_BYTES)).decode()}"
        if name not in taken:
            break
    weeks = _FIRST_WEEK + secrets.randbelow(_LAST_WEEK - _FIRST_WEEK + 1)
    key, shift = secrets.token_hex(32), -_WEEK * weeks
    return PseudonymRow(name, who.identifier, who.issuer, patient_id, study, key, shift, who.born)


def _rows(path: Path) -> Iterator[PseudonymRow]:
    if not path.exists():
        return
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        try:
            yield PseudonymRow(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise StorageError(
                f"{path}:{number}: is no line of a table of pseudonyms: put it back from a backup"
            ) from error


def _append(path: Path, row: PseudonymRow) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        written = file.read()
        file.seek(written.rfind(b"\n") + 1)
        file.truncate()
        file.write(_line(row).encode())
        file.flush()
        os.fsync(file.fileno())
    durability.sync(path.parent)


def _replace(path: Path, rows: Iterable[PseudonymRow]) -> None:
    partial = path.with_suffix(".part")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write("".join(map(_line, rows)).encode())
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    durability.sync(path.parent)


def _line(row: PseudonymRow) -> str:
    return json.dumps(asdict(row), separators=(",", ":")) + "\n"
