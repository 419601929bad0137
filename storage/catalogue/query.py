"""Queries of the catalogue: the entities of one level that fit keys of it and of those above (PS3.4 C.2.2.2).

Keys are matched as they are stored: names folded, dates and times in one form, the rest in its case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from itertools import pairwise
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, FromClause, Select, and_, false, literal, or_, select

from storage import catalogue_schema as tables
from storage.catalogue import matching


class Level(StrEnum):
    """Query/Retrieve Level (0008,0052)."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


_TABLES = {
    Level.PATIENT: tables.patient,
    Level.STUDY: tables.study,
    Level.SERIES: tables.series,
    Level.IMAGE: tables.instance,
}
_LEVELS = tuple(Level)


def statement(dialect: str, level: Level, keys: Mapping[str, str], limit: int) -> Select[tuple[str, ...]]:
    """The attributes of every level down to `level`, of entities that fit all keys; at most `limit`, by their age.

    Args:
        dialect: name of the kind of database.
        level: of the entities.
        keys: values as a query has them, by keyword; an empty one and ``*`` match everything.
        limit: the most entities.

    Raises:
        KeyError: a keyword is no key of these levels.
    """
    levels = _LEVELS[: _LEVELS.index(level) + 1]
    if unknown := keys.keys() - {keyword for each in levels for keyword in _KEYS[each]}:
        raise KeyError(f"{', '.join(sorted(unknown))}: no key at {level} level")
    source: FromClause = tables.patient
    fitting: list[ColumnElement[bool]] = []
    for above, each in pairwise((None, *levels)):
        assert each is not None
        table = _TABLES[each]
        if above is not None:
            source = source.join(table)
            # What is above is found first, and by it what is below: joined, SQLite might go through all instances.
            fitting = (
                [table.c[above.lower()].in_(select(_TABLES[above].c.identifier).where(*fitting))] if fitting else []
            )
        wanted = {keyword: value for keyword, value in keys.items() if value not in ("", "*")}
        fitting += [match(dialect, wanted[keyword]) for keyword, match in _KEYS[each].items() if keyword in wanted]
    columns = [_TABLES[each].c.attributes.label(f"{each.lower()}_attributes") for each in levels]
    return select(*columns).select_from(source).where(*fitting).order_by(_TABLES[level].c.identifier).limit(limit)


def find(connection: Connection, level: Level, keys: Mapping[str, str], limit: int) -> list[tuple[str, ...]]:
    """What `statement` asks for, as JSON objects in the DICOM JSON model, one for each level."""
    asked = statement(connection.dialect.name, level, keys, limit)
    return [tuple(map(str, row)) for row in connection.execute(asked)]


_Match = Callable[[str, str], ColumnElement[bool]]


def _text(column: Column[Any]) -> _Match:
    return lambda dialect, value: _fits(column, matching.text(value), dialect)


def _fits(column: ColumnElement[str], value: str, dialect: str) -> ColumnElement[bool]:
    """Single value matching, or wild card matching where the value has wild cards."""
    if not any(card in value for card in "*?"):
        return column == value
    if dialect == "sqlite":  # its LIKE knows no case, and its indexes serve GLOB
        return column.op("GLOB", is_comparison=True)(literal(value.replace("[", "[[]")))
    for character in "\\%_":
        value = value.replace(character, f"\\{character}")
    return column.like(value.replace("*", "%").replace("?", "_"), escape="\\")


def _person(table: FromClause, name: str) -> _Match:
    """A component group that is asked for; a query that has one group only may mean any."""

    def match(dialect: str, value: str) -> ColumnElement[bool]:
        groups = [f"{name}_{group}" for group in ("alphabetic", "ideographic", "phonetic")]
        asked = matching.person_name(value)
        alone = not asked.ideographic and not asked.phonetic
        if alone and asked.alphabetic.isascii():
            return _fits(table.c[groups[0]], asked.alphabetic, dialect)
        if alone:
            return or_(*(_fits(table.c[group], asked.alphabetic, dialect) for group in groups))
        values = (asked.alphabetic, asked.ideographic, asked.phonetic)
        return and_(*(_fits(table.c[group], it, dialect) for group, it in zip(groups, values, strict=True) if it))

    return match


def _uids(column: Column[Any]) -> _Match:
    """List of UID matching."""
    return lambda _dialect, value: column.in_([matching.text(uid) for uid in value.split("\\")])


def _range(column: Column[Any], read: Callable[[str], str | None]) -> _Match:
    """Range matching; what is none of its kind matches nothing."""

    def match(_dialect: str, value: str) -> ColumnElement[bool]:
        first, dash, last = (part.strip() for part in value.partition("-"))
        bounds = {part: read(part) for part in (first, last) if part}
        if not bounds or None in bounds.values():
            return false()
        if not dash:
            return column == bounds[first]
        return and_(*(column >= bounds[it] for it in (first,) if it), *(column <= bounds[it] for it in (last,) if it))

    return match


def _one_of_several(column: Column[Any]) -> _Match:
    """Of a column of several values with a backslash between."""
    return lambda _dialect, value: ("\\" + column + "\\").contains(f"\\{matching.text(value)}\\", autoescape=True)


def _number(column: Column[Any]) -> _Match:
    def match(_dialect: str, value: str) -> ColumnElement[bool]:
        number = matching.integer(value)
        return false() if number is None else column == number

    return match


_KEYS: dict[Level, dict[str, _Match]] = {
    Level.PATIENT: {
        "PatientID": _text(tables.patient.c.patient_id),
        "IssuerOfPatientID": _text(tables.patient.c.issuer_of_patient_id),
        "PatientName": _person(tables.patient, "patient_name"),
        "PatientBirthDate": _range(tables.patient.c.patient_birth_date, matching.date),
        "PatientSex": _text(tables.patient.c.patient_sex),
    },
    Level.STUDY: {
        "StudyInstanceUID": _uids(tables.study.c.study_instance_uid),
        "StudyDate": _range(tables.study.c.study_date, matching.date),
        "StudyTime": _range(tables.study.c.study_time, matching.time),
        "AccessionNumber": _text(tables.study.c.accession_number),
        "StudyID": _text(tables.study.c.study_id),
        "StudyDescription": _text(tables.study.c.study_description),
        "ReferringPhysicianName": _person(tables.study, "referring_physician_name"),
        "ModalitiesInStudy": _one_of_several(tables.study.c.modalities_in_study),
        "SOPClassesInStudy": _one_of_several(tables.study.c.sop_classes_in_study),
    },
    Level.SERIES: {
        "SeriesInstanceUID": _uids(tables.series.c.series_instance_uid),
        "Modality": _text(tables.series.c.modality),
        "SeriesNumber": _number(tables.series.c.series_number),
        "SeriesDescription": _text(tables.series.c.series_description),
        "BodyPartExamined": _text(tables.series.c.body_part_examined),
        "PerformedProcedureStepStartDate": _range(tables.series.c.performed_procedure_step_start_date, matching.date),
        "RequestedProcedureID": _one_of_several(tables.series.c.requested_procedure_ids),
    },
    Level.IMAGE: {
        "SOPInstanceUID": _uids(tables.instance.c.sop_instance_uid),
        "SOPClassUID": _uids(tables.instance.c.sop_class_uid),
        "InstanceNumber": _number(tables.instance.c.instance_number),
    },
}
