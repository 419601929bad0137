"""What other systems do stands beside what people do; how far all of it has been written elsewhere."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0023"


def upgrade() -> None:
    """Add the columns and the table."""
    op.add_column("audit_event", sa.Column("remote", sa.String(64), nullable=False, server_default=""))
    op.add_column("audit_event", sa.Column("facts", sa.Text(), nullable=False, server_default=""))
    op.create_index("audit_by_remote", "audit_event", ["remote", "identifier"])
    op.create_table(
        "audit_position",
        sa.Column("target", sa.String(32), primary_key=True),
        sa.Column("event", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
    )
