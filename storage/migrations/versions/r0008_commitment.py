"""Storage commitment: what destinations are asked to commit, and what others ask this node to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_UID = sa.String(64)
_IDENTIFIER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_MOMENT = sa.DateTime(timezone=True)
_IS_UNCOMMITTED = sa.text("state = 'STORED' AND commit_at IS NOT NULL")


def upgrade() -> None:
    """Add columns and tables; what was stored before is not asked for."""
    op.add_column("delivery", sa.Column("commit_at", _MOMENT, nullable=True))
    for name in ("commit_asked", "commit_failed"):
        op.add_column("delivery", sa.Column(name, sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.create_index(
        "delivery_uncommitted",
        "delivery",
        ["destination", "commit_asked", "commit_at"],
        sqlite_where=_IS_UNCOMMITTED,
        postgresql_where=_IS_UNCOMMITTED,
    )
    op.create_table(
        "commitment",
        sa.Column("identifier", _IDENTIFIER, primary_key=True),
        sa.Column("transaction_uid", _UID, nullable=False, unique=True),
        sa.Column("destination", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("asked_at", _MOMENT, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
    )
    op.create_index("commitment_by_destination", "commitment", ["destination", "identifier"])
    op.create_table(
        "commitment_delivery",
        sa.Column("commitment", _IDENTIFIER, sa.ForeignKey("commitment.identifier"), primary_key=True),
        sa.Column("delivery", _IDENTIFIER, sa.ForeignKey("delivery.identifier"), primary_key=True),
    )
    op.create_table(
        "commitment_request",
        sa.Column("identifier", _IDENTIFIER, primary_key=True),
        sa.Column("transaction_uid", _UID, nullable=False),
        sa.Column("asker", sa.String(64), nullable=False),
        sa.Column("called_ae", sa.String(16), nullable=False),
        sa.Column("objects", sa.Text(), nullable=False),
        sa.Column("duplicate", sa.Boolean(), nullable=False),
        sa.Column("received_at", _MOMENT, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", _MOMENT, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
    )
    op.create_index("commitment_request_by_transaction", "commitment_request", ["transaction_uid"])
    op.create_index("commitment_request_due", "commitment_request", ["asker", "state", "next_attempt_at"])
