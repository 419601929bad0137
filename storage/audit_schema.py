"""The table of what people have done: who did what to whose study, and when. Rows are added, and never changed.

Names, not references: what was done stays when the account, the study or the alert is gone.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, String, Table, Text

from storage.schema import IDENTIFIER, UID, UTCDateTime, metadata

audit_event = Table(
    "audit_event",
    metadata,
    Column("identifier", IDENTIFIER, primary_key=True),
    Column("at", UTCDateTime, nullable=False),
    Column("action", String(32), nullable=False),
    Column("succeeded", Boolean, nullable=False),
    # Empty where nobody was known, as of a sign-in under no name of an account.
    Column("account", String(64), nullable=False),
    # Of one session the same, by which nobody can come in; empty outside of one.
    Column("session", String(64), nullable=False),
    # From where, as an address of the network.
    Column("address", String(64), nullable=False),
    # Empty in what was not done to a study, and in what remains of an erasure.
    Column("study_instance_uid", UID, nullable=False),
    Column("patient_id", Text, nullable=False),
    # What else it was done to: a remote, the number of an alert.
    Column("subject", Text, nullable=False),
    # How it was done, or why it was refused.
    Column("detail", Text, nullable=False),
    Index("audit_by_study", "study_instance_uid", "identifier"),
    Index("audit_by_patient", "patient_id", "identifier"),
    Index("audit_by_account", "account", "identifier"),
    Index("audit_by_time", "at"),
    Index("audit_by_session", "session", "study_instance_uid"),
)
