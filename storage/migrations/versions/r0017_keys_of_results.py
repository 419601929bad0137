"""The catalogue reads segmentations, documents and presentation states again, for keys that it did not have."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

_STORAGE = "1.2.840.10008.5.1.4.1.1"
#: Presentation states, segmentations, surface segmentations and label maps, and documents.
_CLASSES = (f"{_STORAGE}.11.%", f"{_STORAGE}.66.%", f"{_STORAGE}.88.%")


def upgrade() -> None:
    """They are catalogued by what catalogues new objects."""
    objects = sa.table("dicom_object", sa.column("catalogued", sa.Boolean), sa.column("sop_class_uid", sa.Text))
    is_one = sa.or_(*(objects.c.sop_class_uid.like(pattern) for pattern in _CLASSES))
    op.execute(objects.update().where(is_one).values(catalogued=sa.false()))
