"""The root that a database belongs to, objects whose files are damaged, and how far looking through the files is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0011"

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the tables."""
    op.create_table("root_identity", sa.Column("identifier", sa.String(36), primary_key=True))
    op.create_table(
        "damage",
        sa.Column(
            "object",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            sa.ForeignKey("dicom_object.identifier", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("found_at", _TIME, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "upkeep",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("position", sa.Text, nullable=False),
        sa.Column("begun_at", _TIME, nullable=False),
        sa.Column("found", sa.Text, nullable=False),
        sa.Column("ended_at", _TIME, nullable=True),
        sa.Column("last_found", sa.Text, nullable=False),
        sa.Column("rounds", sa.Integer, nullable=False),
    )
