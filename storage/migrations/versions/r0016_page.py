"""The page: accounts with their links and sessions, what readers say, and studies in the order in which they came."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables, and the index that the list of studies goes by."""
    op.create_table(
        "account",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
    )
    op.create_table(
        "account_link",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("account", sa.String(64), sa.ForeignKey("account.name"), nullable=False, unique=True),
        sa.Column("expires_at", _TIME, nullable=False),
    )
    op.create_table(
        "web_session",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("account", sa.String(64), sa.ForeignKey("account.name"), nullable=False),
        sa.Column("seen_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
    )
    op.create_index("web_session_by_account", "web_session", ["account"])
    op.create_table(
        "reading",
        sa.Column("identifier", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("study_instance_uid", sa.String(64), sa.ForeignKey("study.study_instance_uid"), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("reader", sa.String(64), nullable=False),
        sa.Column("said_at", _TIME, nullable=False),
    )
    op.create_index("reading_by_study", "reading", ["study_instance_uid", "identifier"])
    op.create_index("study_by_arrival", "study", ["last_received_at", "study_instance_uid"])
