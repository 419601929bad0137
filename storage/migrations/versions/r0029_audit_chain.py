"""The database knows each line of the audit's files before it is written, and where their numbers go back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0027"


def upgrade() -> None:
    """Add the columns and the table."""
    op.add_column("audit_position", sa.Column("file", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("audit_position", sa.Column("begun", sa.Text(), nullable=False, server_default=""))
    op.add_column("audit_position", sa.Column("is_put_back", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table("audit_resumption", sa.Column("digest", sa.String(64), primary_key=True))
