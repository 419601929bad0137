"""Taking a study out of the catalogue, within a transaction of the caller."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select, update

from storage import catalogue_schema as tables
from storage.catalogue.filling import count_patients
from storage.schema import dicom_object


def remove(connection: Connection, study_uid: str) -> None:
    """Nothing of the study is in the catalogue any more; a patient without another study is gone as well."""
    of_study = select(tables.study.c.identifier).where(tables.study.c.study_instance_uid == study_uid)
    patients = connection.scalars(
        select(tables.study.c.patient).where(tables.study.c.study_instance_uid == study_uid)
    ).all()
    series = select(tables.series.c.identifier).where(tables.series.c.study.in_(of_study))
    connection.execute(delete(tables.instance).where(tables.instance.c.series.in_(series)))
    connection.execute(delete(tables.series).where(tables.series.c.study.in_(of_study)))
    connection.execute(delete(tables.study).where(tables.study.c.study_instance_uid == study_uid))
    objects = select(dicom_object.c.identifier).where(dicom_object.c.study_instance_uid == study_uid)
    connection.execute(delete(tables.fault).where(tables.fault.c.object.in_(objects)))
    count_patients(connection, patients)


def fill_anew(connection: Connection, study_uid: str) -> None:
    """What is left of a study, which is not in the catalogue, is read again: entities may have been described by what
    is gone."""
    this = dicom_object.c.study_instance_uid == study_uid
    connection.execute(update(dicom_object).where(this).values(catalogued=False))
