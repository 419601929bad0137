"""Who takes part in an event: the node, the other system, a person (PS3.15 A.5.3, active participants).

Whoever asks for something is the requestor. Of data that moves one is its source and another its destination.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

from node.audit import terms
from node.audit.terms import Code
from storage.audit import AuditAction, AuditEvent

_BY_PEOPLE = frozenset({AuditAction.DOWNLOADED, AuditAction.COPIED})
_INTO = frozenset({AuditAction.RECEIVED, AuditAction.UPLOADED, AuditAction.RELEASED})
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
    asks = not there_is_another or _called_by_the_node(event)
    title = f"AETITLES={reporter.ae_title}"
    yield Participant(reporter.ae_title, asks, ours, title, reporter.host)
    if there_is_another:
        name = "" if event.account or not other else f"AETITLES={other}"
        yield Participant(other or _NOBODY, not asks, theirs, name, event.address)
    if event.facts.destination:
        destination = event.facts.destination
        yield Participant(destination, False, terms.DESTINATION, f"AETITLES={destination}")


def _called_by_the_node(event: AuditEvent) -> bool:
    """Whether it is the node that has called, as it does who gets results."""
    return event.action is AuditAction.SENT and not event.account and event.facts.service in ("C-STORE", "STOW-RS")


def _roles(event: AuditEvent) -> tuple[Code | None, Code | None]:
    """Of the node, and of the other side."""
    match event.action:
        case AuditAction.STARTED | AuditAction.STOPPED:
            return terms.APPLICATION, terms.LAUNCHER
        case AuditAction.QUERIED:
            return terms.DESTINATION, terms.SOURCE
        case AuditAction.SENT | AuditAction.SENDING:
            return terms.SOURCE, None if event.facts.destination else terms.DESTINATION
    if event.action in _BY_PEOPLE:
        return terms.SOURCE, terms.DESTINATION_MEDIA
    if event.action in _INTO:
        return terms.DESTINATION, terms.SOURCE if event.action is AuditAction.RECEIVED else terms.SOURCE_MEDIA
    return None, None
