"""A delivery is claimed with a lease, and its states get the names that say what is known."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_RENAMED = {"PENDING": "QUEUED", "DELIVERED": "STORED"}


def upgrade() -> None:
    """Add owner and lease, and rename the states."""
    op.add_column("delivery", sa.Column("owner", sa.String(64), nullable=True))
    op.add_column("delivery", sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True))
    delivery = sa.table("delivery", sa.column("state", sa.String))
    for before, now in _RENAMED.items():
        op.execute(delivery.update().where(delivery.c.state == before).values(state=now))
