"""Who serves waits for no event; what comes in floods is counted; what cannot be kept waits."""

from __future__ import annotations

import pytest

from node.audit import recorder as recording
from node.audit.recorder import PLACES, Recorder
from storage.audit import AuditAction, AuditSearch, Facts
from storage.database import writing

from ...parts.processes import wait_for


class Seconds:
    """Those of a clock that goes on when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def recorder(engine, seconds, clock) -> Recorder:
    return Recorder(engine, seconds, clock)


@pytest.fixture
def refusal(event):
    def make(address: str = "192.0.2.1", why: str = "not known"):
        said = {"account": "", "study_instance_uid": "", "patient_id": "", "succeeded": False}
        return event(AuditAction.REFUSED, **said, address=address, detail=why, remote="X", facts=Facts("association"))

    return make


def test_what_is_added_is_kept_in_its_order(recorder, audit, event):
    recorder.add(*(event(subject=str(number)) for number in range(20)))
    recorder.close()
    assert [it.subject for _, it in audit.after(0, 100)] == [str(number) for number in range(20)]


def test_a_flood_from_one_place_is_an_event_and_one_more_with_how_many_a_minute(recorder, audit, refusal, seconds):
    for _ in range(10_000):
        recorder.add_recurring(refusal())
    wait_for(lambda: audit.count(AuditSearch()) == 1, "the first", 30)
    seconds.now += 61
    recorder.add_recurring(refusal("192.0.2.2"))  # wakes it, as anything does
    recorder.close()
    found = [(it.address, it.facts.times, it.detail) for _, it in audit.after(0, 10)]
    assert sorted(found) == [
        ("192.0.2.1", 1, "not known"),
        ("192.0.2.1", 9999, "not known: 9999 more within a minute"),
        ("192.0.2.2", 1, "not known"),
    ]


def test_a_flood_from_many_places_has_a_bound(recorder, audit, refusal):
    for number in range(20_000):
        recorder.add_recurring(refusal(f"2001:db8::{number:x}"))
    recorder.close()
    found = audit.after(0, 5000)
    assert len(found) == PLACES + 2
    assert found[-1][1].detail == f"from many places: {20_000 - PLACES - 1} more within a minute"


def test_other_reasons_and_other_places_are_told_apart(recorder, audit, refusal):
    for each in (refusal(), refusal(why="another"), refusal("192.0.2.2"), refusal()):
        recorder.add_recurring(each)
    recorder.close()
    assert len(audit.after(0, 100)) == 4  # three, and that one of them came again


def test_what_the_database_does_not_take_waits(engine, recorder, audit, event, monkeypatch):
    monkeypatch.setattr(recording, "_AGAIN_S", 0.05)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE audit_event RENAME TO away")
    recorder.add(event(subject="first"))
    wait_for(lambda: recorder._thread is not None, "it tries", 30)
    recorder.add(event(subject="second"))
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO audit_event")
    wait_for(lambda: audit.count(AuditSearch()) == 2, "both are kept", 30)
    assert [it.subject for _, it in audit.after(0, 10)] == ["first", "second"]


def test_more_than_memory_may_hold_is_counted(engine, recorder, audit, event, monkeypatch):
    monkeypatch.setattr(recording, "MOST", 10)
    monkeypatch.setattr(recording, "_AGAIN_S", 0.05)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE audit_event RENAME TO away")
    for number in range(25):
        recorder.add(event(subject=str(number)))
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO audit_event")
    wait_for(lambda: audit.count(AuditSearch()) == 11, "ten, and what is told of the others", 30)
    assert audit.after(0, 100)[-1][1].detail.startswith("15 events could not be kept")


def test_an_event_that_can_never_be_kept_stops_no_other(recorder, audit, event):
    never = event(AuditAction.LOOKED, facts=Facts(times=object()))  # which no JSON can say
    recorder.add(event(subject="before"), never, event(subject="after"))
    recorder.close()
    found = [it for _, it in audit.after(0, 10)]
    assert [it.subject for it in found if it.action is AuditAction.LOOKED] == ["before", "after"]


def test_a_batch_that_is_larger_than_memory_is_kept_whole(recorder, audit, event, monkeypatch):
    monkeypatch.setattr(recording, "MOST", 20)
    monkeypatch.setattr(recording, "_AT_ONCE", 5)
    recorder.add(*(event(subject=str(number)) for number in range(200)))
    recorder.close()
    assert [it.subject for _, it in audit.after(0, 1000)] == [str(number) for number in range(200)]


def test_counts_of_a_minute_have_the_bound_of_all_others(engine, recorder, audit, refusal, seconds, monkeypatch):
    monkeypatch.setattr(recording, "MOST", 10)
    monkeypatch.setattr(recording, "_AGAIN_S", 0.05)
    for number in range(10):
        for _ in range(2):
            recorder.add_recurring(refusal(f"192.0.2.{number}"))
    wait_for(lambda: audit.count(AuditSearch()) == 10, "the first of each", 30)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE audit_event RENAME TO away")
    recorder.add(*(refusal(why=str(number)) for number in range(6)))
    seconds.now += 61
    recorder.add(refusal(why="after a minute"))
    wait_for(lambda: not recorder._again, "the minute is over", 30)
    assert len(recorder._waiting) <= 10
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO audit_event")
    wait_for(lambda: audit.count(AuditSearch()) == 21, "ten more, and how many there was no room for", 30)
    assert audit.after(0, 100)[-1][1].detail.startswith("7 events could not be kept")


def test_an_event_after_the_end_is_kept(recorder, audit, event, refusal):
    recorder.add(event(subject="before"))
    recorder.close()
    recorder.add(event(subject="after"))
    recorder.add_recurring(refusal())
    assert [it.subject for _, it in audit.after(0, 10)] == ["before", "after", ""]


def test_an_event_after_the_end_that_the_database_does_not_take_is_told_of(engine, recorder, event, caplog):
    recorder.close()
    engine.dispose()
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE audit_event RENAME TO away")
    recorder.add(event(), event())
    assert "2 events are lost" in caplog.text


def test_what_comes_again_while_it_ends_is_counted_as_well(engine, recorder, audit, refusal, monkeypatch):
    monkeypatch.setattr(recording, "_LAST_S", 0.05)
    recorder.add_recurring(refusal())
    wait_for(lambda: audit.count(AuditSearch()) == 1, "the first", 30)
    with writing(engine).begin():  # the database is busy while it closes
        recorder.add_recurring(refusal(why="another"))
        recorder.close()
        recorder.add_recurring(refusal(why="another"))
    wait_for(lambda: audit.count(AuditSearch()) == 3, "all of them", 30)
    assert {it.facts.times for _, it in audit.after(0, 10)} == {1}


def test_how_often_a_query_came_again_names_nobody(recorder, audit, event):
    facts = Facts("C-FIND", query="WmVicmFmaXNo", sop_class="1.2")
    for _ in range(5):
        recorder.add_recurring(event(AuditAction.QUERIED, account="", remote="VIEWER", facts=facts))
    recorder.close()
    (_, first), (_, count) = audit.after(0, 10)
    assert (first.study_instance_uid, first.patient_id, first.facts) == ("1.2.3", "P1", facts)
    assert (count.study_instance_uid, count.patient_id, count.facts) == (
        "",
        "",
        Facts("C-FIND", sop_class="1.2", times=4),
    )
    assert (count.remote, count.detail) == ("VIEWER", f"4 more within a minute, as at {_milliseconds(first.at)}")


def test_a_flood_of_queries_that_differ_has_a_bound(recorder, audit, event, monkeypatch):
    monkeypatch.setattr(recording, "KINDS", 20)
    for number in range(100):
        facts = Facts("C-FIND", query=str(number), sop_class="1.2")
        recorder.add_recurring(event(AuditAction.QUERIED, account="", remote="VIEWER", facts=facts))
    recorder.close()
    *apart, together, count = (it for _, it in audit.after(0, 1000))
    assert [it.facts.query for it in apart] == [str(number) for number in range(20)]
    assert (together.patient_id, together.remote, count.facts.times) == ("", "VIEWER", 79)


def _milliseconds(at) -> str:
    return at.isoformat(timespec="milliseconds")
