"""The tables of November 2026, with which revisions begin; a database from before lacks none, some or all of them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_UID = sa.String(64)
_IDENTIFIER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make every table and index that is not there."""
    for name, *columns in _TABLES:
        op.create_table(name, *columns, if_not_exists=True)
    for name, table, *columns in _INDEXES:
        op.create_index(name, table, columns, if_not_exists=True)


def _column(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _identifier() -> sa.Column[Any]:
    return sa.Column("identifier", _IDENTIFIER, primary_key=True)


def _uids(*names: str) -> list[sa.Column[Any]]:
    return [_column(f"{name}_uid", _UID) for name in names]


def _file() -> list[sa.Column[Any]]:
    return [_column("path", sa.Text()), _column("digest", sa.String(64)), _column("size", sa.BigInteger())]


def _study(primary_key: bool = False) -> sa.Column[Any]:
    reference = sa.ForeignKey("study.study_instance_uid")
    return sa.Column("study_instance_uid", _UID, reference, nullable=False, primary_key=primary_key)


_TABLES: list[tuple[Any, ...]] = [
    (
        "study",
        sa.Column("study_instance_uid", _UID, primary_key=True),
        _column("revision", sa.Integer()),
        _column("state", sa.String(16)),
        _column("series_count", sa.Integer()),
        _column("instance_count", sa.Integer()),
        _column("first_received_at", _TIME),
        _column("last_received_at", _TIME),
        _column("changed", sa.Boolean()),
        _column("reason", sa.Text()),
    ),
    (
        "instance",
        _identifier(),
        _study(),
        *_uids("series_instance", "sop_class", "sop_instance", "transfer_syntax"),
        _column("revision", sa.Integer()),
        *_file(),
        _column("calling_ae", sa.String(16)),
        _column("received_at", _TIME),
        sa.UniqueConstraint("study_instance_uid", "sop_instance_uid", "revision"),
    ),
    (
        "association",
        sa.Column("identifier", sa.String(32), primary_key=True),
        sa.Column("study_instance_uid", _UID, primary_key=True),
        _column("open_until", _TIME),
    ),
    (
        "verdict",
        _study(primary_key=True),
        sa.Column("revision", sa.Integer(), primary_key=True),
        _column("document", sa.Text()),
    ),
    (
        "meant_patient",
        _study(primary_key=True),
        _column("identifier", sa.String(64)),
        _column("issuer", sa.String(64)),
        _column("born", sa.String(64)),
        _column("said_at", _TIME),
    ),
    (
        "quarantine",
        _identifier(),
        *_file(),
        _column("reason", sa.Text()),
        _column("calling_ae", sa.String(16)),
        _column("received_at", _TIME),
        sa.UniqueConstraint("path", "calling_ae", "reason"),
    ),
    (
        "result",
        _identifier(),
        *_uids("study_instance"),
        _column("revision", sa.Integer()),
        _column("role", sa.String(64)),
        *_uids("sop_class", "sop_instance", "series_instance"),
        *_file(),
        sa.UniqueConstraint("study_instance_uid", "revision", "sop_instance_uid"),
    ),
    (
        "returned",
        _identifier(),
        *_uids("study_instance", "series_instance", "sop_class", "sop_instance", "transfer_syntax"),
        *_file(),
        _column("calling_ae", sa.String(16)),
        _column("received_at", _TIME),
        sa.UniqueConstraint("path"),
    ),
    (
        "rejection",
        _identifier(),
        *_uids("study_instance", "series_instance", "sop_instance"),
        _column("title", sa.String(16)),
        *_uids("note_sop_instance"),
        _column("received_at", _TIME),
        sa.UniqueConstraint("study_instance_uid", "series_instance_uid", "sop_instance_uid"),
    ),
    (
        "delivery",
        _identifier(),
        sa.Column("result", _IDENTIFIER, sa.ForeignKey("result.identifier"), nullable=False),
        *_uids("sop_instance"),
        _column("destination", sa.String(64)),
        _column("state", sa.String(16)),
        _column("attempts", sa.Integer()),
        _column("next_attempt_at", _TIME),
        _column("reason", sa.Text()),
        sa.UniqueConstraint("sop_instance_uid", "destination"),
    ),
]

_INDEXES = (
    ("study_by_state", "study", "state", "last_received_at"),
    ("instance_by_series", "instance", "study_instance_uid", "series_instance_uid"),
    ("instance_by_uid", "instance", "sop_instance_uid"),
    ("association_by_study", "association", "study_instance_uid", "open_until"),
    ("result_by_instance", "result", "sop_instance_uid"),
    ("result_by_series", "result", "series_instance_uid"),
    ("returned_by_series", "returned", "series_instance_uid"),
    ("returned_by_instance", "returned", "sop_instance_uid"),
    ("returned_by_study", "returned", "study_instance_uid"),
    ("delivery_due", "delivery", "destination", "state", "next_attempt_at"),
    ("delivery_by_result", "delivery", "result"),
)
