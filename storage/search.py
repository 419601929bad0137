"""Studies as a person looks for them: by patient, accession number, date, scanner and state, the latest first.

One statement finds a page, by an index that has its order where nothing else is asked; others read what belongs to its
studies.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, or_, select

from storage import catalogue_schema as catalogue
from storage.catalogue import matching
from storage.index import study_record
from storage.known_answer import of_check
from storage.origin import PRODUCT
from storage.records import StudyRecord, StudyState
from storage.schema import study

MOST = 200
"""Studies of one page."""


@dataclass(frozen=True, slots=True)
class StudySearch:
    """What is looked for; an empty field asks for nothing, and all that are not empty have to fit.

    `patient`: part of a name, in any script, or of a Patient ID. `accession`: part of the number. `date_from` and
    `date_to`: days of the study, YYYYMMDD, both included. `scanner`: part of manufacturer, model or station.
    """

    patient: str = ""
    accession: str = ""
    date_from: str = ""
    date_to: str = ""
    scanner: str = ""
    states: frozenset[StudyState] = frozenset()
    limit: int = 50
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Identification:
    """Whom and what a study is of, in the words of its headers; empty where they do not say.

    `patient_name` has the component groups of a name as they are shown. `scanner`: manufacturer and model of the first
    series of MR images that came.
    """

    patient_name: str = ""
    patient_id: str = ""
    birth_date: str = ""
    sex: str = ""
    accession: str = ""
    study_date: str = ""
    description: str = ""
    scanner: str = ""


def matching_studies(connection: Connection, wanted: StudySearch) -> int:
    """How many studies fit, on all pages."""
    return int(connection.scalar(select(func.count()).select_from(study).where(*_conditions(wanted))) or 0)


def page_of(connection: Connection, wanted: StudySearch) -> tuple[StudyRecord, ...]:
    """A page of the studies that fit."""
    query = (
        select(study)
        .where(*_conditions(wanted))
        .order_by(study.c.last_received_at.desc(), study.c.study_instance_uid.desc())
        .limit(min(wanted.limit, MOST))
        .offset(wanted.offset)
    )
    return tuple(map(study_record, connection.execute(query)))


def all_of(connection: Connection, wanted: StudySearch) -> tuple[str, ...]:
    """Study Instance UIDs of all studies that fit, on all pages, those that came first first."""
    query = select(study.c.study_instance_uid).where(*_conditions(wanted))
    return tuple(connection.scalars(query.order_by(study.c.first_received_at, study.c.study_instance_uid)))


def identifications(connection: Connection, studies: Sequence[str]) -> dict[str, Identification]:
    """What is known of studies; of those that are not in the catalogue yet, nothing."""
    patient, of_study = catalogue.patient, catalogue.study
    query = (
        select(
            of_study.c.identifier,
            of_study.c.study_instance_uid,
            of_study.c.attributes,
            patient.c.attributes.label("patient_attributes"),
        )
        .join(patient)
        .where(of_study.c.study_instance_uid.in_(studies))
    )
    rows = connection.execute(query).all()
    scanners = _scanners(connection, [row.identifier for row in rows])
    return {
        row.study_instance_uid: _identification(
            json.loads(row.patient_attributes), json.loads(row.attributes), scanners.get(row.identifier, "")
        )
        for row in rows
    }


def _scanners(connection: Connection, studies: Sequence[int]) -> dict[int, str]:
    series = catalogue.series
    query = (
        select(series.c.study, series.c.manufacturer, series.c.manufacturer_model_name)
        .where(series.c.study.in_(studies), series.c.modality == "MR", series.c.manufacturer != PRODUCT)
        .order_by(series.c.identifier)
    )
    found: dict[int, str] = {}
    for row in connection.execute(query):
        found.setdefault(row.study, f"{row.manufacturer} {row.manufacturer_model_name}".strip())
    return found


def _identification(patient: Mapping[str, Any], of_study: Mapping[str, Any], scanner: str) -> Identification:
    return Identification(
        patient_name=_text(patient, "00100010"),
        patient_id=_text(patient, "00100020"),
        birth_date=_text(patient, "00100030"),
        sex=_text(patient, "00100040"),
        accession=_text(of_study, "00080050"),
        study_date=_text(of_study, "00080020"),
        description=_text(of_study, "00081030"),
        scanner=scanner,
    )


def _text(elements: Mapping[str, Any], tag: str) -> str:
    """The first value of an element of the DICOM JSON model (PS3.18 F.2); the groups of a name beside each other."""
    value = next(iter(elements.get(tag, {}).get("Value", ())), "")
    if isinstance(value, dict):
        return " ".join(filter(None, (value.get(group, "") for group in ("Alphabetic", "Ideographic"))))
    return str(value or "")


def _conditions(wanted: StudySearch) -> Iterator[ColumnElement[bool]]:
    yield ~of_check(study.c.study_instance_uid)
    if wanted.states:
        yield study.c.state.in_(sorted(wanted.states))
    of_study = list(_of_catalogue(wanted))
    if of_study:
        yield study.c.study_instance_uid.in_(
            select(catalogue.study.c.study_instance_uid).where(*of_study).select_from(catalogue.study)
        )


def _of_catalogue(wanted: StudySearch) -> Iterator[ColumnElement[bool]]:
    table, series = catalogue.study, catalogue.series
    if wanted.patient.strip():
        yield of_patient(wanted.patient.strip())
    if wanted.accession.strip():
        yield table.c.accession_number.icontains(wanted.accession.strip(), autoescape=True)
    if wanted.date_from:
        yield table.c.study_date >= wanted.date_from
    if wanted.date_to:
        yield table.c.study_date <= wanted.date_to
    if wanted.scanner.strip():
        named = (series.c.manufacturer, series.c.manufacturer_model_name, series.c.station_name)
        said = or_(*(column.icontains(wanted.scanner.strip(), autoescape=True) for column in named))
        yield table.c.identifier.in_(select(series.c.study).where(said, series.c.manufacturer != PRODUCT))


def of_patient(said: str) -> ColumnElement[bool]:
    """Whether a study of the catalogue is of a patient who is meant.

    By part of a name as `matching` folds it, a space standing between its components too, or of a Patient ID.
    """
    table = catalogue.patient
    folded = matching.person_name(said.split("=")[0]).alphabetic
    as_component = folded.replace(" ", "^")
    meant = or_(
        table.c.patient_id.icontains(said, autoescape=True),
        *(
            column.contains(part, autoescape=True)
            for part in dict.fromkeys((folded, as_component))
            if part
            for column in (
                table.c.patient_name_alphabetic,
                table.c.patient_name_ideographic,
                table.c.patient_name_phonetic,
            )
        ),
    )
    return catalogue.study.c.patient.in_(select(table.c.identifier).where(meant))
