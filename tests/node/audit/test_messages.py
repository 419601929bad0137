"""Every event is a message of the schema of PS3.15 A.5.1, whatever others have put into it."""

from __future__ import annotations

from base64 import b64decode, b64encode

import pytest
from lxml import etree

from node.audit.message import message
from node.audit.terms import form_of
from storage.audit import AuditAction, Facts

from .conftest import REPORTER, of_system

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
    found = read(of_system(event, AuditAction.QUERIED, "C-FIND", **facts))
    assert b64decode(found.find(".//ParticipantObjectQuery").text) == asked


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
