"""Tables of what is watched over time: answers of remotes, destinations that rest, the machine, studies by scanner."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, String, Table, Text

from storage.schema import IDENTIFIER, UID, UTCDateTime, metadata

_NAME = String(64)

# Answers of remotes to C-ECHO (or to a request of DICOMweb), the latest of each. `asked_by` is an account; empty: the
# schedule.
echo = Table(
    "echo",
    metadata,
    Column("identifier", IDENTIFIER, primary_key=True),
    Column("remote", _NAME, nullable=False),
    Column("asked_at", UTCDateTime, nullable=False),
    Column("asked_by", _NAME, nullable=False),
    Column("answers", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("took_ms", Float, nullable=False),
    Index("echo_of_remote", "remote", "identifier"),
)

# Destinations that are left alone for a while, as those who deliver to them said last.
destination_rest = Table(
    "destination_rest",
    metadata,
    Column("destination", _NAME, primary_key=True),
    Column("since", UTCDateTime, nullable=False),
    Column("until", UTCDateTime, nullable=False),
    Column("in_vain", Integer, nullable=False),
    Column("reason", Text, nullable=False),
)

# Bytes of the disk of the root and of the memory of the machine, every few minutes of the last days.
machine_sample = Table(
    "machine_sample",
    metadata,
    Column("taken_at", UTCDateTime, primary_key=True),
    *(
        Column(name, BigInteger, nullable=False)
        for name in ("disk_free", "disk_total", "memory_available", "memory_total")
    ),
)

# What came of studies, by scanner and week: what the records of thousands of studies say, without reading them again.
# When a study is removed its row stays without its UID. `week` is the Monday of the last arrival, YYYY-MM-DD, in UTC.
scanned_study = Table(
    "scanned_study",
    metadata,
    Column("identifier", IDENTIFIER, primary_key=True),
    Column("study_instance_uid", UID, unique=True),
    Column("revision", Integer, nullable=False),
    Column("week", String(10), nullable=False),
    Column("manufacturer", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("serial", Text, nullable=False),
    Column("state", String(16), nullable=False),
    # Whether an acquisition parameter lies outside the range of the models' training.
    Column("outside", Boolean, nullable=False),
    # Whether a tumour is reported; NULL of what was not analysed to its end.
    Column("finding", Boolean),
)
