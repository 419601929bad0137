"""What people have done stays on record, and who looked at which patient is one query."""

from __future__ import annotations

from dataclasses import replace

import pytest

from storage.audit import Audit, AuditAction, AuditEvent, AuditSearch, Facts
from storage.audit_chain import AuditChain, Chained, Position, mark_put_back
from storage.catalogue.filling import catch_up
from storage.database import writing
from storage.removal import Order, begin
from storage.removal_records import Scope

from .house import House, a_file

LOOKED = AuditAction.LOOKED


@pytest.fixture
def audit(engine, tmp_path, at):
    """Of a node with a study of Erika Muster (P1) and one of Max Muster (P2)."""
    house = House(engine, tmp_path, at)
    house.receive(a_file(1, 1, "1.2.3"))
    house.receive(a_file(1, 1, "1.2.4", PatientName="Muster^Max", PatientID="P2"))
    catch_up(engine, house.files)
    return Audit(engine)


@pytest.fixture
def looked(at):
    return lambda second, study, account="olga": AuditEvent(at(second), LOOKED, True, account, "s1", "::1", study)


def test_an_event_comes_back_as_it_was_with_the_patient_of_its_study(audit, at, looked):
    event = AuditEvent(at(1), AuditAction.RESENT, False, "olga", "s1", "10.0.0.1", "1.2.3", "", "PACS", "why not")
    audit.add(event)
    audit.add(looked(2, "9.9"))
    assert audit.find(AuditSearch()) == (looked(2, "9.9"), replace(event, patient_id="P1"))


@pytest.mark.parametrize("said", ["p1", "erika", "Muster Erika"])
def test_who_looked_at_a_patient_is_one_query(audit, looked, said):
    for second, (study, account) in enumerate([("1.2.3", "olga"), ("1.2.4", "olga"), ("1.2.3", "viktor")]):
        audit.add(looked(second, study, account))
    found = audit.find(AuditSearch(patient=said, actions=frozenset({LOOKED})))
    assert [it.account for it in found] == ["viktor", "olga"]


def test_it_is_known_when_the_study_is_gone(audit, engine, looked, at):
    audit.add(looked(1, "1.2.3"))
    with writing(engine).begin() as connection:
        begin(connection, "1.2.3", Scope.STUDY, Order("a test"), at(2))
    assert [it.account for it in audit.find(AuditSearch(patient="P1"))] == ["olga"]


def test_what_is_asked_for_has_to_fit_all_together(audit, at, looked):
    audit.add(looked(1, "1.2.3"))
    audit.add(looked(2, "1.2.4", "viktor"))
    audit.add(replace(looked(3, "1.2.3"), action=AuditAction.VERDICT))
    assert audit.count(AuditSearch()) == 3
    assert audit.count(AuditSearch(account="olga", study_instance_uid="1.2.3")) == 2
    assert audit.count(AuditSearch(account="olga", study_instance_uid="1.2.3", since=at(2), until=at(3))) == 0
    assert audit.count(AuditSearch(since=at(2), until=at(3))) == 1
    assert [it.at for it in audit.find(AuditSearch(limit=1, offset=1))] == [at(2)]


def test_a_look_is_kept_once_for_a_session_and_a_study(audit, looked):
    for event in (
        looked(1, "1.2.3"),
        looked(2, "1.2.3"),
        looked(3, "1.2.4"),
        replace(looked(4, "1.2.3"), session="s2"),
    ):
        audit.add_once(event)
    assert [(it.study_instance_uid, it.session) for it in audit.find(AuditSearch())] == [
        ("1.2.3", "s2"),
        ("1.2.4", "s1"),
        ("1.2.3", "s1"),
    ]


def test_what_is_known_of_the_files_is_what_was_said_last(engine):
    record = AuditChain(engine)
    assert record.state() == Chained()
    record.begin(Position(0), [(1, "a"), (2, "b")])
    assert record.state() == Chained(Position(0), ((1, "a"), (2, "b")))
    record.keep(Position(2, "b", 1))
    with writing(engine).begin() as connection:
        mark_put_back(connection)
    assert record.state() == Chained(Position(2, "b", 1), is_put_back=True)
    for _ in range(2):
        record.keep(Position(2, "c", 1), ["b"])
    assert record.state() == Chained(Position(2, "c", 1), resumed=frozenset({"b"}))


def test_a_database_without_files_can_be_marked_as_put_back(engine):
    with writing(engine).begin() as connection:
        mark_put_back(connection)
    assert AuditChain(engine).state() == Chained(is_put_back=True)


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "\x1b[31m\r\n", "穆" * 1000])
def test_whatever_others_have_sent_can_be_kept(audit, at, text):
    facts = Facts(text, text, text, {text: 1}, text, text)
    audit.add(AuditEvent(at(1), AuditAction.QUERIED, True, text, text, text, text, text, text, text, text, facts))
    ((_, found),) = audit.after(0, 10)
    assert found.facts == facts
    assert "\0" not in found.remote
    assert len(found.remote) <= 64
