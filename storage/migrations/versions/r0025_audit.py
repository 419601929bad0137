"""What people have done: who did what to whose study, and when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "audit_event",
        sa.Column("identifier", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("succeeded", sa.Boolean(), nullable=False),
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("session", sa.String(64), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("study_instance_uid", sa.String(64), nullable=False),
        sa.Column("patient_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
    )
    for name, columns in (
        ("audit_by_study", ["study_instance_uid", "identifier"]),
        ("audit_by_patient", ["patient_id", "identifier"]),
        ("audit_by_account", ["account", "identifier"]),
        ("audit_by_time", ["at"]),
        ("audit_by_session", ["session", "study_instance_uid"]),
    ):
        op.create_index(name, "audit_event", columns)
