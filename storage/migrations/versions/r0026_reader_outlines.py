"""Outlines of readers, with how they agree with those of the node."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "reader_outline",
        sa.Column(
            "reading",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            sa.ForeignKey("reading.identifier"),
            primary_key=True,
        ),
        sa.Column("study_instance_uid", sa.String(64), sa.ForeignKey("study.study_instance_uid"), nullable=False),
        sa.Column("series_instance_uid", sa.String(64), nullable=False),
        sa.Column("sop_instance_uid", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("drawn_on", sa.String(64), nullable=False),
        sa.Column("volume_ml", sa.Float(), nullable=False),
        sa.Column("compared_with", sa.String(64), nullable=False),
        sa.Column("own_ml", sa.Float(), nullable=False),
        sa.Column("dice", sa.Float(), nullable=True),
    )
    op.create_index("reader_outline_by_study", "reader_outline", ["study_instance_uid"])
