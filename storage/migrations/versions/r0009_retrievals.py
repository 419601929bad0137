"""Studies that are to be fetched from other systems."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "retrieval",
        sa.Column("identifier", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("remote", sa.String(64), nullable=False),
        sa.Column("study_instance_uid", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("at_remote", sa.Integer, nullable=False),
        sa.Column("here", sa.Integer, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("asked_at", _TIME, nullable=False),
        sa.Column("last_attempt_at", _TIME, nullable=True),
        sa.Column("next_attempt_at", _TIME, nullable=False),
        sa.Column("claimed_until", _TIME, nullable=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.UniqueConstraint("remote", "study_instance_uid"),
    )
    op.create_index("retrieval_due", "retrieval", ["remote", "state", "next_attempt_at"])
