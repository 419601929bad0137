"""Tables of index and ledger, as they are now; `storage.migrations` leads databases of earlier releases to them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    and_,
    event,
    false,
    literal_column,
    select,
    text,
)

from storage.records import StoredFile


class UTCDateTime(TypeDecorator[datetime]):
    """Timezone-aware UTC in and out; SQLite, which has no time zones, holds naive UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without time zone cannot be stored")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData()
UID = String(64)
IDENTIFIER = BigInteger().with_variant(Integer, "sqlite")


def _file_columns() -> tuple[Column[Any], ...]:
    return (
        Column("path", Text, nullable=False),
        Column("digest", String(64), nullable=False),
        Column("size", BigInteger, nullable=False),
    )


def stored_file(row: Row[Any]) -> StoredFile:
    """The file in a row of a table that has the columns of one."""
    return StoredFile(Path(row.path), row.digest, row.size)


study = Table(
    "study",
    metadata,
    Column("study_instance_uid", UID, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("series_count", Integer, nullable=False),
    Column("instance_count", Integer, nullable=False),
    Column("first_received_at", UTCDateTime, nullable=False),
    Column("last_received_at", UTCDateTime, nullable=False),
    Column("changed", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    # What those who read the results have to know of what was sent; of a revision that was queued.
    Column("caution", Text, nullable=False, server_default=""),
    Index("study_by_state", "state", "last_received_at"),
    Index("study_by_arrival", "last_received_at", "study_instance_uid"),
)

# Every DICOM file that the node keeps for what it is, but broken ones. `revision` counts what came under a SOP Instance
# UID in the study, in any series of it, among objects of the same origin.
dicom_object = Table(
    "dicom_object",
    metadata,
    Column("identifier", IDENTIFIER, primary_key=True),
    Column("origin", String(8), nullable=False),
    Column("study_instance_uid", UID, nullable=False),
    Column("series_instance_uid", UID, nullable=False),
    Column("sop_class_uid", UID, nullable=False),
    Column("sop_instance_uid", UID, nullable=False),
    Column("transfer_syntax_uid", UID, nullable=False),
    Column("revision", Integer, nullable=False),
    *_file_columns(),
    # Empty for what was made here.
    Column("calling_ae", String(16), nullable=False),
    Column("received_at", UTCDateTime),
    # Whether `storage.catalogue` has read the file.
    Column("catalogued", Boolean, nullable=False, server_default=false()),
    # An instance that comes in under another study as well (a corrected study UID) belongs to both.
    UniqueConstraint("study_instance_uid", "sop_instance_uid", "origin", "revision"),
    Index("object_by_series", "study_instance_uid", "series_instance_uid"),
    Index("object_by_uid", "sop_instance_uid"),
)
#: As the conditions of indexes are written, to which other objects add nothing.
NOT_CATALOGUED = dicom_object.c.catalogued == false()
NOT_RECEIVED = dicom_object.c.origin != literal_column("'RECEIVED'")

# The instances that a revision of a study was queued with: what its analysis reads, whatever arrives meanwhile.
revision_object = Table(
    "revision_object",
    metadata,
    Column("study_instance_uid", ForeignKey(study.c.study_instance_uid), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("object", ForeignKey(dicom_object.c.identifier), primary_key=True),
    Index("revision_by_object", "object"),
)

association = Table(
    "association",
    metadata,
    Column("identifier", String(32), primary_key=True),
    Column("study_instance_uid", UID, primary_key=True),
    Column("open_until", UTCDateTime, nullable=False),
    Index("association_by_study", "study_instance_uid", "open_until"),
)

verdict = Table(
    "verdict",
    metadata,
    Column("study_instance_uid", ForeignKey(study.c.study_instance_uid), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("document", Text, nullable=False),
)

meant_patient = Table(
    "meant_patient",
    metadata,
    Column("study_instance_uid", ForeignKey(study.c.study_instance_uid), primary_key=True),
    Column("identifier", String(64), nullable=False),
    Column("issuer", String(64), nullable=False),
    Column("born", String(64), nullable=False),
    Column("said_at", UTCDateTime, nullable=False),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("identifier", IDENTIFIER, primary_key=True),
    *_file_columns(),
    Column("reason", Text, nullable=False),
    Column("calling_ae", String(16), nullable=False),
    Column("received_at", UTCDateTime, nullable=False),
    # What became of it, by whose order and why: a file that is gone from the quarantine leaves its row.
    Column("state", String(16), nullable=False, server_default="HELD"),
    Column("ended_at", UTCDateTime),
    Column("ended_because", Text, nullable=False, server_default=""),
    UniqueConstraint("path", "calling_ae", "reason"),
)

# Which objects a revision of a study has as its results; one that a later revision makes again is one object.
result = Table(
    "result",
    metadata,
    Column("identifier", IDENTIFIER, primary_key=True),
    Column("study_instance_uid", UID, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("role", String(64), nullable=False),
    Column("object", ForeignKey(dicom_object.c.identifier), nullable=False),
    # Why a person has to take it back where it is; empty where it stands.
    Column("withdrawn", Text, nullable=False, server_default=text("''")),
    UniqueConstraint("study_instance_uid", "revision", "object"),
    Index("result_by_object", "object"),
)

#: Each result with its object.
results = (
    select(
        result,
        *(
            dicom_object.c[name]
            for name in (
                "sop_class_uid",
                "sop_instance_uid",
                "series_instance_uid",
                "transfer_syntax_uid",
                "path",
                "digest",
                "size",
            )
        ),
    )
    .join(dicom_object, result.c.object == dicom_object.c.identifier)
    .subquery("results")
)

rejection = Table(
    "rejection",
    metadata,
    Column("identifier", IDENTIFIER, primary_key=True),
    # Of the object that is rejected; no foreign key, since a note may come before what it rejects.
    Column("study_instance_uid", UID, nullable=False),
    Column("series_instance_uid", UID, nullable=False),
    Column("sop_instance_uid", UID, nullable=False),
    Column("title", String(16), nullable=False),
    Column("note_sop_instance_uid", UID, nullable=False),
    Column("received_at", UTCDateTime, nullable=False),
    UniqueConstraint("study_instance_uid", "series_instance_uid", "sop_instance_uid"),
)

delivery = Table(
    "delivery",
    metadata,
    Column("identifier", IDENTIFIER, primary_key=True),
    Column("result", ForeignKey(result.c.identifier), nullable=False),
    Column("sop_instance_uid", UID, nullable=False),
    Column("destination", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", UTCDateTime, nullable=False),
    Column("reason", Text, nullable=False),
    # Who has claimed it, and until when unless that is extended; NULL where nobody has.
    Column("owner", String(64)),
    Column("leased_until", UTCDateTime),
    # When commitment of what is STORED is to be asked for (again); NULL where the destination is not asked.
    Column("commit_at", UTCDateTime),
    # How often it was asked since it was stored, and how often the destination had not what it had acknowledged.
    Column("commit_asked", Integer, nullable=False, server_default=text("0")),
    Column("commit_failed", Integer, nullable=False, server_default=text("0")),
    # One delivery for an object and a destination, whatever number of revisions made the same object.
    UniqueConstraint("sop_instance_uid", "destination"),
    Index("delivery_due", "destination", "state", "next_attempt_at"),
    Index("delivery_by_result", "result"),
    Index("delivery_by_state", "state", "destination", "result"),
)

# What a destination is asked to commit, written before it is asked, and the deliveries of each such transaction.
commitment = Table(
    "commitment",
    metadata,
    Column("identifier", IDENTIFIER, primary_key=True),
    Column("transaction_uid", UID, nullable=False, unique=True),
    Column("destination", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("asked_at", UTCDateTime, nullable=False),
    Column("reason", Text, nullable=False),
    Index("commitment_by_destination", "destination", "identifier"),
)

commitment_delivery = Table(
    "commitment_delivery",
    metadata,
    Column("commitment", ForeignKey(commitment.c.identifier), primary_key=True),
    Column("delivery", ForeignKey(delivery.c.identifier), primary_key=True),
    Index("commitment_by_delivery", "delivery"),
)

# What others ask this node to commit; written before the request is accepted. `objects` is JSON: pairs of SOP class and
# SOP Instance UID. `asker` is the name of a remote.
commitment_request = Table(
    "commitment_request",
    metadata,
    Column("identifier", IDENTIFIER, primary_key=True),
    Column("transaction_uid", UID, nullable=False),
    Column("asker", String(64), nullable=False),
    Column("called_ae", String(16), nullable=False),
    Column("objects", Text, nullable=False),
    Column("duplicate", Boolean, nullable=False),
    Column("received_at", UTCDateTime, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", UTCDateTime, nullable=False),
    Column("reason", Text, nullable=False),
    Index("commitment_request_by_transaction", "transaction_uid"),
    Index("commitment_request_due", "asker", "state", "next_attempt_at"),
)

# Studies that another system has and that are to be here; no foreign key, since nothing of one need be here yet.
retrieval = Table(
    "retrieval",
    metadata,
    Column("identifier", IDENTIFIER, primary_key=True),
    Column("remote", String(64), nullable=False),
    Column("study_instance_uid", UID, nullable=False),
    Column("state", String(16), nullable=False),
    # Instances at the remote and here, when they were last counted.
    Column("at_remote", Integer, nullable=False),
    Column("here", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("asked_at", UTCDateTime, nullable=False),
    Column("last_attempt_at", UTCDateTime),
    Column("next_attempt_at", UTCDateTime, nullable=False),
    # Until when somebody fetches it, unless that is extended; NULL where nobody does.
    Column("claimed_until", UTCDateTime),
    Column("reason", Text, nullable=False),
    UniqueConstraint("remote", "study_instance_uid"),
    Index("retrieval_due", "remote", "state", "next_attempt_at"),
    Index("retrieval_by_study", "study_instance_uid"),
)

# A step of an analysis from its beginning to its end: what is left was ended with its process. `boot` is the machine's
# at that time. No foreign key: a study that is erased takes nothing of it along.
step_attempt = Table(
    "step_attempt",
    metadata,
    Column("identifier", IDENTIFIER, primary_key=True),
    Column("study_instance_uid", UID, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("step", String(64), nullable=False),
    Column("boot", String(64), nullable=False),
    Column("begun_at", UTCDateTime, nullable=False),
    Index("step_attempt_of_revision", "study_instance_uid", "revision"),
)

IS_OPEN = delivery.c.state.in_([literal_column("'CLAIMED'"), literal_column("'QUEUED'")])
IS_WITHDRAWN = result.c.withdrawn != literal_column("''")
#: What a destination has stored and is to commit.
IS_UNCOMMITTED = and_(delivery.c.state == literal_column("'STORED'"), delivery.c.commit_at.is_not(None))

_PARTIAL = {
    Index("object_not_catalogued", dicom_object.c.identifier): NOT_CATALOGUED,
    Index("result_object_by_series", dicom_object.c.series_instance_uid): NOT_RECEIVED,
    # In the order in which deliveries are claimed.
    Index("delivery_open", *(delivery.c[name] for name in ("destination", "attempts", "identifier"))): IS_OPEN,
    Index("result_withdrawn", result.c.object): IS_WITHDRAWN,
    # In the order in which commitment is asked for; what was asked for as often as may be lies behind.
    Index(
        "delivery_uncommitted", *(delivery.c[name] for name in ("destination", "commit_asked", "commit_at"))
    ): IS_UNCOMMITTED,
}


@event.listens_for(metadata, "before_create")
def _make_partial(_target: MetaData, connection: Connection, **_options: object) -> None:
    """Give partial indexes their conditions for the database at hand.

    As arguments of the indexes they would import SQLAlchemy's PostgreSQL into every process, which takes as long as a
    question to SQLite.
    """
    for index, condition in _PARTIAL.items():
        index.dialect_options[connection.dialect.name]["where"] = condition
