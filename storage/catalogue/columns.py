"""Keys as conditions on the columns of the catalogue.

A condition holds for all entities that fit, and for some keys for others as well: `is_exact` says of which it does not,
and `storage.catalogue.fitting` decides of the others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Column, ColumnElement, FromClause, and_, false, literal, or_

from storage import catalogue_schema as tables
from storage.catalogue import matching, ranges
from storage.catalogue.attributes import Level
from storage.catalogue.keys import Key

_Match = Callable[[str, str], ColumnElement[bool]]
"""Of the kind of database and a value of a key."""


def condition(dialect: str, level: Level, key: Key) -> ColumnElement[bool] | None:
    """The condition of a key on the table of a level; None where it has no column, and where every entity fits."""
    if key.items:
        return _of_items(dialect, level, key)
    match = COLUMNS[level].get(key.keyword)
    if match is None or not key.values:
        return None
    if key.keyword in _UIDS:  # a list of UIDs may be long
        return _UIDS[key.keyword].in_(key.values)
    return or_(*(match(dialect, value) for value in key.values))


def is_exact(level: Level, key: Key) -> bool:
    """Whether every entity that meets the condition of a key fits it."""
    if key.is_universal:
        return True
    if key.keyword not in COLUMNS[level] or key.empty:
        return False
    if len(key.values) > 1 and key.vr != "UI":
        return False  # a wild card alone among several matches what is there, not what is empty
    if key.keyword in _OF_SEVERAL:
        return False
    return key.vr != "PN" or "^" not in key.values[0] or not any(card in key.values[0] for card in "*?")


def combined(level: Level, date: str, span: ranges.Span) -> ColumnElement[bool] | None:
    """The condition that a date and its time lie in a span of both; None where there are no columns for them."""
    column = _MOMENTS.get((level, date))
    if column is None:
        return None
    day, hour = column
    moment = day + hour
    conditions = [moment >= span.first] if span.first else []
    # The dates alone as well: by them an index is used.
    conditions += [day >= span.first[:_DAY]] if span.first else []
    conditions += [moment <= span.last, day <= span.last[:_DAY]] if span.last else []
    return and_(*conditions)


def _of_items(dialect: str, level: Level, key: Key) -> ColumnElement[bool] | None:
    conditions = [
        or_(*(match(dialect, value) for value in item.values))
        for item in key.items
        if (match := _ITEMS.get((level, key.keyword, item.keyword))) is not None and item.values
    ]
    return and_(*conditions) if conditions else None


def _text(column: Column[Any]) -> _Match:
    return lambda dialect, value: _fits(column, value, dialect)


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
    """As `fitting.name_fits`; names of fewer components than the key have empty ones, so those at its end may lack."""

    def match(dialect: str, value: str) -> ColumnElement[bool]:
        groups = [table.c[f"{name}_{group}"] for group in ("alphabetic", "ideographic", "phonetic")]
        asked = matching.person_name(value)
        if "=" not in value.rstrip("="):
            if value.isascii():
                return _group(groups[0], asked.alphabetic, dialect)
            return or_(*(_group(group, asked.alphabetic, dialect) for group in groups))
        values = (asked.alphabetic, asked.ideographic, asked.phonetic)
        return and_(*(_group(group, it, dialect) for group, it in zip(groups, values, strict=True) if it))

    return match


def _group(column: ColumnElement[str], value: str, dialect: str) -> ColumnElement[bool]:
    fitting = [_fits(column, value, dialect)]
    while (shorter := value.rstrip("*")).endswith("^"):
        value = shorter.rstrip("^")
        fitting.append(_fits(column, value, dialect))
    return or_(*fitting)


def _range(column: Column[Any], vr: str) -> _Match:
    """Range matching; what is none of its kind matches nothing."""

    def match(_dialect: str, value: str) -> ColumnElement[bool]:
        span = ranges.span(vr, value)
        if span is None:
            return false()
        if span.first == span.last:
            return column == span.first
        return and_(*([column >= span.first] if span.first else []), *([column <= span.last] if span.last else []))

    return match


def _one_of_several(column: Column[Any]) -> _Match:
    """Of a column of several values with a backslash between; a wild card may reach over several."""
    return lambda dialect, value: _fits("\\" + column + "\\", f"*\\{value}\\*", dialect)


def _number(column: Column[Any]) -> _Match:
    def match(_dialect: str, value: str) -> ColumnElement[bool]:
        number = matching.integer(value)
        return false() if number is None else column == number

    return match


_DAY = 8  # characters of a date

COLUMNS: dict[Level, dict[str, _Match]] = {
    Level.PATIENT: {
        "PatientID": _text(tables.patient.c.patient_id),
        "IssuerOfPatientID": _text(tables.patient.c.issuer_of_patient_id),
        "PatientName": _person(tables.patient, "patient_name"),
        "PatientBirthDate": _range(tables.patient.c.patient_birth_date, "DA"),
        "PatientSex": _text(tables.patient.c.patient_sex),
    },
    Level.STUDY: {
        "StudyInstanceUID": _text(tables.study.c.study_instance_uid),
        "StudyDate": _range(tables.study.c.study_date, "DA"),
        "StudyTime": _range(tables.study.c.study_time, "TM"),
        "AccessionNumber": _text(tables.study.c.accession_number),
        "StudyID": _text(tables.study.c.study_id),
        "StudyDescription": _text(tables.study.c.study_description),
        "ReferringPhysicianName": _person(tables.study, "referring_physician_name"),
        "ModalitiesInStudy": _one_of_several(tables.study.c.modalities_in_study),
        "SOPClassesInStudy": _one_of_several(tables.study.c.sop_classes_in_study),
    },
    Level.SERIES: {
        "SeriesInstanceUID": _text(tables.series.c.series_instance_uid),
        "Modality": _text(tables.series.c.modality),
        "SeriesNumber": _number(tables.series.c.series_number),
        "SeriesDescription": _text(tables.series.c.series_description),
        "BodyPartExamined": _text(tables.series.c.body_part_examined),
        "ProtocolName": _text(tables.series.c.protocol_name),
        "StationName": _text(tables.series.c.station_name),
        "SeriesDate": _range(tables.series.c.series_date, "DA"),
        "SeriesTime": _range(tables.series.c.series_time, "TM"),
        "PerformedProcedureStepStartDate": _range(tables.series.c.performed_procedure_step_start_date, "DA"),
        "PerformedProcedureStepStartTime": _range(tables.series.c.performed_procedure_step_start_time, "TM"),
    },
    Level.IMAGE: {
        "SOPInstanceUID": _text(tables.instance.c.sop_instance_uid),
        "SOPClassUID": _text(tables.instance.c.sop_class_uid),
        "InstanceNumber": _number(tables.instance.c.instance_number),
        "Rows": _number(tables.instance.c.rows),
        "Columns": _number(tables.instance.c.columns),
        "NumberOfFrames": _number(tables.instance.c.number_of_frames),
        "ContentDate": _range(tables.instance.c.content_date, "DA"),
        "ContentTime": _range(tables.instance.c.content_time, "TM"),
    },
}
_UIDS: dict[str, Column[Any]] = {
    "StudyInstanceUID": tables.study.c.study_instance_uid,
    "SeriesInstanceUID": tables.series.c.series_instance_uid,
    "SOPInstanceUID": tables.instance.c.sop_instance_uid,
    "SOPClassUID": tables.instance.c.sop_class_uid,
}
_OF_SEVERAL = frozenset({"ModalitiesInStudy", "SOPClassesInStudy"})
_ITEMS = {
    (Level.SERIES, "RequestAttributesSequence", "RequestedProcedureID"): _one_of_several(
        tables.series.c.requested_procedure_ids
    ),
    (Level.SERIES, "RequestAttributesSequence", "ScheduledProcedureStepID"): _one_of_several(
        tables.series.c.scheduled_procedure_step_ids
    ),
    (Level.IMAGE, "ConceptNameCodeSequence", "CodeValue"): _one_of_several(tables.instance.c.concept_name_code),
    (Level.IMAGE, "ContentTemplateSequence", "TemplateIdentifier"): _one_of_several(
        tables.instance.c.template_identifier
    ),
}
_MOMENTS = {
    (Level.STUDY, "StudyDate"): (tables.study.c.study_date, tables.study.c.study_time),
    (Level.SERIES, "SeriesDate"): (tables.series.c.series_date, tables.series.c.series_time),
    (Level.SERIES, "PerformedProcedureStepStartDate"): (
        tables.series.c.performed_procedure_step_start_date,
        tables.series.c.performed_procedure_step_start_time,
    ),
    (Level.IMAGE, "ContentDate"): (tables.instance.c.content_date, tables.instance.c.content_time),
}
