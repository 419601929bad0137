"""Who takes part in an event: the node, the other system, a person (PS3.15 A.5.3, active participants).

Whoever asks for something is the requestor; of a security alert that is the node, which reports it (A.5.3.11). Of data
that moves one is its source and another its destination; of what comes from outside, or goes there, the medium takes
part as well (A.5.3.4, A.5.3.5).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from node.audit import terms
from node.audit.terms import Code
from storage.audit import AuditAction, AuditEvent

_OF_THE_WEB = frozenset({"STOW-RS", "WADO-RS", "QIDO-RS", "DICOMweb"})
_NOBODY = "unknown"


@dataclass(frozen=True, slots=True)
class Reporter:
    """Who reports: this node.

    Attributes:
        ae_title: of the node; what AuditSourceID says.
        host: name of this machine.
        site: AuditEnterpriseSiteID; empty: none.
    """

    ae_title: str
    host: str
    site: str = ""


@dataclass(frozen=True, slots=True)
class Participant:
    """Somebody, or something, that takes part."""

    user: str
    requestor: bool
    role: Code | None = None
    other_name: str = ""
    address: str = ""
    medium: Code | None = None

    @property
    def address_kind(self) -> str:
        """NetworkAccessPointTypeCode: 2 of an IP address, 1 of a name."""
        try:
            ipaddress.ip_address(self.address.partition("%")[0])
        except ValueError:
            return "1"
        return "2"


def participants(event: AuditEvent, reporter: Reporter) -> Iterator[Participant]:
    """Those of an event, the node among them."""
    ours, theirs = _roles(event)
    other = event.account or event.remote
    there_is_another = bool(other or event.address)
    asks = not there_is_another or _asks_itself(event)
    yield Participant(reporter.ae_title, asks, ours, f"AETITLES={reporter.ae_title}", reporter.host)
    if there_is_another:
        is_ae = bool(event.remote) and not event.account and event.facts.service not in _OF_THE_WEB
        name = f"AETITLES={event.remote}" if is_ae else ""
        yield Participant(other or _NOBODY, not asks, theirs, name, event.address)
    if event.facts.destination:
        destination = event.facts.destination
        yield Participant(destination, False, terms.DESTINATION, f"AETITLES={destination}")
    match terms.form_of(event.action).event:
        case terms.EXPORT:
            yield Participant(_taken_to(event), False, terms.DESTINATION_MEDIA, medium=terms.MEDIA_URI)
        case terms.IMPORT:
            yield Participant(_taken_from(event), False, terms.SOURCE_MEDIA, medium=terms.MEDIA_URI)


def _asks_itself(event: AuditEvent) -> bool:
    """Whether it is the node that has called, as it does who gets results and from whom it fetches; or that reports."""
    if terms.form_of(event.action).event is terms.SECURITY_ALERT:
        return True
    services = {AuditAction.SENT: ("C-STORE", "STOW-RS"), AuditAction.RECEIVED: ("C-GET",)}
    return not event.account and event.facts.service in services.get(event.action, ())


def _taken_to(event: AuditEvent) -> str:
    """The medium of an export: a folder of this machine, or what a browser has got (A.5.2.1, in words)."""
    if event.action in terms.TO_A_FOLDER and PurePosixPath(event.subject).is_absolute():
        return PurePosixPath(event.subject).as_uri()
    return f"download to {event.address or 'this machine'}"


def _taken_from(event: AuditEvent) -> str:
    """The medium of an import."""
    if event.action is AuditAction.RELEASED:
        return "quarantine of the node"
    return f"upload from {event.address or 'this machine'}"


def _roles(event: AuditEvent) -> tuple[Code | None, Code | None]:
    """Of the node, and of the other side."""
    match event.action:
        case AuditAction.STARTED | AuditAction.STOPPED:
            return terms.APPLICATION, terms.LAUNCHER
        case AuditAction.QUERIED:
            return terms.DESTINATION, terms.SOURCE
        case AuditAction.SENT | AuditAction.SENDING:
            return terms.SOURCE, None if event.facts.destination else terms.DESTINATION
        case AuditAction.RECEIVED:
            return terms.DESTINATION, terms.SOURCE
    match terms.form_of(event.action).event:
        case terms.EXPORT:  # the person and the process that export
            return terms.SOURCE, terms.SOURCE
        case terms.IMPORT:
            return terms.DESTINATION, terms.DESTINATION
    return None, None
