"""The end of quarantined files stays on record, and deliveries are found by their state."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns, for files that are all still there, and the index."""
    op.add_column("quarantine", sa.Column("state", sa.String(16), nullable=False, server_default="HELD"))
    op.add_column("quarantine", sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("quarantine", sa.Column("ended_because", sa.Text(), nullable=False, server_default=""))
    op.create_index("delivery_by_state", "delivery", ["state", "destination", "result"])
