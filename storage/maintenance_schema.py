"""Tables of upkeep: which root the database is of, what is wrong with files, how far looking through them is."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, String, Table, Text

from storage.schema import UTCDateTime, dicom_object, metadata

# One row: the identifier that the root has in a file as well.
root_identity = Table("root_identity", metadata, Column("identifier", String(36), primary_key=True))

# Objects whose file is gone or is not what was stored, until it is there again.
damage = Table(
    "damage",
    metadata,
    Column("object", ForeignKey(dicom_object.c.identifier, ondelete="CASCADE"), primary_key=True),
    Column("found_at", UTCDateTime, nullable=False),
    Column("reason", Text, nullable=False),
)

# How far a way through all files is, and what the last whole one found (JSON); `position` is its own.
upkeep = Table(
    "upkeep",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("position", Text, nullable=False),
    Column("begun_at", UTCDateTime, nullable=False),
    Column("found", Text, nullable=False),
    Column("ended_at", UTCDateTime),
    Column("last_found", Text, nullable=False),
    Column("rounds", Integer, nullable=False),
)
