"""Tables of alerts: conditions that an operator has to see, and what was told of them through which channel."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, String, Table, Text, UniqueConstraint

from storage.schema import IDENTIFIER, UTCDateTime, metadata

CODE = String(64)
SUBJECT_LENGTH = 255

alert = Table(
    "alert",
    metadata,
    Column("identifier", IDENTIFIER, primary_key=True),
    # Of `node.codes`; what it is about: a UID, a destination, a path, or nothing where there is but one such thing.
    Column("code", CODE, nullable=False),
    Column("subject", String(SUBJECT_LENGTH), nullable=False),
    # The how manieth of this code and subject: of two that raise it at the same time one has to count it again.
    Column("opening", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("since", UTCDateTime, nullable=False),
    Column("last", UTCDateTime, nullable=False),
    Column("times", Integer, nullable=False),
    Column("acknowledged_by", String(64), nullable=False),
    Column("acknowledged_at", UTCDateTime),
    Column("cleared_at", UTCDateTime),
    UniqueConstraint("code", "subject", "opening"),
    Index("alert_by_end", "cleared_at", "acknowledged_at"),
)

# What a channel was told of a code and subject last, over all their openings: one that comes and goes is told of
# as rarely as one that stays. `opening` and `times` are those of the alert then; where they are others, it came again.
# `end_told`: that it has ended was told since.
alert_notice = Table(
    "alert_notice",
    metadata,
    Column("channel", String(16), primary_key=True),
    Column("code", CODE, primary_key=True),
    Column("subject", String(SUBJECT_LENGTH), primary_key=True),
    Column("told_at", UTCDateTime, nullable=False),
    Column("opening", Integer, nullable=False),
    Column("times", Integer, nullable=False),
    Column("end_told", Boolean, nullable=False),
)
