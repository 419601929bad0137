"""Revisions are pinned to their instances, and a caution has its own column: known of those that are queued."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_UID = sa.String(64)
_IDENTIFIER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
# The latest revision of each received object: what an analysis that goes on after the migration would have read.
_PIN = """
    INSERT INTO revision_object (study_instance_uid, revision, object)
    SELECT study.study_instance_uid, study.revision, this.identifier
    FROM study JOIN dicom_object AS this ON this.study_instance_uid = study.study_instance_uid
    WHERE study.state = 'QUEUED' AND this.origin = 'RECEIVED' AND NOT EXISTS (
        SELECT 1 FROM dicom_object AS later
        WHERE later.study_instance_uid = this.study_instance_uid AND later.sop_instance_uid = this.sop_instance_uid
            AND later.series_instance_uid = this.series_instance_uid AND later.origin = 'RECEIVED'
            AND later.revision > this.revision
    )
"""


def upgrade() -> None:
    """Add column and table; fill them for studies that are queued."""
    op.add_column("study", sa.Column("caution", sa.Text(), nullable=False, server_default=""))
    op.execute("UPDATE study SET caution = reason, reason = '' WHERE state = 'QUEUED'")
    op.create_table(
        "revision_object",
        sa.Column("study_instance_uid", _UID, sa.ForeignKey("study.study_instance_uid"), primary_key=True),
        sa.Column("revision", sa.Integer(), primary_key=True),
        sa.Column("object", _IDENTIFIER, sa.ForeignKey("dicom_object.identifier"), primary_key=True),
    )
    op.execute(_PIN)
