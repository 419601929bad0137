"""C-FIND as SCP (PS3.4 C.4.1): patients, studies, series and instances of the catalogue."""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo

from pydicom import Dataset
from pynetdicom import _config
from pynetdicom.events import Event
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelFind,
    PatientStudyOnlyQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
)
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from node.audit.recorder import Recorder
from node.clock import utc_now
from node.errors import told
from node.logs import Sparing, title
from node.services.answer import answer
from node.services.identifier import Identifier, IdentifierError, Root, read_identifier, shortened
from storage.audit import AuditAction, AuditEvent, Facts
from storage.catalogue.keys import Query
from storage.catalogue.query import portions

log = logging.getLogger(__name__)

# pynetdicom would write every identifier into its log, names and all, which takes longer than the answer.
_config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False

FIND_CLASSES = {
    str(PatientRootQueryRetrieveInformationModelFind): Root.PATIENT,
    str(StudyRootQueryRetrieveInformationModelFind): Root.STUDY,
    str(PatientStudyOnlyQueryRetrieveInformationModelFind): Root.PATIENT_STUDY,
}

# PS3.4 Table C.4-1.
PENDING, PENDING_WITH_UNSUPPORTED_KEYS, CANCELLED = 0xFF00, 0xFF01, 0xFE00
OUT_OF_RESOURCES, MISMATCH, UNABLE = 0xA700, 0xA900, 0xC001
# Of PS3.4 Table C.5-1: relational queries, combined dates and times, fuzzy matching of names, adjustment of the time
# zone, empty values, several values all of which must be there.
SUPPORTED = (1, 1, 0, 0, 1, 0)

LONGEST_ON_RECORD = 8192
"""Bytes of a query that are put on record."""

