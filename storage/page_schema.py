"""Tables of those who look at the page: accounts, their links and sessions, what readers say of results and outline."""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, String, Table, Text

from storage.schema import IDENTIFIER, UID, UTCDateTime, metadata, study

_DIGEST = String(64)
LONGEST_SUBJECT = 512

account = Table(
    "account",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("role", String(16), nullable=False),
    # As the hash function writes it, with its parameters; empty until the person has set one.
    Column("password_hash", Text, nullable=False),
    Column("created_at", UTCDateTime, nullable=False),
    # Who signs in at a provider: its issuer and its own name of that one; of a local account there is none.
    Column("subject", String(LONGEST_SUBJECT)),
    Index("account_by_subject", "subject", unique=True),
)

# A link that sets a password, once; of link and session only digests are kept, by which nobody can come in.
account_link = Table(
    "account_link",
    metadata,
    Column("digest", _DIGEST, primary_key=True),
    Column("account", ForeignKey(account.c.name), nullable=False, unique=True),
    Column("expires_at", UTCDateTime, nullable=False),
)

web_session = Table(
    "web_session",
    metadata,
    Column("digest", _DIGEST, primary_key=True),
    Column("account", ForeignKey(account.c.name), nullable=False),
    Column("seen_at", UTCDateTime, nullable=False),
    Column("expires_at", UTCDateTime, nullable=False),
    Index("web_session_by_account", "account"),
)

# By whom is a name, not a reference: what was said stays when the account is gone.
reading = Table(
    "reading",
    metadata,
    Column("identifier", IDENTIFIER, primary_key=True),
    Column("study_instance_uid", ForeignKey(study.c.study_instance_uid), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("comment", Text, nullable=False),
    Column("reader", String(64), nullable=False),
    Column("said_at", UTCDateTime, nullable=False),
    Index("reading_by_study", "study_instance_uid", "identifier"),
)

# The outline of a reader, which is an object of the study, and how it agrees with the one of the node.
reader_outline = Table(
    "reader_outline",
    metadata,
    Column("reading", ForeignKey(reading.c.identifier), primary_key=True),
    Column("study_instance_uid", ForeignKey(study.c.study_instance_uid), nullable=False),
    Column("series_instance_uid", UID, nullable=False),
    Column("sop_instance_uid", UID, nullable=False),
    # Of the data set, by which its file is found among the revisions of the object.
    Column("digest", String(64), nullable=False),
    Column("drawn_on", UID, nullable=False),
    Column("volume_ml", Float, nullable=False),
    # Of the result that it is compared with; empty where the node outlined nothing on that grid.
    Column("compared_with", UID, nullable=False),
    Column("own_ml", Float, nullable=False),
    Column("dice", Float),
    Index("reader_outline_by_study", "study_instance_uid"),
)
