"""An event as an AuditMessage (PS3.15 A.5.1), in one line of XML.

What others have sent can stand in it. It makes no element of its own, no line, and nothing that XML cannot hold: such
characters are written as in source code.
"""

from __future__ import annotations

import ipaddress
import re
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC
from urllib.parse import quote
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from node.audit import terms
from node.audit.participants import Participant, Reporter, participants
from node.audit.terms import Code
from node.logs import escaped
from storage.audit import AuditAction, AuditEvent

_LONGEST = 500
_MOST_CLASSES = 128  # as many as an association has contexts
_NO_XML = re.compile("[\ufdd0-\ufdef\ufffe\uffff]")
_OF_AN_ACCOUNT = frozenset({AuditAction.CHANGED_ACCOUNT, AuditAction.SET_PASSWORD})
#: Roles of system objects (PS3.15 A.5.1, ParticipantObjectTypeCodeRole).
_REPORT, _SECURITY_RESOURCE, _REPOSITORY, _JOB, _QUERY = "3", "13", "17", "20", "24"
_DELETED, _USED, _EXPORTED, _IMPORTED = "15", "6", "10", "2"
_LIFE_CYCLE = {
    terms.STUDY_DELETED: _DELETED,
    terms.EXPORT: _EXPORTED,
    terms.IMPORT: _IMPORTED,
}


def message(event: AuditEvent, reporter: Reporter) -> str:
    """The message of an event."""
    form = terms.form_of(event.action)
    root = Element("AuditMessage")
    happened = event.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    identification = SubElement(
        root,
        "EventIdentification",
        {
            "EventActionCode": form.action,
            "EventDateTime": happened,
            "EventOutcomeIndicator": "0" if event.succeeded else "4",
        },
    )
    _coded(identification, "EventID", form.event)
    if form.kind is not None:
        _coded(identification, "EventTypeCode", form.kind)
    if event.detail:
        SubElement(identification, "EventOutcomeDescription").text = safe(event.detail)
    for each in participants(event, reporter):
        _participant(root, each)
    site = {"AuditEnterpriseSiteID": safe(reporter.site)} if reporter.site else {}
    source = SubElement(root, "AuditSourceIdentification", {**site, "AuditSourceID": safe(reporter.ae_title)})
    SubElement(source, "AuditSourceTypeCode", {"csd-code": "4"})
    for found in _objects(event, reporter):
        root.append(found)
    return ElementTree.tostring(root, encoding="unicode")


def safe(text: str) -> str:
    """Text that XML can hold, in one line, of at most 500 characters."""
    return _NO_XML.sub(lambda it: f"\\u{ord(it.group()):04x}", escaped(text[:_LONGEST]))


def _coded(parent: Element, name: str, code: Code) -> None:
    said = {"csd-code": code.value, "codeSystemName": code.scheme, "originalText": code.meaning}
    SubElement(parent, name, said)


def _participant(root: Element, said: Participant) -> None:
    values = {"UserID": safe(said.user), "UserIsRequestor": str(said.requestor).lower()}
    if said.other_name:
        values["AlternativeUserID"] = safe(said.other_name)
    if said.address:
        values |= {"NetworkAccessPointID": safe(said.address), "NetworkAccessPointTypeCode": said.address_kind}
    found = SubElement(root, "ActiveParticipant", values)
    if said.role is not None:
        _coded(found, "RoleIDCode", said.role)
    if said.medium is not None:
        _coded(SubElement(found, "MediaIdentifier"), "MediaType", said.medium)


def _objects(event: AuditEvent, reporter: Reporter) -> Iterator[Element]:
    if event.action is AuditAction.QUERIED:
        yield _query(event)
    if event.study_instance_uid:
        yield _study(event)
    if event.patient_id:
        yield _object(event, "1", "1", terms.PATIENT_NUMBER, event.patient_id, event.patient_id)
    if event.action is AuditAction.READ_AUDIT:
        log = f"rectal-node://{quote(reporter.host)}/node/log"
        yield _object(event, "2", _SECURITY_RESOURCE, terms.URI, log, "Security Audit Log")
    elif event.action in _OF_AN_ACCOUNT:
        name = event.subject or event.account or "unknown"
        yield _object(event, "2", _SECURITY_RESOURCE, terms.USER_IDENTIFIER, name, name)
    elif event.action is AuditAction.REFUSED:
        node = event.address if _is_address(event.address) else f"{reporter.ae_title}@{reporter.host}"
        yield _object(event, "2", _SECURITY_RESOURCE, terms.NODE_ID, node, event.remote or event.subject or node)
    elif event.subject:
        yield _object(event, "2", _role(event), terms.URI, _uri(event), event.subject)
    elif _is_alert(event) and not event.study_instance_uid:
        node = f"{reporter.ae_title}@{reporter.host}"
        yield _object(event, "2", _SECURITY_RESOURCE, terms.NODE_ID, node, reporter.ae_title)


