"""The tables of the audit: who did what to whose study, and when. Events are added, and never changed.

Names, not references: what was done stays when the account, the study or the alert is gone.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, String, Table, Text, false

from storage.schema import IDENTIFIER, UID, UTCDateTime, metadata

#: The action of a query, in whose facts names can stand.
QUERIED = "QUERIED"

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
    # The other system, as it calls itself or is called here; empty of what people and the node itself do.
    Column("remote", String(64), nullable=False, server_default=""),
    # What a message of the audit says beside (`storage.audit.Facts`, JSON); empty: nothing.
    Column("facts", Text, nullable=False, server_default=""),
    Index("audit_by_study", "study_instance_uid", "identifier"),
    Index("audit_by_patient", "patient_id", "identifier"),
    Index("audit_by_account", "account", "identifier"),
    Index("audit_by_remote", "remote", "identifier"),
    Index("audit_by_time", "at"),
    Index("audit_by_session", "session", "study_instance_uid"),
)

#: How far events have been written, a row for each place that they go to.
audit_position = Table(
    "audit_position",
    metadata,
    Column("target", String(32), primary_key=True),
    # The last event that is there.
    Column("event", IDENTIFIER, nullable=False),
    # Of its line, SHA-256 in hexadecimal digits; empty where there are no lines.
    Column("digest", String(64), nullable=False),
    # Number of the file that was written last; 0 where there are none.
    Column("file", Integer, nullable=False, server_default="0"),
    # Lines that come next, EVENT:DIGEST with a blank between; empty: none.
    Column("begun", Text, nullable=False, server_default=""),
    # Whether the database is older than the files may be.
    Column("is_put_back", Boolean, nullable=False, server_default=false()),
)

#: Lines of the files behind which the numbers of events go back, since the database was put back.
audit_resumption = Table("audit_resumption", metadata, Column("digest", String(64), primary_key=True))
