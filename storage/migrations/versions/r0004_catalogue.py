"""Tables of the catalogue; every object that is there is to be catalogued."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_UID = sa.String(64)
_IDENTIFIER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables, and mark no object as catalogued."""
    op.add_column("dicom_object", sa.Column("catalogued", sa.Boolean(), nullable=False, server_default=sa.false()))
    not_catalogued = sa.column("catalogued", sa.Boolean()) == sa.false()
    op.create_index(
        "object_not_catalogued",
        "dicom_object",
        ["identifier"],
        sqlite_where=not_catalogued,
        postgresql_where=not_catalogued,
    )
    for name, *columns in _tables():
        op.create_table(name, *columns)
    for name, table, *columns in _INDEXES:
        op.create_index(name, table, columns)


def _identifier() -> sa.Column[Any]:
    return sa.Column("identifier", _IDENTIFIER, primary_key=True)


def _refer(name: str, to: str) -> sa.Column[Any]:
    return sa.Column(name, _IDENTIFIER, sa.ForeignKey(f"{to}.identifier"), nullable=False)


def _uid(name: str) -> sa.Column[Any]:
    return sa.Column(name, _UID, nullable=False)


def _text(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def _optional(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Text()) for name in names]


def _person(name: str) -> list[sa.Column[Any]]:
    return _text(f"{name}_alphabetic", f"{name}_ideographic", f"{name}_phonetic")


def _counts(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(f"{name}_count", sa.Integer(), nullable=False) for name in names]


def _source() -> list[sa.Column[Any]]:
    return [*_text("source"), sa.Column("source_revision", sa.Integer(), nullable=False)]


def _tables() -> list[tuple[Any, ...]]:
    patient = (
        "catalogue_patient",
        _identifier(),
        *_text("patient_id", "issuer_of_patient_id"),
        _uid("only_in_study"),
        *_person("patient_name"),
        *_optional("patient_birth_date"),
        *_text("patient_sex"),
        *_counts("study", "series", "instance"),
        *_text("attributes"),
        *_source(),
        sa.UniqueConstraint("patient_id", "issuer_of_patient_id", "only_in_study"),
    )
    study = (
        "catalogue_study",
        _identifier(),
        _refer("patient", "catalogue_patient"),
        _uid("study_instance_uid"),
        *_optional("study_date", "study_time"),
        *_text("accession_number", "study_id", "study_description"),
        *_person("referring_physician_name"),
        *_text("modalities_in_study", "sop_classes_in_study"),
        *_counts("series", "instance"),
        *_text("attributes"),
        *_source(),
        sa.UniqueConstraint("study_instance_uid"),
    )
    series = (
        "catalogue_series",
        _identifier(),
        _refer("study", "catalogue_study"),
        _uid("series_instance_uid"),
        *_text("modality"),
        sa.Column("series_number", sa.BigInteger()),
        *_text("series_description", "body_part_examined", "protocol_name"),
        *_text("manufacturer", "manufacturer_model_name", "institution_name", "station_name"),
        *_optional("series_date", "series_time"),
        *_optional("performed_procedure_step_start_date", "performed_procedure_step_start_time"),
        *_text("requested_procedure_ids", "scheduled_procedure_step_ids"),
        *_counts("instance"),
        *_text("attributes"),
        *_source(),
        sa.UniqueConstraint("study", "series_instance_uid"),
    )
    numbers = ("instance_number", "rows", "columns", "number_of_frames")
    instance = (
        "catalogue_instance",
        _identifier(),
        _refer("series", "catalogue_series"),
        _uid("sop_instance_uid"),
        _refer("object", "dicom_object"),
        _uid("sop_class_uid"),
        *(sa.Column(name, sa.BigInteger()) for name in numbers),
        *_optional("content_date", "content_time"),
        *_text("concept_name_code", "template_identifier", "attributes"),
        sa.UniqueConstraint("series", "sop_instance_uid"),
    )
    reference = sa.ForeignKey("dicom_object.identifier")
    fault = ("catalogue_fault", sa.Column("object", _IDENTIFIER, reference, primary_key=True), *_text("reason"))
    return [patient, study, series, instance, fault]


_INDEXES = (
    ("patient_by_name", "catalogue_patient", "patient_name_alphabetic"),
    ("study_of_patient", "catalogue_study", "patient"),
    ("study_by_accession_number", "catalogue_study", "accession_number"),
    ("study_by_date", "catalogue_study", "study_date", "study_time"),
    ("series_by_uid", "catalogue_series", "series_instance_uid"),
    ("series_by_modality", "catalogue_series", "modality"),
    ("catalogue_instance_by_uid", "catalogue_instance", "sop_instance_uid"),
    ("catalogue_instance_by_object", "catalogue_instance", "object"),
)
