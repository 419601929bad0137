"""Whether a channel was told that an alert has ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

_HAS_ENDED = """
UPDATE alert_notice SET end_told = :yes WHERE EXISTS (
    SELECT 1 FROM alert WHERE alert.code = alert_notice.code AND alert.subject = alert_notice.subject
    AND alert.opening = alert_notice.opening AND alert.cleared_at IS NOT NULL
)
"""


def upgrade() -> None:
    """Add the column; what has ended by now is nobody's news any more."""
    with op.batch_alter_table("alert_notice") as table:
        table.add_column(sa.Column("end_told", sa.Boolean, nullable=False, server_default=sa.false()))
    op.execute(sa.text(_HAS_ENDED).bindparams(yes=True))
    with op.batch_alter_table("alert_notice") as table:
        table.alter_column("end_told", server_default=None)
