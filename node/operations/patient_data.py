"""All that is kept of one patient: studies, bytes in quarantine and in the spool, and copies of the database.

The catalogue tells whose a study is by the one object that speaks for it. Where objects of a study may name several
patients, or are not in the catalogue, each header is read.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, or_, select
from sqlalchemy.engine import make_url

from node.analysis.progress import queue_database
from node.codes import Code
from node.recognition.header import patients
from node.recognition.header.frames import read_patient
from node.settings import Settings
from storage import catalogue_schema as catalogue
from storage.files import ObjectStore
from storage.quarantine_entries import entries
from storage.records import ENDED_STATES, NOBODY, ObjectOrigin, PatientIdentity, QuarantineState
from storage.schema import dicom_object, meant_patient, study, verdict

_PATIENT_ID = 0x00100020
_IN_USE_S = 3600.0
"""A file in the spool that is younger may be being written."""


@dataclass(frozen=True, slots=True)
class Person:
    """Whom an order is about.

    Attributes:
        identity: as headers are compared.
        spellings: of the Patient ID, as said and as the catalogue has it.
        names: parts of names that the catalogue has for this ID, in lower case.
        issuers: that the catalogue has for this ID; of several an order has to name one.
    """

    identity: PatientIdentity
    spellings: frozenset[str]
    names: frozenset[str]
    issuers: frozenset[str]


@dataclass(frozen=True, slots=True)
class StudyOfPatient:
    """A study with objects of a patient; `names_others`: it has objects of another patient as well."""

    study_instance_uid: str
    names_others: bool


@dataclass(frozen=True, slots=True)
class PatientData:
    """What is kept of a patient.

    Attributes:
        studies: with any object of the patient.
        quarantined: numbers of entries of the quarantine with bytes of the patient.
        spooled: files that interrupted writers left.
        arriving: files that are being written, perhaps.
        copies: of the database, of before migrations and the like: all that is in them is in them still.
    """

    studies: tuple[StudyOfPatient, ...]
    quarantined: tuple[int, ...]
    spooled: tuple[Path, ...]
    arriving: tuple[Path, ...]
    copies: tuple[Path, ...]


def person(connection: Connection, patient_id: str, issuer: str) -> Person:
    """Whom the catalogue knows by a Patient ID."""
    wanted = patients.identity(patient_id, issuer)
    table = catalogue.patient
    spellings, names, issuers = {patient_id}, set(), set()
    columns = [table.c[f"patient_name_{group}"] for group in ("alphabetic", "ideographic", "phonetic")]
    for row in connection.execute(select(table.c.patient_id, table.c.issuer_of_patient_id, *columns)):
        known = patients.identity(row.patient_id, row.issuer_of_patient_id)
        if patients.is_meant(known, wanted):
            spellings.add(row.patient_id)
            issuers |= {row.issuer_of_patient_id} - {""}
            names |= {part for group in row[2:] for part in group.replace("=", "^").casefold().split("^") if part}
    return Person(wanted, frozenset(spellings), frozenset(names), frozenset(issuers))


def find(settings: Settings, engine: Engine, files: ObjectStore, who: Person) -> PatientData:
    """Look for all that is kept of a patient.

    Raises:
        OSError: a folder, or a file, cannot be read.
    """
    with engine.connect() as connection:
        catalogued = frozenset(_in_catalogue(connection, who))
        candidates = sorted({*catalogued, *_to_be_read(connection)})
        found = tuple(
            it for uid in candidates if (it := _study(connection, files, uid, who, uid in catalogued)) is not None
        )
        held = entries(connection, ended=True, limit=None)
    uids = {it.study_instance_uid for it in found}
    spooled = [path for path in files.leftovers() if names(path, who, uids)]
    arriving = {path for path in spooled if _is_young(path)}
    return PatientData(
        studies=found,
        quarantined=tuple(
            it.identifier
            for it in held
            if it.state is QuarantineState.HELD and names(files.absolute(it.file), who, uids)
        ),
        spooled=tuple(path for path in spooled if path not in arriving),
        arriving=tuple(sorted(arriving)),
        copies=tuple(_copies(settings)),
    )


def names(path: Path, who: Person, study_uids: Collection[str] = ()) -> bool:
    """Whether bytes name a patient: by their header, or, where none can be read, by a Patient ID as it is encoded.

    Broken bytes that name one of these studies are of its patient as well.
    """
    stated = _stated(path)
    if stated.identifier:
        return patients.is_meant(stated, who.identity)
    needles = [needle for spelling in who.spellings for needle in _encoded(spelling)]
    needles += [uid.encode() for uid in study_uids]
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return any(content.find(needle) >= 0 for needle in needles)
    except (FileNotFoundError, ValueError):  # gone, or empty
        return False


def _in_catalogue(connection: Connection, who: Person) -> Iterator[str]:
    """Studies that the catalogue has of the patient."""
    of_patient = catalogue.patient.c.patient_id.in_(sorted(who.spellings))
    query = select(catalogue.study.c.study_instance_uid, catalogue.patient.c.issuer_of_patient_id)
    for uid, issuer in connection.execute(query.join(catalogue.patient).where(of_patient)):
        known = patients.identity(next(iter(who.spellings)), issuer)
        if not patients.contradict(known, who.identity):
            yield uid


def _to_be_read(connection: Connection) -> Iterator[str]:
    """Studies of which the catalogue does not tell whose all of their objects are."""
    mixed = study.c.reason.contains(Code.PATIENT_MIX)
    yield from connection.scalars(
        select(study.c.study_instance_uid).where(or_(study.c.state.not_in(sorted(ENDED_STATES)), mixed))
    )
    yield from connection.scalars(select(meant_patient.c.study_instance_uid))
    yield from connection.scalars(
        select(verdict.c.study_instance_uid).where(verdict.c.document.contains(Code.PATIENT_MIX)).distinct()
    )
    not_there = or_(dicom_object.c.catalogued.is_(False), dicom_object.c.origin == ObjectOrigin.RETURNED)
    yield from connection.scalars(select(dicom_object.c.study_instance_uid).where(not_there).distinct())
    faulty = select(catalogue.fault.c.object)
    yield from connection.scalars(
        select(dicom_object.c.study_instance_uid).where(dicom_object.c.identifier.in_(faulty)).distinct()
    )


def _study(
    connection: Connection, files: ObjectStore, uid: str, who: Person, is_catalogued: bool
) -> StudyOfPatient | None:
    """The study, where the catalogue has it of the patient, or an object of it names the patient."""
    paths = connection.scalars(
        select(dicom_object.c.path).where(dicom_object.c.study_instance_uid == uid).distinct()
    ).all()
    stated = [_stated(files.root / path) for path in paths]
    own = [patients.is_meant(it, who.identity) for it in stated]
    if not any(own) and not is_catalogued:
        return None
    others = any(it.identifier and not is_own for it, is_own in zip(stated, own, strict=True))
    return StudyOfPatient(uid, others)


def _stated(path: Path) -> PatientIdentity:
    """Whom a file names; nobody where it is gone, or broken.

    Raises:
        OSError: this machine cannot read it now, so that nobody can tell.
    """
    try:
        return read_patient(path)
    except FileNotFoundError:
        return NOBODY


def _encoded(patient_id: str) -> Iterator[bytes]:
    """The element Patient ID in each encoding of PS3.5 7.1, its value as it is and padded to an even length."""
    value = patient_id.encode("utf-8")
    for content in {value, value + b" " * (len(value) % 2)}:
        group, number = _PATIENT_ID >> 16, _PATIENT_ID & 0xFFFF
        little = group.to_bytes(2, "little") + number.to_bytes(2, "little")
        big = group.to_bytes(2, "big") + number.to_bytes(2, "big")
        yield little + b"LO" + len(content).to_bytes(2, "little") + content
        yield little + len(content).to_bytes(4, "little") + content
        yield big + b"LO" + len(content).to_bytes(2, "big") + content


def _is_young(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime < _IN_USE_S
    except FileNotFoundError:
        return False


def _copies(settings: Settings) -> Iterator[Path]:
    """Files beside a database of SQLite that begin with its name and are no part of it."""
    url = make_url(settings.storage_url)
    databases = [queue_database(settings.root)]
    if url.get_backend_name() == "sqlite" and url.database:
        databases.append(Path(url.database))
    for path in databases:
        parts = {path.name, f"{path.name}-wal", f"{path.name}-shm"}
        yield from (it for it in sorted(path.parent.glob(f"{path.name}*")) if it.name not in parts)
