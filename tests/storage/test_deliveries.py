"""Deliveries are claimed by one and settled by the one who claimed them, on SQLite and on PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from storage import schema
from storage.commitments import CommitmentReport, Commitments, Patience
from storage.database import open_engine
from storage.deliveries import Deliveries
from storage.ledger import Ledger
from storage.records import (
    DELIVERED,
    DELIVERY_TRANSITIONS,
    NOT_ARRIVED,
    DeliveryState,
    ResultRecord,
    Revocation,
    StoredFile,
)

SEG = "1.2.840.10008.5.1.4.1.1.66.4"


def a_result(number: int = 1) -> ResultRecord:
    uid = f"1.2.3.{number}"
    file = StoredFile(Path("objects", f"{uid}.dcm"), "a" * 64, 10)
    return ResultRecord("1.2.3", 1, f"role {number}", SEG, uid, "1.2.3.9", file)


@pytest.fixture
def waiting(engine, at):
    """So many results wait for PACS."""
    return lambda count: Ledger(engine).record([a_result(number) for number in range(1, count + 1)], ["PACS"], at(0))


@pytest.fixture
def claim(deliveries, at):
    """Claims what is due at a second, for 30 s."""

    def take(second: float, owner: str = "one", limit: int = 100, by: Deliveries = deliveries) -> list[int]:
        return [it.identifier for it in by.claim("PACS", owner, at(second), at(second + 30), limit)]

    return take


# --- claims


def test_what_one_has_claimed_no_other_can_claim(waiting, claim, deliveries, at):
    waiting(3)
    first = claim(0, "one", limit=2)
    assert len(first) == 2
    second = claim(0, "other")
    assert len(second) == 1
    assert not set(first) & set(second)
    assert claim(29, "third") == []
    assert {it.state for it in deliveries.records()} == {DeliveryState.CLAIMED}


def test_a_lease_that_ran_out_is_taken_again(waiting, claim, deliveries):
    waiting(2)
    abandoned = claim(0, "one")
    assert claim(30, "other") == abandoned
    assert [deliveries.is_claimed(it, "other") for it in abandoned] == [True, True]
    assert [deliveries.is_claimed(it, "one") for it in abandoned] == [False, False]


def test_a_lease_that_is_extended_does_not_run_out(waiting, claim, deliveries, at):
    waiting(2)
    claim(0, "one")
    assert deliveries.extend("PACS", "one", at(50)) == 2
    assert claim(49, "other") == []
    assert len(claim(50, "other")) == 2


def test_who_has_lost_a_claim_extends_nothing_of_the_other(waiting, claim, deliveries, at):
    waiting(1)
    claim(0, "one")
    claim(30, "other")
    assert deliveries.extend("PACS", "one", at(999)) == 0
    assert len(claim(60, "third")) == 1


def test_who_has_lost_a_claim_does_not_settle_it(waiting, claim, deliveries, at):
    waiting(1)
    (identifier,) = claim(0, "one")
    claim(30, "other")
    before = deliveries.records()
    assert deliveries.postpone(identifier, "one", "late", at(99)) is False
    assert deliveries.fail(identifier, "one", "late") is False
    deliveries.release([identifier], "one", at(99), "late")
    assert deliveries.records() == before
    assert deliveries.is_claimed(identifier, "other")


def test_what_was_stored_is_stored_whoever_has_claimed_it_meanwhile(waiting, claim, deliveries, at):
    waiting(1)
    (identifier,) = claim(0, "one")
    claim(30, "other")
    assert deliveries.stored({identifier: ""}, at(31)) == {identifier}
    assert deliveries.is_claimed(identifier, "other") is False
    assert deliveries.stored({identifier: ""}, at(32)) == frozenset()


def test_many_who_claim_at_the_same_time_share_the_rows(waiting, claim, url):
    waiting(40)
    many = [Deliveries(open_engine(url)) for _ in range(4)]

    def take(number: int) -> list[int]:
        taken: list[int] = []
        while found := claim(0, f"owner {number}", 3, many[number]):
            taken += found
        return taken

    with ThreadPoolExecutor(4) as pool:
        shares = list(pool.map(take, range(4)))
    everything = [identifier for share in shares for identifier in share]
    assert len(everything) == len(set(everything)) == 40


def test_whether_anything_is_due_is_what_a_claim_would_find(waiting, claim, deliveries, at):
    assert not deliveries.is_due("PACS", at(0))
    waiting(1)
    assert deliveries.is_due("PACS", at(0))
    assert not deliveries.is_due("ARCHIVE", at(0))
    claim(0)
    assert [deliveries.is_due("PACS", at(seconds)) for seconds in (29, 30)] == [False, True]


def test_what_an_owner_who_is_gone_had_claimed_is_due_at_once_and_costs_no_attempt(waiting, claim, deliveries, at):
    waiting(3)
    claim(0, "gone", 2)
    (other,) = claim(0, "here")
    assert deliveries.take_back("gone", at(1)) == 2
    assert [(it.state, it.attempts) for it in deliveries.due("PACS", at(1))] == [(DeliveryState.QUEUED, 0)] * 2
    assert deliveries.is_claimed(other, "here")


def test_what_is_claimed_is_limited_and_comes_in_order_what_has_failed_before_last(waiting, claim, deliveries, at):
    waiting(5)
    first, second = claim(0, limit=2)
    deliveries.postpone(second, "one", "busy", at(10))
    deliveries.postpone(first, "one", "busy", at(5))
    claim(5, limit=1)  # the third; the first has failed before, and waits for the others
    assert [it.result.role for it in deliveries.due("PACS", at(10))] == ["role 4", "role 5", "role 1", "role 2"]
    assert len(deliveries.due("PACS", at(10), limit=2)) == 2


# --- ends


def test_a_stored_result_is_not_due_any_more(waiting, claim, deliveries, at):
    waiting(1)
    (identifier,) = claim(0)
    assert deliveries.stored({identifier: "status 0xB007"}, at(1)) == {identifier}
    (ended,) = deliveries.records()
    assert (ended.state, ended.attempts, ended.reason) == (DeliveryState.STORED, 1, "status 0xB007")
    assert deliveries.due("PACS", at(999)) == ()


def test_a_postponed_delivery_is_due_again_at_its_time(waiting, claim, deliveries, at):
    waiting(1)
    (identifier,) = claim(0)
    assert deliveries.postpone(identifier, "one", "busy", at(60)) is True
    assert deliveries.due("PACS", at(59)) == ()
    (again,) = deliveries.due("PACS", at(60))
    assert (again.state, again.attempts, again.reason) == (DeliveryState.QUEUED, 1, "busy")


def test_a_failed_delivery_waits_for_a_person(waiting, claim, deliveries, at):
    waiting(1)
    (identifier,) = claim(0)
    assert deliveries.fail(identifier, "one", "status 0x0122") is True
    assert claim(9999) == []
    assert deliveries.order([identifier], NOT_ARRIVED, at(100)) == 1
    (again,) = deliveries.due("PACS", at(100))
    assert (again.attempts, again.state) == (0, DeliveryState.QUEUED)


def test_what_was_not_tried_is_given_back_with_its_reason_and_has_used_no_attempt(waiting, claim, deliveries, at):
    waiting(3)
    one, two, three = claim(0)
    deliveries.stored({three: ""}, at(1))
    deliveries.release([one, three], "one", at(60), "no connection")
    assert claim(29) == []
    assert [(it.identifier, it.attempts, it.reason) for it in deliveries.due("PACS", at(60))] == [
        (one, 0, "no connection"),
        (two, 0, ""),
    ]
    assert deliveries.records()[2].reason == ""


def test_what_is_given_back_without_a_reason_keeps_that_of_its_last_attempt(waiting, claim, deliveries, at):
    waiting(1)
    (identifier,) = claim(0)
    deliveries.postpone(identifier, "one", "busy", at(10))
    claim(10)
    deliveries.release([identifier], "one", at(10), None)
    assert deliveries.records()[0].reason == "busy"


# --- unknown


@pytest.fixture
def put(engine, waiting, deliveries, at):
    """One delivery, put into a state."""

    def into(state: DeliveryState, attempts: int = 0) -> int:
        waiting(1)
        (record,) = deliveries.records()
        claimed = {"owner": "one", "leased_until": at(30)} if state is DeliveryState.CLAIMED else {}
        with engine.begin() as connection:
            committing = {"commit_at": at(0), "commit_asked": 0, "next_attempt_at": at(0)}
            connection.execute(update(schema.delivery).values(state=state, attempts=attempts, **committing, **claimed))
        return record.identifier

    return into


def test_what_is_unknown_is_not_sent_until_a_person_orders_it(put, claim, deliveries, at):
    identifier = put(DeliveryState.UNKNOWN)
    assert claim(9999) == []
    assert deliveries.order([identifier], NOT_ARRIVED, at(100)) == 1
    assert claim(100) == [identifier]


def test_what_is_unknown_and_of_another_patient_may_be_there_and_is_to_be_withdrawn(engine, put, deliveries):
    put(DeliveryState.UNKNOWN)
    _revoke(engine, "1.2.3.1")
    assert deliveries.records()[0].state is DeliveryState.REVOKED
    _revoke(engine)
    assert deliveries.records()[0].state is DeliveryState.UNKNOWN


# --- moves


def _settle(engine, at, status: int | None) -> None:
    """The destination is asked for commitment, and reports."""
    asking, patience = Commitments(engine), Patience((timedelta(seconds=1),), (timedelta(seconds=1),))
    for each in asking.ask("PACS", at(1), patience, 9):
        committed = frozenset(each.references if status is None else ())
        failed = {} if status is None else dict.fromkeys(each.references, status)
        asking.settle(CommitmentReport(each.transaction_uid, committed, failed), at(1), patience)


def _revoke(engine, *uids: str) -> None:
    from storage import delivery_rows as module

    with engine.begin() as connection:
        module.revoke(connection, "1.2.3", Revocation(frozenset(uids), "two patients"))


MOVES = {
    "claim": lambda it, _engine, at, _: it.claim("PACS", "other", at(60), at(90), 9),
    "stored": lambda it, _engine, at, number: bool(it.stored({number: ""}, at(1))),
    "postpone": lambda it, _engine, at, number: it.postpone(number, "one", "", at(1)),
    "fail": lambda it, _engine, at, number: it.fail(number, "one", ""),
    "release": lambda it, _engine, at, number: it.release([number], "one", at(1), ""),
    "order": lambda it, _engine, at, number: it.order([number], NOT_ARRIVED, at(1)),
    "order by name": lambda it, _engine, at, number: it.order([number], NOT_ARRIVED | DELIVERED, at(1)),
    "committed": lambda _, engine, at, number: _settle(engine, at, None),
    "dropped": lambda _, engine, at, number: _settle(engine, at, 0x0112),
    "in conflict": lambda _, engine, at, number: _settle(engine, at, 0x0119),
    "revoke": lambda _, engine, at, number: _revoke(engine, "1.2.3.1"),
    "in order again": lambda _, engine, at, number: _revoke(engine),
    "made again": lambda _, engine, at, number: Ledger(engine).record([a_result(1)], ["PACS"], at(1)),
}


@pytest.mark.parametrize("before", DeliveryState)
def test_nothing_moves_a_delivery_but_as_the_table_allows(before, engine, put, deliveries, at):
    reached = set()
    for move in MOVES.values():
        identifier = put(before, attempts=1)
        move(deliveries, engine, at, identifier)
        (record,) = deliveries.records()
        reached |= {record.state} - {before}
    assert reached <= DELIVERY_TRANSITIONS[before]
    # UNKNOWN comes from what had no attempt.
    assert DELIVERY_TRANSITIONS[before] - reached <= {before, DeliveryState.UNKNOWN}


def test_the_table_of_moves_has_every_state():
    assert set(DELIVERY_TRANSITIONS) == set(DeliveryState)
