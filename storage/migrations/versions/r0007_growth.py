"""What is open at a destination is found in its order; a modality alone finds no series: nearly all are of one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_IS_OPEN = sa.text("state IN ('CLAIMED', 'QUEUED')")


def upgrade() -> None:
    """Add the one index, and drop the other."""
    columns = ["destination", "attempts", "identifier"]
    op.create_index("delivery_open", "delivery", columns, sqlite_where=_IS_OPEN, postgresql_where=_IS_OPEN)
    op.drop_index("series_by_modality", "catalogue_series")
