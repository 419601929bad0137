"""Results that a person has to take back are known as such, wherever they were or were not sent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_IS_WITHDRAWN = sa.text("withdrawn <> ''")
_TAKEN_BACK = (
    "SELECT reason FROM delivery WHERE delivery.result = result.identifier AND state IN ('STOPPED', 'REVOKED')"
)


def upgrade() -> None:
    """Add why, which deliveries tell of what was to be sent."""
    op.add_column("result", sa.Column("withdrawn", sa.Text(), nullable=False, server_default=sa.text("''")))
    # A delivery of a release before reasons were kept may have none.
    why = f"COALESCE(NULLIF((SELECT MAX(reason) FROM ({_TAKEN_BACK}) AS taken_back), ''), 'taken back')"
    op.execute(f"UPDATE result SET withdrawn = {why} WHERE EXISTS ({_TAKEN_BACK})")
    op.create_index(
        "result_withdrawn", "result", ["object"], sqlite_where=_IS_WITHDRAWN, postgresql_where=_IS_WITHDRAWN
    )
