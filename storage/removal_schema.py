"""Tables of what is removed and of what must not be, and of the notes that tell destinations of rejected results."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text, text

from storage.schema import IDENTIFIER, UID, UTCDateTime, delivery, metadata, result

# Studies that nothing removes while a row of theirs is not released: who said so, and why.
hold = Table(
    "hold",
    metadata,
    Column("identifier", IDENTIFIER, primary_key=True),
    Column("study_instance_uid", UID, nullable=False),
    Column("reason", Text, nullable=False),
    Column("held_by", String(64), nullable=False),
    Column("held_at", UTCDateTime, nullable=False),
    Column("released_at", UTCDateTime),
    Column("released_by", String(64), nullable=False, server_default=text("''")),
    Column("released_because", Text, nullable=False, server_default=text("''")),
    Index("hold_by_study", "study_instance_uid"),
)

# Studies with objects that others asked this node to commit: by its word they may delete their copy.
committed_study = Table("committed_study", metadata, Column("study_instance_uid", UID, primary_key=True))

# Orders to erase one patient, as they stay on record: `patient` is a digest with a secret of the site.
erasure = Table(
    "erasure",
    metadata,
    Column("identifier", IDENTIFIER, primary_key=True),
    Column("patient", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Column("ordered_by", String(64), nullable=False),
    Column("begun_at", UTCDateTime, nullable=False),
    Column("ended_at", UTCDateTime),
    *(
        Column(name, Integer, nullable=False, server_default=text("0"))
        for name in ("studies", "objects", "quarantined")
    ),
    Column("size", BigInteger, nullable=False, server_default=text("0")),
)

# What was removed, by which rule: written in the transaction in which its rows go, before its files go. It has ended
# when nothing of it is left.
removal = Table(
    "removal",
    metadata,
    Column("identifier", IDENTIFIER, primary_key=True),
    # Empty in what remains of an erasure.
    Column("study_instance_uid", UID, nullable=False),
    Column("scope", String(16), nullable=False),
    Column("rule", String(64), nullable=False),
    # A study that comes again begins after it: the queue knows revisions by their numbers.
    Column("last_revision", Integer, nullable=False),
    Column("objects", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),
    # As in `erasure`; empty where the study named nobody.
    Column("patient", String(64), nullable=False),
    Column("erasure", ForeignKey(erasure.c.identifier)),
    Column("begun_at", UTCDateTime, nullable=False),
    Column("ended_at", UTCDateTime),
    Index("removal_by_study", "study_instance_uid"),
    Index("removal_by_patient", "patient"),
    Index("removal_by_end", "ended_at", "identifier"),
)

# Files that a removal leaves to be removed, relative to the root.
removal_file = Table(
    "removal_file",
    metadata,
    Column("removal", ForeignKey(removal.c.identifier), primary_key=True),
    Column("path", Text, primary_key=True),
)

# The note by which a destination is told that the object of a revoked delivery is rejected.
rejection_note = Table(
    "rejection_note",
    metadata,
    Column("delivery", ForeignKey(delivery.c.identifier), primary_key=True),
    Column("note", ForeignKey(result.c.identifier), nullable=False),
    Index("rejection_note_by_note", "note"),
)
