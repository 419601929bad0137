"""Conditions that an operator has to see, and what was told of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "alert",
        sa.Column("identifier", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("opening", sa.Integer, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("since", _TIME, nullable=False),
        sa.Column("last", _TIME, nullable=False),
        sa.Column("times", sa.Integer, nullable=False),
        sa.Column("acknowledged_by", sa.String(64), nullable=False),
        sa.Column("acknowledged_at", _TIME, nullable=True),
        sa.Column("cleared_at", _TIME, nullable=True),
        sa.UniqueConstraint("code", "subject", "opening"),
    )
    op.create_index("alert_by_end", "alert", ["cleared_at", "acknowledged_at"])
    op.create_table(
        "alert_notice",
        sa.Column("channel", sa.String(16), primary_key=True),
        sa.Column("code", sa.String(64), primary_key=True),
        sa.Column("subject", sa.String(255), primary_key=True),
        sa.Column("told_at", _TIME, nullable=False),
        sa.Column("opening", sa.Integer, nullable=False),
        sa.Column("times", sa.Integer, nullable=False),
    )
