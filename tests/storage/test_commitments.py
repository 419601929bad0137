"""Transactions of storage commitment: who is asked for what, and what a report may move."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from storage import delivery_rows as module
from storage import schema
from storage.commitments import CommitmentReport, Commitments, Patience
from storage.database import writing
from storage.ledger import Ledger
from storage.records import DELIVERED, DeliveryState, Reference, ResultRecord, Revocation, StoredFile

MR = "1.2.840.10008.5.1.4.1.1.4"
PATIENCE = Patience(waits=(timedelta(seconds=10), timedelta(seconds=20)), resends=(timedelta(seconds=5),))


def a_result(number: int, study: str = "1.2.3") -> ResultRecord:
    file = StoredFile(Path("objects", f"{study}.{number}.dcm"), "a" * 64, 1)
    return ResultRecord(study, 1, f"role {number}", MR, f"{study}.1.{number}", f"{study}.1", file)


def named(*uids: str) -> frozenset[Reference]:
    return frozenset(Reference(MR, uid) for uid in uids)


@pytest.fixture
def commitments(engine) -> Commitments:
    return Commitments(engine)


@pytest.fixture
def stored(engine, deliveries, at):
    """Two results of one study and one of another, stored at second 0 and to be asked for at second 1."""
    results = [a_result(1), a_result(2), a_result(1, "4.5.6")]
    Ledger(engine).record(results, ["PACS"], at(0))
    claimed = deliveries.claim("PACS", "one", at(0), at(30), 10)
    deliveries.stored({it.identifier: "" for it in claimed}, at(0), at(1))
    return {it.result.sop_instance_uid: it.identifier for it in claimed}


@pytest.fixture
def states(deliveries):
    return lambda: {it.result.sop_instance_uid: str(it.state) for it in deliveries.records()}


ONE, TWO, OTHER = "1.2.3.1.1", "1.2.3.1.2", "4.5.6.1.1"


def test_each_study_has_a_transaction_of_its_own_when_the_time_has_come(stored, commitments, at):
    assert not commitments.is_due("PACS", at(0), PATIENCE)
    assert commitments.ask("PACS", at(0), PATIENCE, 100) == ()
    assert commitments.is_due("PACS", at(1), PATIENCE)
    assert not commitments.is_due("ARCHIVE", at(1), PATIENCE)
    asked = commitments.ask("PACS", at(1), PATIENCE, 100)
    assert [set(it.references) for it in asked] == [named(ONE, TWO), named(OTHER)]
    assert len({it.transaction_uid for it in asked}) == 2
    assert all(len(it.transaction_uid) <= 64 for it in asked)


def test_what_was_asked_for_is_asked_for_again_after_its_waits_and_then_no_more(stored, commitments, at):
    for second, due in ((1, True), (10, False), (11, True), (30, False), (31, False), (9999, False)):
        assert commitments.is_due("PACS", at(second), PATIENCE) is due
        assert bool(commitments.ask("PACS", at(second), PATIENCE, 100)) is due


def test_what_was_stored_where_nobody_is_asked_is_not_due(engine, deliveries, commitments, at):
    Ledger(engine).record([a_result(1)], ["PACS"], at(0))
    (it,) = deliveries.claim("PACS", "one", at(0), at(30), 10)
    deliveries.stored({it.identifier: ""}, at(0))
    assert not commitments.is_due("PACS", at(9999), PATIENCE)


def test_a_request_that_was_not_sent_counts_as_none(stored, commitments, engine, at):
    asked = commitments.ask("PACS", at(1), PATIENCE, 100)
    commitments.forget(asked, at(2))
    with engine.connect() as connection:
        assert connection.execute(select(schema.commitment)).all() == []
        assert set(connection.scalars(select(schema.delivery.c.commit_asked))) == {0}
    assert len(commitments.ask("PACS", at(2), PATIENCE, 100)) == 2


def test_a_report_that_comes_before_the_answer_stands(stored, commitments, engine, at):
    first, _ = commitments.ask("PACS", at(1), PATIENCE, 100)
    commitments.settle(CommitmentReport(first.transaction_uid, named(ONE, TWO)), at(2), PATIENCE)
    commitments.accepted(first)
    assert commitments.outstanding([first]) == 0


def test_an_object_that_was_sent_again_meanwhile_is_not_moved_by_the_report_of_before(
    stored, commitments, deliveries, states, at
):
    """A person had it sent again; the report is of what was there before."""
    first, _ = commitments.ask("PACS", at(1), PATIENCE, 100)
    deliveries.order([stored[ONE]], DELIVERED, at(2))
    report = CommitmentReport(first.transaction_uid, named(TWO), {Reference(MR, ONE): 0x0112})
    assert commitments.settle(report, at(3), PATIENCE).again == 0
    assert states() == {ONE: "QUEUED", TWO: "COMMITTED", OTHER: "STORED"}
    deliveries.claim("PACS", "one", at(4), at(30), 10)
    deliveries.stored({stored[ONE]: ""}, at(5), at(6))
    commitments.settle(report, at(7), PATIENCE)
    assert states()[ONE] == "STORED"
    assert len(commitments.ask("PACS", at(7), PATIENCE, 100)) == 1


def test_what_is_to_be_withdrawn_is_moved_by_no_report_and_asked_for_when_it_is_in_order_again(
    stored, commitments, engine, states, at
):
    first, _ = commitments.ask("PACS", at(1), PATIENCE, 100)
    commitments.settle(CommitmentReport(first.transaction_uid, named(ONE)), at(2), PATIENCE)
    with writing(engine).begin() as connection:
        module.revoke(connection, "1.2.3", Revocation(frozenset({ONE, TWO}), "two patients"))
    commitments.settle(CommitmentReport(first.transaction_uid, named(ONE, TWO)), at(3), PATIENCE)
    assert states() == {ONE: "REVOKED", TWO: "REVOKED", OTHER: "STORED"}
    with writing(engine).begin() as connection:
        module.revoke(connection, "1.2.3", Revocation(frozenset(), ""))
    assert states()[ONE] == "STORED"
    (again,) = [it for it in commitments.ask("PACS", at(12), PATIENCE, 100) if named(ONE) <= set(it.references)]
    assert set(again.references) == named(ONE, TWO)


def test_a_person_who_orders_what_failed_gives_it_all_its_chances_again(stored, commitments, deliveries, states, at):
    def fails(second: float) -> None:
        asked = commitments.ask("PACS", at(second), PATIENCE, 100)
        for each in asked:
            failed = dict.fromkeys(each.references, 0x0112)
            commitments.settle(CommitmentReport(each.transaction_uid, frozenset(), failed), at(second), PATIENCE)

    def stores(second: float) -> None:
        claimed = deliveries.claim("PACS", "one", at(second), at(second + 30), 10)
        deliveries.stored({it.identifier: "" for it in claimed}, at(second), at(second))

    fails(1)
    assert set(states().values()) == {"QUEUED"}
    stores(6)
    fails(6)
    assert set(states().values()) == {"FAILED"}
    deliveries.order(list(stored.values()), [DeliveryState.FAILED], at(7))
    stores(7)
    fails(7)
    assert set(states().values()) == {"QUEUED"}


def test_a_report_of_a_transaction_that_is_not_known_is_an_error(commitments, at):
    assert commitments.destination_of("1.2") is None
    with pytest.raises(LookupError):
        commitments.settle(CommitmentReport("1.2"), at(0), PATIENCE)
