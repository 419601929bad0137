"""Every event is a message of the schema of PS3.15 A.5.1, whatever others have put into it."""

from __future__ import annotations

from base64 import b64decode, b64encode

import pytest
from lxml import etree

from node.audit.message import message
from node.audit.terms import form_of
from storage.audit import AuditAction, Facts

from .conftest import REPORTER, of_system

OBJECT = "ParticipantObjectIdentification"
HOSTILE = [
    '"/><ActiveParticipant UserID="root"',
    "a\r\n<85>1 2026-01-01T00:00:00Z forged rectal-node - - - line",
    "\0\x01\x1b[31m\x85\u2028\u202e\ud800\ufffe",
    "]]><!--&amp;&#10;",
    "X" * 100_000,
    "穆勒^Änne" * 200,
]


def read(event) -> etree._Element:
    return etree.fromstring(message(event, REPORTER))


def codes(root, path: str) -> list[str]:
    return [it.get("csd-code") for it in root.iterfind(path)]


def details(root) -> dict[str, str]:
    return {it.get("type"): b64decode(it.get("value")).decode() for it in root.iterfind(".//ParticipantObjectDetail")}


@pytest.mark.parametrize("action", AuditAction)
@pytest.mark.parametrize("succeeded", [True, False])
def test_every_action_has_a_message_of_the_schema(schema, event, action, succeeded):
    for account, remote in (("olga", ""), ("", "SCANNER"), ("", "")):
        found = read(event(action, succeeded=succeeded, account=account, remote=remote, detail="because", subject="7"))
        schema.assertValid(found)
        assert codes(found, "EventIdentification/EventID") == [form_of(action).event.value]
        assert found[0].get("EventOutcomeIndicator") == ("0" if succeeded else "4")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_stays_within_its_place_and_its_line(schema, event, text):
    said = {name: text for name in ("account", "address", "patient_id", "subject", "detail", "study_instance_uid")}
    facts = Facts(text, text, text, {text: 1}, "", text)
    written = message(event(AuditAction.QUERIED, **said, remote=text, facts=facts), REPORTER)
    assert written.isprintable()
    assert len(written) < 32_768  # which a collector has to take (PS3.15 A.6)
    found = etree.fromstring(written)
    harmless = read(
        event(AuditAction.QUERIED, **dict.fromkeys(said, "x"), facts=Facts("x", "x", "x", {"x": 1}, "", "x"))
    )
    assert [it.tag for it in found.iter()] == [it.tag for it in harmless.iter()]
    schema.assertValid(found)


def test_objects_that_came_tell_source_destination_study_patient_and_how_many_of_which_class(event):
    mr = "1.2.840.10008.5.1.4.1.1.4"
    found = read(of_system(event, AuditAction.RECEIVED, "C-STORE", sop_classes={mr: 812}))
    source, node = (
        found.find(f"ActiveParticipant[RoleIDCode]/RoleIDCode[@csd-code='{it}']/..") for it in (110153, 110152)
    )
    assert (source.get("UserID"), source.get("UserIsRequestor")) == ("SCANNER", "true")
    assert (source.get("NetworkAccessPointID"), source.get("NetworkAccessPointTypeCode")) == ("10.0.0.1", "2")
    assert (node.get("UserID"), node.get("UserIsRequestor")) == ("RECTALNODE", "false")
    study, patient = found.iterfind("ParticipantObjectIdentification")
    assert (study.get("ParticipantObjectID"), patient.get("ParticipantObjectID")) == ("1.2.3", "P1")
    (classes,) = study.iterfind("ParticipantObjectDescription/SOPClass")
    assert dict(classes.attrib) == {"UID": mr, "NumberOfInstances": "812"}


def test_who_asks_by_c_move_is_another_than_who_gets_the_objects(event):
    found = read(of_system(event, AuditAction.SENT, "C-MOVE", destination="ARCHIVE"))
    roles = {
        it.get("UserID"): (codes(it, "RoleIDCode"), it.get("UserIsRequestor"))
        for it in found.iterfind("ActiveParticipant")
    }
    assert roles == {
        "RECTALNODE": (["110153"], "false"),
        "SCANNER": ([], "true"),
        "ARCHIVE": (["110152"], "false"),
    }


def test_of_what_the_node_sends_by_itself_it_is_not_the_receiver_who_asked(event):
    found = read(of_system(event, AuditAction.SENT, "C-STORE"))
    assert [it.get("UserIsRequestor") for it in found.iterfind("ActiveParticipant")] == ["true", "false"]


def test_a_query_is_there_byte_for_byte(event):
    asked = bytes(range(256))
    facts = {"query": b64encode(asked).decode(), "sop_class": "1.2.840.10008.5.1.4.1.2.2.1"}
    found = read(of_system(event, AuditAction.QUERIED, "C-FIND", **facts, transfer_syntax="1.2.840.10008.1.2"))
    assert b64decode(found.find(".//ParticipantObjectQuery").text) == asked
    assert details(found)["TransferSyntax"] == "1.2.840.10008.1.2"