def _is_alert(event: AuditEvent) -> bool:
    return terms.form_of(event.action).event is terms.SECURITY_ALERT


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _role(event: AuditEvent) -> str:
    """Of the subject, which is a system object."""
    if _is_alert(event):
        return _SECURITY_RESOURCE
    repositories = {AuditAction.COPIED: _REPOSITORY, AuditAction.EXPORTED: _REPOSITORY}
    return {**repositories, AuditAction.REMOVED: _JOB}.get(event.action, _REPORT)


def _uri(event: AuditEvent) -> str:
    """Of the subject: a folder of this machine, or what the node calls so."""
    is_folder = event.action in terms.TO_A_FOLDER and event.subject.startswith("/")
    scheme = "file" if is_folder else "rectal-node"
    return f"{scheme}:{quote(event.subject[:_LONGEST].encode('utf-8', 'replace'))}"


def _object(event: AuditEvent, kind: str, role: str, code: Code, identifier: str, name: str) -> Element:
    values = {
        "ParticipantObjectID": safe(identifier),
        "ParticipantObjectTypeCode": kind,
        "ParticipantObjectTypeCodeRole": role,
    }
    if life_cycle := _LIFE_CYCLE.get(terms.form_of(event.action).event):
        values["ParticipantObjectDataLifeCycle"] = life_cycle
    found = Element("ParticipantObjectIdentification", values)
    _coded(found, "ParticipantObjectIDTypeCode", code)
    SubElement(found, "ParticipantObjectName").text = safe(name)
    for said, text in _details(event):
        SubElement(found, "ParticipantObjectDetail", {"type": said, "value": b64encode(text.encode()).decode()})
    return found


def _query(event: AuditEvent) -> Element:
    """What was asked for: the identifier of a C-FIND, or the query of an address (PS3.15 A.5.3.10)."""
    facts = event.facts
    of_dicom = bool(facts.sop_class)
    identifier = facts.sop_class or facts.service
    values = {
        "ParticipantObjectID": safe(identifier),
        "ParticipantObjectTypeCode": "2",
        "ParticipantObjectTypeCodeRole": _REPORT if of_dicom else _QUERY,
    }
    found = Element("ParticipantObjectIdentification", values)
    _coded(found, "ParticipantObjectIDTypeCode", terms.CLASS_UID if of_dicom else terms.URI)
    SubElement(found, "ParticipantObjectQuery").text = facts.query
    for said, text in _details(event):
        SubElement(found, "ParticipantObjectDetail", {"type": said, "value": b64encode(text.encode()).decode()})
    return found


def _study(event: AuditEvent) -> Element:
    found = _object(event, "2", "3", terms.STUDY_UID, event.study_instance_uid, event.study_instance_uid)
    if classes := event.facts.sop_classes:
        description = SubElement(found, "ParticipantObjectDescription")
        for uid, count in sorted(classes.items())[:_MOST_CLASSES]:
            SubElement(description, "SOPClass", {"UID": safe(uid), "NumberOfInstances": str(count)})
    return found


def _details(event: AuditEvent) -> Iterator[tuple[str, str]]:
    facts = event.facts
    for name, text in (
        ("action", str(event.action)),
        ("service", facts.service),
        ("called", facts.called),
        ("times", str(facts.times) if facts.times > 1 else ""),
        ("TransferSyntax", facts.transfer_syntax),
        ("left out of the query", facts.left_out),
        ("Alert Description", (event.detail or str(event.action)) if _is_alert(event) else ""),
    ):
        if text:
            yield name, safe(text)
