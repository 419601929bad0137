"""Accounts of who signs in at a provider of OpenID Connect."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0026"


def upgrade() -> None:
    """Add who they are at the provider."""
    op.add_column("account", sa.Column("subject", sa.String(512), nullable=True))
    op.create_index("account_by_subject", "account", ["subject"], unique=True)