@pytest.mark.parametrize(
    ("action", "subject", "node_role", "medium_role", "medium"),
    [
        (AuditAction.DOWNLOADED, "7", "110153", "110154", "download to 10.0.0.1"),
        (AuditAction.COPIED, "/mnt/a b", "110153", "110154", "file:///mnt/a%20b"),
        (AuditAction.EXPORTED, "/mnt/trial", "110153", "110154", "file:///mnt/trial"),
        (AuditAction.UPLOADED, "", "110152", "110155", "upload from 10.0.0.1"),
        (AuditAction.RELEASED, "7", "110152", "110155", "quarantine of the node"),
    ],
)
def test_a_medium_takes_part_in_exports_and_imports(schema, event, action, subject, node_role, medium_role, medium):
    """PS3.15 A.5.3.4, A.5.3.5: a person and a process of one role, and a medium that asks for nothing."""
    found = read(event(action, subject=subject))
    schema.assertValid(found)
    assert [
        (it.get("UserID"), it.get("UserIsRequestor"), codes(it, "RoleIDCode"), codes(it, "MediaIdentifier/MediaType"))
        for it in found.iterfind("ActiveParticipant")
    ] == [
        ("RECTALNODE", "false", [node_role], []),
        ("olga", "true", [node_role], []),
        (medium, "false", [medium_role], ["110037"]),
    ]


@pytest.mark.parametrize(
    ("action", "said", "kind", "identifier"),
    [
        (AuditAction.REFUSED, {"account": "", "remote": "SCANNER"}, "110182", "10.0.0.1"),
        (AuditAction.REFUSED, {"account": "", "address": "", "subject": "audit"}, "110182", "RECTALNODE@mri-node"),
        (AuditAction.CHANGED_ACCOUNT, {"subject": "viktor"}, "11", "viktor"),
        (AuditAction.SET_PASSWORD, {}, "11", "olga"),
        (AuditAction.ORDERED, {"subject": "/node/a b"}, "12", "rectal-node:/node/a%20b"),
        (AuditAction.ASKED_REMOTE, {}, "110182", "RECTALNODE@mri-node"),
    ],
)
def test_an_alert_says_what_it_is_about_and_why(schema, event, action, said, kind, identifier):
    """PS3.15 A.5.3.11: the node reports, who did it is no requestor, and the subject has a description."""
    values = {"study_instance_uid": "", "patient_id": "", "detail": "because", **said}
    found = read(event(action, **values))
    schema.assertValid(found)
    reporter, *performing = found.iterfind("ActiveParticipant")
    assert (reporter.get("UserID"), reporter.get("UserIsRequestor")) == ("RECTALNODE", "true")
    assert {it.get("UserIsRequestor") for it in performing} <= {"false"}
    (subject,) = found.iterfind("ParticipantObjectIdentification")
    assert codes(subject, "ParticipantObjectIDTypeCode") == [kind]
    assert (subject.get("ParticipantObjectTypeCode"), subject.get("ParticipantObjectTypeCodeRole")) == ("2", "13")
    assert (subject.get("ParticipantObjectID"), details(found)["Alert Description"]) == (identifier, "because")


def test_the_log_that_was_read_has_an_address(event):
    (log,) = read(event(AuditAction.READ_AUDIT, study_instance_uid="", patient_id="")).iterfind(OBJECT)
    assert log.get("ParticipantObjectID") == "rectal-node://mri-node/node/log"
    assert log.find("ParticipantObjectName").text == "Security Audit Log"


def test_of_what_the_node_fetches_by_c_get_it_is_the_one_who_asked(event):
    found = read(of_system(event, AuditAction.RECEIVED, "C-GET"))
    asked = found.find("ActiveParticipant[@UserIsRequestor='true']")
    assert (asked.get("UserID"), codes(asked, "RoleIDCode")) == ("RECTALNODE", ["110152"])


@pytest.mark.parametrize(("service", "name"), [("C-STORE", "AETITLES=SCANNER"), ("STOW-RS", None)])
def test_who_comes_by_the_web_has_no_ae_title(event, service, name):
    found = read(of_system(event, AuditAction.RECEIVED, service))
    assert found.find("ActiveParticipant[@UserID='SCANNER']").get("AlternativeUserID") == name


@pytest.mark.parametrize(
    ("action", "event_id", "kind", "done"),
    [
        (AuditAction.STARTED, "110100", ["110120"], "E"),
        (AuditAction.STOPPED, "110100", ["110121"], "E"),
        (AuditAction.SIGNED_IN, "110114", ["110122"], "E"),
        (AuditAction.SIGNED_OUT, "110114", ["110123"], "E"),
        (AuditAction.REFUSED, "110113", ["110126"], "E"),
        (AuditAction.QUERIED, "110112", [], "E"),
        (AuditAction.RECEIVED, "110104", [], "C"),
        (AuditAction.SENT, "110104", [], "R"),
        (AuditAction.SENDING, "110102", [], "E"),
        (AuditAction.LOOKED, "110103", [], "R"),
        (AuditAction.DOWNLOADED, "110106", [], "R"),
        (AuditAction.UPLOADED, "110107", [], "C"),
        (AuditAction.REMOVED, "110105", [], "D"),
        (AuditAction.READ_AUDIT, "110101", [], "R"),
        (AuditAction.CHANGED_ACCOUNT, "110113", ["110137"], "E"),
        (AuditAction.REPROCESSED, "110113", ["110132"], "E"),
    ],
)
def test_the_message_is_the_one_that_the_standard_has_for_it(event, action, event_id, kind, done):
    found = read(event(action))
    assert codes(found, "EventIdentification/EventID") == [event_id]
    assert codes(found, "EventIdentification/EventTypeCode") == kind
    assert found[0].get("EventActionCode") == done
