"""An entity that a query finds: its elements and those of the entities above it, in the DICOM JSON model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydicom.datadict import tag_for_keyword
from sqlalchemy import Column, ColumnElement, Row, RowMapping

from storage import catalogue_schema as tables
from storage.catalogue.attributes import Level
from storage.catalogue.withdrawn import Withdrawn

TABLES = {
    Level.PATIENT: tables.patient,
    Level.STUDY: tables.study,
    Level.SERIES: tables.series,
    Level.IMAGE: tables.instance,
}
#: Numbers of each level: keyword, column, and the lower level that is counted.
_NUMBERS: dict[Level, tuple[tuple[str, Column[Any], Level], ...]] = {
    Level.PATIENT: (
        ("NumberOfPatientRelatedStudies", tables.patient.c.study_count, Level.STUDY),
        ("NumberOfPatientRelatedSeries", tables.patient.c.series_count, Level.SERIES),
        ("NumberOfPatientRelatedInstances", tables.patient.c.instance_count, Level.IMAGE),
    ),
    Level.STUDY: (
        ("NumberOfStudyRelatedSeries", tables.study.c.series_count, Level.SERIES),
        ("NumberOfStudyRelatedInstances", tables.study.c.instance_count, Level.IMAGE),
    ),
    Level.SERIES: (("NumberOfSeriesRelatedInstances", tables.series.c.instance_count, Level.IMAGE),),
    Level.IMAGE: (),
}
_LISTS = {
    "ModalitiesInStudy": tables.study.c.modalities_in_study,
    "SOPClassesInStudy": tables.study.c.sop_classes_in_study,
}
_ONLINE = {"vr": "CS", "Value": ["ONLINE"]}
_KEPT_APART = 256  # attributes of upper levels, which many entities share


@dataclass(frozen=True, slots=True)
class Entity:
    """What is known of an entity.

    Attributes:
        identifier: in its table; entities come in this order.
        elements: by tag.
        hidden: nothing of it is offered.
    """

    identifier: int
    elements: Mapping[str, Mapping[str, Any]]
    hidden: bool = False


def columns_of(level: Level) -> list[ColumnElement[Any]]:
    """What is read of an entity of a level."""
    columns: list[ColumnElement[Any]] = []
    for each in level.and_above:
        columns += [TABLES[each].c.identifier.label(each.value), TABLES[each].c.attributes.label(f"{each} attributes")]
        columns += [column.label(keyword) for keyword, column, _ in _NUMBERS[each]]
        columns += [column.label(keyword) for keyword, column in _LISTS.items() if each is Level.STUDY]
    return columns


def entity_of(level: Level, row: Row[Any], withdrawn: Withdrawn) -> Entity:
    """The entity in a row of `columns_of`."""
    said = row._mapping
    elements: dict[str, Mapping[str, Any]] = {}
    counts = dict.fromkeys(Level, 0)
    for each in level.and_above:
        model = said[f"{each} attributes"]
        elements |= json.loads(model) if each is level else _shared(model)
        for keyword, _, counted in _NUMBERS[each]:
            number = said[keyword] - _lost(withdrawn, each, counted, said[each])
            elements[_tag(keyword)] = {"vr": "IS", "Value": [number]}
            counts[each] = said[keyword]
    if Level.STUDY in level.and_above:
        elements |= _lists(said, withdrawn)
    elements[_tag("InstanceAvailability")] = _ONLINE
    return Entity(said[level], elements, withdrawn.hides(level, said[level], counts[level]))


def _lost(withdrawn: Withdrawn, level: Level, counted: Level, identifier: int) -> int:
    if counted is Level.IMAGE:
        return withdrawn.instance_counts[level][identifier]
    return withdrawn.series_counts[level][identifier] if counted is Level.SERIES else 0


def _lists(said: RowMapping, withdrawn: Withdrawn) -> dict[str, Mapping[str, Any]]:
    modalities = withdrawn.modalities.get(said[Level.STUDY], said["ModalitiesInStudy"].split("\\"))
    classes = withdrawn.sop_classes.get(said[Level.STUDY], said["SOPClassesInStudy"].split("\\"))
    return {
        _tag("ModalitiesInStudy"): {"vr": "CS", "Value": modalities},
        _tag("SOPClassesInStudy"): {"vr": "UI", "Value": classes},
    }


@lru_cache(_KEPT_APART)
def _shared(model: str) -> Mapping[str, Mapping[str, Any]]:
    elements: Mapping[str, Mapping[str, Any]] = json.loads(model)
    return elements


@lru_cache
def _tag(keyword: str) -> str:
    return f"{tag_for_keyword(keyword):08X}"
