"""What is watched over time: answers of remotes, destinations that rest, the machine, studies by scanner."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0019"

_TIME = sa.DateTime(timezone=True)
_IDENTIFIER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "echo",
        sa.Column("identifier", _IDENTIFIER, primary_key=True),
        sa.Column("remote", sa.String(64), nullable=False),
        sa.Column("asked_at", _TIME, nullable=False),
        sa.Column("asked_by", sa.String(64), nullable=False),
        sa.Column("answers", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("took_ms", sa.Float(), nullable=False),
    )
    op.create_index("echo_of_remote", "echo", ["remote", "identifier"])
    op.create_table(
        "destination_rest",
        sa.Column("destination", sa.String(64), primary_key=True),
        sa.Column("since", _TIME, nullable=False),
        sa.Column("until", _TIME, nullable=False),
        sa.Column("in_vain", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
    )
    op.create_table(
        "machine_sample",
        sa.Column("taken_at", _TIME, primary_key=True),
        sa.Column("disk_free", sa.BigInteger(), nullable=False),
        sa.Column("disk_total", sa.BigInteger(), nullable=False),
        sa.Column("memory_available", sa.BigInteger(), nullable=False),
        sa.Column("memory_total", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "scanned_study",
        sa.Column("identifier", _IDENTIFIER, primary_key=True),
        sa.Column("study_instance_uid", sa.String(64), unique=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("week", sa.String(10), nullable=False),
        sa.Column("manufacturer", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("serial", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("outside", sa.Boolean(), nullable=False),
        sa.Column("finding", sa.Boolean(), nullable=True),
    )
