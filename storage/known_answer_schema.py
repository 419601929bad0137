"""The table of known-answer checks."""

from __future__ import annotations

from sqlalchemy import Column, Index, String, Table, Text

from storage.schema import IDENTIFIER, UID, UTCDateTime, metadata

answer_check = Table(
    "answer_check",
    metadata,
    Column("identifier", IDENTIFIER, primary_key=True),
    Column("study_instance_uid", UID, nullable=False),
    # Digest of the bundles that answered.
    Column("models", String(64), nullable=False),
    Column("started_at", UTCDateTime, nullable=False),
    Column("ended_at", UTCDateTime),
    Column("outcome", String(16), nullable=False),
    # JSON: numbers by name; empty where there was none.
    Column("answer", Text, nullable=False),
    Column("reason", Text, nullable=False),
    # Who has made the answer the reference for these bundles; empty: nobody.
    Column("accepted_by", String(64), nullable=False),
    Column("accepted_at", UTCDateTime),
    Index("answer_check_by_models", "models", "accepted_at"),
)
