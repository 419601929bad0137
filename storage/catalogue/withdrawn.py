"""What is not offered: results that a person has to take back, as they are of another patient or of rejected images."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from storage import catalogue_schema as tables
from storage.catalogue.attributes import Level
from storage.schema import IS_WITHDRAWN, result


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Instances that are not offered, and what they leave.

    Attributes:
        instances: identifiers in the catalogue.
        instance_counts: how many instances an entity loses, by its identifier.
        series_counts: how many series an entity loses, by its identifier.
        modalities: of what is left of a study, by its identifier.
        sop_classes: of what is left of a study, by its identifier.
    """

    instances: frozenset[int] = frozenset()
    instance_counts: dict[Level, Counter[int]] = field(default_factory=lambda: {level: Counter() for level in Level})
    series_counts: dict[Level, Counter[int]] = field(default_factory=lambda: {level: Counter() for level in Level})
    modalities: dict[int, list[str]] = field(default_factory=dict)
    sop_classes: dict[int, list[str]] = field(default_factory=dict)

    def hides(self, level: Level, identifier: int, instance_count: int) -> bool:
        """Whether nothing of an entity is offered, which has so many instances."""
        if level is Level.IMAGE:
            return identifier in self.instances
        return 0 < instance_count <= self.instance_counts[level][identifier]


def read_withdrawn(connection: Connection) -> Withdrawn:
    """What is not offered now; usually nothing."""
    instance, series, study = tables.instance, tables.series, tables.study
    found = connection.execute(
        select(
            instance.c.identifier,
            instance.c.series,
            series.c.study,
            study.c.patient,
            series.c.instance_count.label("of"),
        )
        .join(series, instance.c.series == series.c.identifier)
        .join(study, series.c.study == study.c.identifier)
        .where(instance.c.object.in_(select(result.c.object).where(IS_WITHDRAWN)))
    ).all()
    withdrawn = Withdrawn(frozenset(row.identifier for row in found))
    whole: dict[int, tuple[int, int]] = {}
    for row in found:
        for level, identifier in ((Level.PATIENT, row.patient), (Level.STUDY, row.study), (Level.SERIES, row.series)):
            withdrawn.instance_counts[level][identifier] += 1
        if withdrawn.instance_counts[Level.SERIES][row.series] == row.of:
            whole[row.series] = (row.study, row.patient)
    for of_study, of_patient in whole.values():
        withdrawn.series_counts[Level.STUDY][of_study] += 1
        withdrawn.series_counts[Level.PATIENT][of_patient] += 1
    for identifier in withdrawn.instance_counts[Level.STUDY]:
        _read_rest(connection, identifier, withdrawn)
    return withdrawn


def _read_rest(connection: Connection, identifier: int, withdrawn: Withdrawn) -> None:
    """What is left of a study."""
    instance, series = tables.instance, tables.series
    rows = connection.execute(
        select(instance.c.identifier, instance.c.sop_class_uid, series.c.modality)
        .join(series, instance.c.series == series.c.identifier)
        .where(series.c.study == identifier)
    )
    left = [row for row in rows if row.identifier not in withdrawn.instances]
    withdrawn.modalities[identifier] = sorted({row.modality for row in left} - {""})
    withdrawn.sop_classes[identifier] = sorted({row.sop_class_uid for row in left})
