"""Received objects, results and results that came back become one table with their origin; a result refers to it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_UID = sa.String(64)
_IDENTIFIER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_COLUMNS = (
    "origin, study_instance_uid, series_instance_uid, sop_class_uid, sop_instance_uid, transfer_syntax_uid, revision, "
    "path, digest, size, calling_ae, received_at"
)
_RECEIVED = f"""
    INSERT INTO dicom_object ({_COLUMNS})
    SELECT 'RECEIVED', study_instance_uid, series_instance_uid, sop_class_uid, sop_instance_uid, transfer_syntax_uid,
        revision, path, digest, size, calling_ae, received_at
    FROM instance ORDER BY identifier
"""
# A result that several revisions made is one object. All were written in Explicit VR Little Endian; when is not known.
_MADE = f"""
    INSERT INTO dicom_object ({_COLUMNS})
    SELECT 'MADE', study_instance_uid, series_instance_uid, sop_class_uid, sop_instance_uid, '1.2.840.10008.1.2.1',
        1, path, digest, size, '', NULL
    FROM result WHERE identifier IN (SELECT min(identifier) FROM result GROUP BY sop_instance_uid) ORDER BY identifier
"""
_RETURNED = f"""
    INSERT INTO dicom_object ({_COLUMNS})
    SELECT 'RETURNED', study_instance_uid, series_instance_uid, sop_class_uid, sop_instance_uid, transfer_syntax_uid,
        row_number() OVER (PARTITION BY study_instance_uid, sop_instance_uid ORDER BY identifier),
        path, digest, size, calling_ae, received_at
    FROM returned ORDER BY identifier
"""
_REFER = """
    UPDATE result SET object = (
        SELECT identifier FROM dicom_object
        WHERE origin = 'MADE' AND dicom_object.sop_instance_uid = result.sop_instance_uid
    )
"""
_MOVED = ("sop_class_uid", "sop_instance_uid", "series_instance_uid", "path", "digest", "size")


def upgrade() -> None:
    """Copy the rows, let the results refer to them, and drop what they came from."""
    _make_table()
    for statement in (_RECEIVED, _MADE, _RETURNED):
        op.execute(statement)
    with op.batch_alter_table("result") as batch:
        batch.add_column(
            sa.Column("object", _IDENTIFIER, sa.ForeignKey("dicom_object.identifier", name="result_object_fkey"))
        )
    op.execute(_REFER)
    for index in ("result_by_instance", "result_by_series"):
        op.drop_index(index, "result")
    with op.batch_alter_table("result") as batch:
        batch.alter_column("object", existing_type=_IDENTIFIER, nullable=False)
        for column in _MOVED:
            batch.drop_column(column)
        batch.create_unique_constraint(
            "result_study_instance_uid_revision_object_key", ["study_instance_uid", "revision", "object"]
        )
    op.create_index("result_by_object", "result", ["object"])
    op.drop_table("instance")
    op.drop_table("returned")


def _make_table() -> None:
    uids = ("study_instance", "series_instance", "sop_class", "sop_instance", "transfer_syntax")
    op.create_table(
        "dicom_object",
        sa.Column("identifier", _IDENTIFIER, primary_key=True),
        sa.Column("origin", sa.String(8), nullable=False),
        *(sa.Column(f"{name}_uid", _UID, nullable=False) for name in uids),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("calling_ae", sa.String(16), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True)),
        sa.UniqueConstraint("study_instance_uid", "sop_instance_uid", "origin", "revision"),
    )
    op.create_index("object_by_series", "dicom_object", ["study_instance_uid", "series_instance_uid"])
    op.create_index("object_by_uid", "dicom_object", ["sop_instance_uid"])
    not_received = sa.text("origin != 'RECEIVED'")
    op.create_index(
        "result_object_by_series",
        "dicom_object",
        ["series_instance_uid"],
        sqlite_where=not_received,
        postgresql_where=not_received,
    )
