"""Who a case is: names without patient data, and what a site's own table says of its studies.

Without a table a case is called after the SHA-256 of its Study Instance UID, and a patient after that of the first of
their studies.
"""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from models.research.cohort.records import Split
from node.errors import NodeError
from node.recognition.header import patients
from node.recognition.plan import StudyFacts
from storage.records import NOBODY, PatientIdentity

#: Columns of a site's table; only `study` is needed, what else it holds goes into labels.csv as it is.
STUDY_COLUMN = "study"
_OWN = (STUDY_COLUMN, "case", "patient", "split", "label", "tumour")


@dataclass(frozen=True, slots=True)
class Registered:
    """What is known of a study beside its images; as in `models.research.cohort.records.CaseFacts`."""

    case_id: str
    patient_id: str
    split: Split | None = None
    label: int | None = None
    tumour: bool = True
    clinical: Mapping[str, str] = field(default_factory=dict)


def registered(facts: Iterable[StudyFacts], table: Path | None) -> dict[str, Registered]:
    """Each study that is to be taken, by Study Instance UID: those of the table, or all where there is none.

    Raises:
        NodeError: the table cannot be understood; one line a fault.
    """
    patients = _patients(facts)
    if table is None:
        return {uid: Registered(_name("case", uid), patient) for uid, patient in patients.items()}
    rows = _rows(table)
    faults = [fault for line, row in rows for fault in _faults(line, row, table)]
    twice = {uid for uid in (row[STUDY_COLUMN] for _, row in rows) if sum(r[STUDY_COLUMN] == uid for _, r in rows) > 1}
    faults += [f"{table.name}: study {uid} stands there more than once" for uid in sorted(twice)]
    if faults:
        raise NodeError("\n".join(faults))
    return {row[STUDY_COLUMN]: _registered(row, patients) for _, row in rows}


def _patients(studies: Iterable[StudyFacts]) -> dict[str, str]:
    """A pseudonym for the patient of each study; studies without Patient ID have a patient each."""
    of_study = {facts.study_instance_uid: _patient(facts) for facts in studies}
    of_identifier: defaultdict[str, set[PatientIdentity]] = defaultdict(set)
    for patient in of_study.values():
        of_identifier[patient.identifier].add(patient)
    # One ID may be that of several patients, of several sites or birth dates.
    persons = {identifier: patients.persons(same) for identifier, same in of_identifier.items()}
    by_patient: defaultdict[object, list[str]] = defaultdict(list)
    for uid, patient in of_study.items():
        index = patients.person_of(patient, persons[patient.identifier]) if patient.identifier else None
        by_patient[uid if index is None else (patient.identifier, index)].append(uid)
    return {uid: _name("patient", min(uids)) for uids in by_patient.values() for uid in uids}


def _patient(facts: StudyFacts) -> PatientIdentity:
    """Who a study names; of one that names two, which is left out of a cohort, the one it says most of."""
    return next(iter(patients.persons(frame.header.patient for frame in facts.frames)), NOBODY)


def _name(prefix: str, uid: str) -> str:
    """A UID is unique and long: its digest tells nothing, and is the same in every run."""
    return f"{prefix}-{hashlib.sha256(uid.encode()).hexdigest()[:12]}"


def _rows(table: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            rows = [
                (reader.line_num, {str(k): v.strip() for k, v in row.items() if isinstance(v, str)}) for row in reader
            ]
            names = reader.fieldnames or ()
    except (OSError, UnicodeDecodeError) as error:
        raise NodeError(f"{table}: cannot be read as CSV in UTF-8: {error}") from error
    if STUDY_COLUMN not in names:
        raise NodeError(f"{table.name}: column {STUDY_COLUMN} (Study Instance UID) is missing")
    return rows


def _faults(line: int, row: Mapping[str, str], table: Path) -> list[str]:
    known = {"split": ("", *Split), "label": ("", "0", "1"), "tumour": ("", "yes", "no")}
    return [
        f"{table.name}:{line}: {name} is {row[name]!r}; known are {', '.join(filter(None, values))} or nothing"
        for name, values in known.items()
        if row.get(name, "") not in values
    ]


def _registered(row: Mapping[str, str], patients: Mapping[str, str]) -> Registered:
    uid = row[STUDY_COLUMN]
    return Registered(
        case_id=row.get("case") or _name("case", uid),
        patient_id=row.get("patient") or patients.get(uid, _name("patient", uid)),
        split=Split(row["split"]) if row.get("split") else None,
        label=int(row["label"]) if row.get("label") else None,
        tumour=row.get("tumour") != "no",
        clinical={name: value for name, value in row.items() if name not in _OWN},
    )
