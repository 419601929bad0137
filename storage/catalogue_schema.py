"""Tables of the catalogue: one row an entity at each of the four levels.

`attributes` holds the elements of the level as they were sent, in the DICOM JSON model (PS3.18 F). The other columns
are what is matched: names folded by component group, dates as YYYYMMDD, times as HHMMSS.FFFFFF, all of them empty or
null where the value is none of its kind; text without padding, in its case; several values with a backslash between.

Objects of one entity may disagree. `source` and `source_revision` say which of them speaks for it: a received one
before one that was made here, then the first by Series and SOP Instance UID, its latest revision. So the catalogue
does not depend on the order in which objects come.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, Table, Text, UniqueConstraint

from storage.schema import IDENTIFIER, UID, dicom_object, metadata


def _text(*names: str) -> list[Column[Any]]:
    return [Column(name, Text, nullable=False) for name in names]


def _optional(*names: str) -> list[Column[Any]]:
    return [Column(name, Text) for name in names]


def _person(name: str) -> list[Column[Any]]:
    """Folded; see `storage.catalogue.matching.person_name`."""
    return _text(f"{name}_alphabetic", f"{name}_ideographic", f"{name}_phonetic")


def _counts(*names: str) -> list[Column[Any]]:
    return [Column(f"{name}_count", Integer, nullable=False, default=0) for name in names]


def _source() -> list[Column[Any]]:
    return [Column("source", Text, nullable=False), Column("source_revision", Integer, nullable=False)]


patient = Table(
    "catalogue_patient",
    metadata,
    Column("identifier", IDENTIFIER, primary_key=True),
    *_text("patient_id", "issuer_of_patient_id"),
    # Who has no Patient ID is known in one study only: its UID; empty for all others.
    Column("only_in_study", UID, nullable=False),
    *_person("patient_name"),
    *_optional("patient_birth_date"),
    *_text("patient_sex"),
    *_counts("study", "series", "instance"),
    Column("attributes", Text, nullable=False),
    *_source(),
    UniqueConstraint("patient_id", "issuer_of_patient_id", "only_in_study"),
    Index("patient_by_name", "patient_name_alphabetic"),
)

study = Table(
    "catalogue_study",
    metadata,
    Column("identifier", IDENTIFIER, primary_key=True),
    Column("patient", ForeignKey(patient.c.identifier), nullable=False),
    Column("study_instance_uid", UID, nullable=False, unique=True),
    *_optional("study_date", "study_time"),
    *_text("accession_number", "study_id", "study_description"),
    *_person("referring_physician_name"),
    # Of its series and objects, in alphabetical order.
    *(Column(name, Text, nullable=False, default="") for name in ("modalities_in_study", "sop_classes_in_study")),
    *_counts("series", "instance"),
    Column("attributes", Text, nullable=False),
    *_source(),
    Index("study_of_patient", "patient"),
    Index("study_by_accession_number", "accession_number"),
    Index("study_by_date", "study_date", "study_time"),
)

series = Table(
    "catalogue_series",
    metadata,
    Column("identifier", IDENTIFIER, primary_key=True),
    Column("study", ForeignKey(study.c.identifier), nullable=False),
    Column("series_instance_uid", UID, nullable=False),
    *_text("modality"),
    Column("series_number", BigInteger),
    *_text("series_description", "body_part_examined", "protocol_name"),
    *_text("manufacturer", "manufacturer_model_name", "institution_name", "station_name"),
    *_optional("series_date", "series_time"),
    *_optional("performed_procedure_step_start_date", "performed_procedure_step_start_time"),
    # Of each item of Request Attributes Sequence.
    *_text("requested_procedure_ids", "scheduled_procedure_step_ids"),
    *_counts("instance"),
    Column("attributes", Text, nullable=False),
    *_source(),
    UniqueConstraint("study", "series_instance_uid"),
    Index("series_by_uid", "series_instance_uid"),
)

instance = Table(
    "catalogue_instance",
    metadata,
    Column("identifier", IDENTIFIER, primary_key=True),
    Column("series", ForeignKey(series.c.identifier), nullable=False),
    Column("sop_instance_uid", UID, nullable=False),
    # The latest revision of the object.
    Column("object", ForeignKey(dicom_object.c.identifier), nullable=False),
    Column("sop_class_uid", UID, nullable=False),
    *(Column(name, BigInteger) for name in ("instance_number", "rows", "columns", "number_of_frames")),
    *_optional("content_date", "content_time"),
    # Code Value of Concept Name Code Sequence and Template Identifier of Content Template Sequence (IHE RAD-137).
    *_text("concept_name_code", "template_identifier"),
    Column("attributes", Text, nullable=False),
    UniqueConstraint("series", "sop_instance_uid"),
    Index("catalogue_instance_by_uid", "sop_instance_uid"),
    Index("catalogue_instance_by_object", "object"),
)

# What is wrong with the file of an object: it cannot be read, and is in none of the tables above, or elements of it.
fault = Table(
    "catalogue_fault",
    metadata,
    Column("object", ForeignKey(dicom_object.c.identifier), primary_key=True),
    Column("reason", Text, nullable=False),
)