_Response = tuple[int | Dataset, Dataset | None]


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What SOP Class Extended Negotiation has agreed on (PS3.4 C.5.1.1)."""

    relational: bool = False
    combined: bool = False
    empty_values: bool = False


def extended(asked: bytes) -> bytes:
    """The answer to the application information of a query class: of what is asked for, what there is."""
    return bytes(min(it, supported) for it, supported in zip(asked, SUPPORTED, strict=False)) or b"\0"


def negotiated(association_asked: bytes) -> Negotiated:
    """What was agreed on, from what was asked for; nothing where nothing was."""
    agreed = [*extended(association_asked), *bytes(len(SUPPORTED))]
    return Negotiated(bool(agreed[0]), bool(agreed[1]), bool(agreed[4]))


class _Asking:
    """A query that is being answered, as it is put on record whenever it ends.

    Attributes:
        on_record: with whom it asks for, as soon as that is known.
        answered: how many answers have been given.
    """

    def __init__(self, event: AuditEvent) -> None:
        self._event, self.answered = event, 0
        self._level = ""

    def asks(self, identifier: Identifier) -> None:
        """What it asks for has been read."""
        said = {key.keyword: key.values for key in identifier.keys}
        self._level = str(identifier.level)
        self._event = replace(
            self._event,
            study_instance_uid=exact(said.get("StudyInstanceUID", ())),
            patient_id=exact(said.get("PatientID", ())),
        )

    def fails(self, why: str) -> None:
        """It cannot be answered, or not to its end."""
        self._event = replace(self._event, succeeded=False, detail=why)

    @property
    def on_record(self) -> AuditEvent:
        """The event."""
        matches = f"{self.answered} matches at {self._level} level" if self._level else ""
        return replace(self._event, detail=": ".join(filter(None, (matches, self._event.detail))))


class QuerySCP:
    """Answers queries."""

    def __init__(
        self, ae_title: str, most_matches: int, engine: Engine, site_zone: tzinfo | None, recorder: Recorder
    ) -> None:
        """Queries are answered from the catalogue.

        Args:
            ae_title: of the node, where what is found can be retrieved from.
            most_matches: answers of one query; where there are more, it ends with A700.
            engine: of the database with the catalogue.
            site_zone: of datetimes that state no offset; None: the machine's.
            recorder: takes who has asked for what.
        """
        self._recorder = recorder
        self._ae_title, self._most, self._engine, self._zone = ae_title, most_matches, engine, site_zone
        self._sparing = Sparing(log)

    def __call__(self, event: Event) -> Iterator[_Response]:
        """The responses to a query, as pynetdicom's service class sends them."""
        address = event.assoc.requestor.address
        who = f"AE {title(event.assoc.requestor.ae_title)} from {address}"
        asking = _Asking(_on_record(event))
        try:
            yield from self._responses(event, who, asking)
        except IdentifierError as error:
            asking.fails(str(error))
            self._sparing.write(logging.WARNING, "query refused", address, "query of %s refused: %s", who, error)
            yield _failure(MISMATCH, str(error), error.tag), None
        except SQLAlchemyError as error:
            asking.fails("the database does not answer")
            log.error("query of %s: the database does not answer: %s", who, told(error))
            yield _failure(OUT_OF_RESOURCES, "the database does not answer, try again"), None
        except Exception as error:  # noqa: BLE001 (a fault of the node: the peer gets a status, the log its place)
            asking.fails("not answered for a fault of the node")
            log.error("query of %s: not answered: %s", who, told(error))
            yield _failure(UNABLE, "not answered for a fault of the node"), None
        finally:  # also where the one who asked is gone
            self._recorder.add_recurring(asking.on_record)

    def _responses(self, event: Event, who: str, asking: _Asking) -> Iterator[_Response]:
        sop_class = event.request.AffectedSOPClassUID
        agreed = negotiated(event.assoc.requestor.sop_class_extended.get(sop_class, b""))
        encoded, syntax = event.request.Identifier.getvalue(), event.context.transfer_syntax
        root = FIND_CLASSES[str(sop_class)]
        asked = read_identifier(encoded, syntax, root, agreed.relational, agreed.empty_values)
        asking.asks(asked)
        query = Query(asked.level, asked.keys, agreed.combined, asked.zone or self._zone, self._zone)
        yield from self._matches(event, who, asking, asked, query)

    def _matches(self, event: Event, who: str, asking: _Asking, asked: Identifier, query: Query) -> Iterator[_Response]:
        pending = PENDING_WITH_UNSUPPORTED_KEYS if asked.unsupported else PENDING
        for portion in portions(self._engine, query):
            for entity in portion:
                if asking.answered == self._most:
                    log.warning("query of %s: more than %d matches at %s level", who, asking.answered, asked.level)
                    yield _failure(OUT_OF_RESOURCES, f"more than {asking.answered} matches, ask for less"), None
                    return
                if event.is_cancelled:
                    yield CANCELLED, None
                    return
                found = answer(entity, asked, self._ae_title)
                asking.answered += 1
                yield pending, found
            if event.is_cancelled:
                yield CANCELLED, None
                return
            if event.assoc.acse.is_aborted():
                return
        log.info("query of %s: %d matches at %s level", who, asking.answered, asked.level)


def _on_record(event: Event) -> AuditEvent:
    """What is put on record of a query, before it is known what it asks for."""
    syntax = event.context.transfer_syntax
    query, left_out = shortened(event.request.Identifier.getvalue(), syntax, LONGEST_ON_RECORD)
    facts = Facts(
        service="C-FIND",
        query=b64encode(query).decode(),
        sop_class=str(event.request.AffectedSOPClassUID),
        transfer_syntax=str(syntax),
        left_out=left_out,
    )
    requestor = event.assoc.requestor
    remote = str(requestor.ae_title).strip()
    return AuditEvent(utc_now(), AuditAction.QUERIED, True, address=str(requestor.address), remote=remote, facts=facts)


def exact(values: Sequence[str]) -> str:
    """The one value that a key asks for; empty where it asks for several, or for a pattern."""
    alone = values[0] if len(values) == 1 else ""
    return "" if "*" in alone or "?" in alone else alone


def _failure(status: int, comment: str, tag: int | None = None) -> Dataset:
    """A status with its words, and the element that is wrong (PS3.7 C.4.1)."""
    failure = Dataset()
    failure.Status = status
    failure.ErrorComment = comment[:64]
    if tag is not None:
        failure.OffendingElement = tag
    return failure
