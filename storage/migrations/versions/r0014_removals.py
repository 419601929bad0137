"""Removals, holds and erasures; notes that reject results; indexes by which what refers to a removed row is found."""

from __future__ import annotations

import json
from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

_UID = sa.String(64)
_IDENTIFIER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_TIME = sa.DateTime(timezone=True)
_EMPTY = sa.text("''")
_ZERO = sa.text("0")
_AT_ONCE = 500
_COUNTS = ("studies", "objects", "quarantined")


def upgrade() -> None:
    """Add the tables; studies with objects that were asked to be committed are known from the requests."""
    op.create_table(
        "hold",
        sa.Column("identifier", _IDENTIFIER, primary_key=True),
        sa.Column("study_instance_uid", _UID, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("held_by", sa.String(64), nullable=False),
        sa.Column("held_at", _TIME, nullable=False),
        sa.Column("released_at", _TIME, nullable=True),
        sa.Column("released_by", sa.String(64), nullable=False, server_default=_EMPTY),
        sa.Column("released_because", sa.Text(), nullable=False, server_default=_EMPTY),
    )
    op.create_index("hold_by_study", "hold", ["study_instance_uid"])
    committed = op.create_table("committed_study", sa.Column("study_instance_uid", _UID, primary_key=True))
    _removals()
    op.create_table(
        "rejection_note",
        sa.Column("delivery", _IDENTIFIER, sa.ForeignKey("delivery.identifier"), primary_key=True),
        sa.Column("note", _IDENTIFIER, sa.ForeignKey("result.identifier"), nullable=False),
    )
    op.create_index("rejection_note_by_note", "rejection_note", ["note"])
    op.create_index("retrieval_by_study", "retrieval", ["study_instance_uid"])
    op.create_index("revision_by_object", "revision_object", ["object"])
    op.create_index("commitment_by_delivery", "commitment_delivery", ["delivery"])
    studies = sorted(set(_committed_studies()))
    if studies:
        op.bulk_insert(committed, [{"study_instance_uid": uid} for uid in studies])


def _removals() -> None:
    counts = [sa.Column(name, sa.Integer(), nullable=False, server_default=_ZERO) for name in _COUNTS]
    op.create_table(
        "erasure",
        sa.Column("identifier", _IDENTIFIER, primary_key=True),
        sa.Column("patient", sa.String(64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("ordered_by", sa.String(64), nullable=False),
        sa.Column("begun_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME, nullable=True),
        *counts,
        sa.Column("size", sa.BigInteger(), nullable=False, server_default=_ZERO),
    )
    op.create_table(
        "removal",
        sa.Column("identifier", _IDENTIFIER, primary_key=True),
        sa.Column("study_instance_uid", _UID, nullable=False),
        sa.Column("scope", sa.String(16), nullable=False),
        sa.Column("rule", sa.String(64), nullable=False),
        sa.Column("last_revision", sa.Integer(), nullable=False),
        sa.Column("objects", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("patient", sa.String(64), nullable=False),
        sa.Column("erasure", _IDENTIFIER, sa.ForeignKey("erasure.identifier"), nullable=True),
        sa.Column("begun_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME, nullable=True),
    )
    op.create_index("removal_by_study", "removal", ["study_instance_uid"])
    op.create_index("removal_by_patient", "removal", ["patient"])
    op.create_index("removal_by_end", "removal", ["ended_at", "identifier"])
    op.create_table(
        "removal_file",
        sa.Column("removal", _IDENTIFIER, sa.ForeignKey("removal.identifier"), primary_key=True),
        sa.Column("path", sa.Text(), primary_key=True),
    )


def _committed_studies() -> Iterator[str]:
    connection = op.get_bind()
    requests = connection.execute(sa.text("SELECT objects FROM commitment_request")).scalars().all()
    uids = [uid for objects in requests for _, uid in json.loads(objects)]
    query = sa.text("SELECT DISTINCT study_instance_uid FROM dicom_object WHERE sop_instance_uid IN :uids")
    for begin in range(0, len(uids), _AT_ONCE):
        part = uids[begin : begin + _AT_ONCE]
        yield from connection.execute(query.bindparams(sa.bindparam("uids", expanding=True)), {"uids": part}).scalars()
