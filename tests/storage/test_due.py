"""What was put off, or claimed, while the clock was a day ahead is due once it is right; what waits by right waits."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from storage import associations, schema
from storage.commitment_requests import CommitmentRequests
from storage.commitments import Commitments, Patience
from storage.database import writing
from storage.ledger import Ledger
from storage.records import OpenAssociation, Reference, ResultRecord, StoredFile
from storage.retrievals import Attempt, Retrievals

LONGEST = timedelta(hours=1)
DAY = timedelta(days=1).total_seconds()
WAIT = 600  # by right
SEG = "1.2.840.10008.5.1.4.1.1.66.4"


@pytest.fixture
def deliver(engine, deliveries, at):
    """A result whose delivery is recorded at a second; whether it is due at another."""

    def record(second: float) -> None:
        file = StoredFile(Path("objects/1.dcm"), "a" * 64, 10)
        result = ResultRecord("1.2.3", 1, "report", SEG, "1.2.3.1", "1.2.3.9", file)
        Ledger(engine).record([result], ["PACS"], at(second))

    return record


@pytest.fixture
def is_due(deliveries, at):
    def asked(second: float) -> bool:
        due = deliveries.is_due("PACS", at(second), LONGEST)
        found = deliveries.claim("PACS", "other", at(second), at(second + 30), 10, LONGEST)
        assert bool(found) is due
        return due

    return asked


def test_a_result_of_a_clock_that_was_ahead_is_due_at_once_however_little_it_was(deliver, is_due):
    deliver(120)
    assert is_due(0)


def test_one_that_was_put_off_by_such_a_clock_is_due_once_it_is_right(deliver, is_due, deliveries, at):
    deliver(DAY)
    (claimed,) = deliveries.claim("PACS", "one", at(DAY), at(DAY + 30), 10)
    deliveries.postpone(claimed.identifier, "one", "it was down", at(DAY + WAIT))
    assert is_due(1)


def test_one_that_waits_by_right_waits(deliver, is_due, deliveries, at):
    deliver(0)
    (claimed,) = deliveries.claim("PACS", "one", at(0), at(30), 10)
    deliveries.postpone(claimed.identifier, "one", "it is down", at(WAIT))
    assert not is_due(WAIT - 1)
    assert is_due(WAIT)


def test_one_that_a_person_orders_again_while_the_clock_is_ahead_is_due(deliver, is_due, deliveries, at):
    deliver(0)
    (claimed,) = deliveries.claim("PACS", "one", at(0), at(30), 10)
    deliveries.fail(claimed.identifier, "one", "refused")
    assert deliveries.order([claimed.identifier], ["FAILED"], at(DAY))
    assert is_due(1)


def test_a_claim_of_such_a_clock_holds_nothing_and_one_of_now_does(deliver, is_due, deliveries, at):
    deliver(0)
    deliveries.claim("PACS", "dead", at(DAY), at(DAY + 30), 10)
    assert is_due(1)
    assert not is_due(2)


def test_commitment_is_asked_for(engine, deliver, deliveries, at):
    patience = Patience((timedelta(seconds=WAIT),) * 2, (), first=timedelta(seconds=60))
    deliver(DAY)
    (claimed,) = deliveries.claim("PACS", "one", at(DAY), at(DAY + 30), 10)
    deliveries.stored({claimed.identifier: ""}, at(DAY), at(DAY + 60))
    commitments = Commitments(engine)
    assert commitments.ask("PACS", at(0), patience, 10)
    # From now on it waits by right.
    assert not commitments.is_due("PACS", at(WAIT - 1), patience)
    assert commitments.is_due("PACS", at(WAIT), patience)


def test_a_report_of_commitment_is_sent(engine, at):
    requests = CommitmentRequests(engine)
    requests.keep("1.2", "asker", "NODE", (Reference(SEG, "1.2.3.1"),), at(DAY), at(DAY))
    assert requests.claim("asker", at(0), at(30), LONGEST)
    assert requests.claim("asker", at(1), at(31), LONGEST) is None


def test_a_study_is_fetched(engine, at):
    retrievals = Retrievals(engine)
    retrievals.want("pacs", {"1.2.3": 6}, at(DAY), anew=False)
    (record,) = retrievals.due("pacs", at(0), longest=LONGEST)
    assert retrievals.claim(record.identifier, at(0), at(120), LONGEST)
    retrievals.settle(record.identifier, Attempt(6, 4, "two lack", at(WAIT)), at(2))
    assert not retrievals.due("pacs", at(WAIT - 1), longest=LONGEST)


def test_an_association_of_such_a_clock_holds_no_study(engine, at):
    def count(now: datetime) -> int:
        with engine.connect() as connection:
            return associations.count(connection, now)["1.2.3"]

    with writing(engine).begin() as connection:
        associations.note(connection, OpenAssociation("a", at(DAY)), "1.2.3")
    assert count(at(0)) == 0
    with engine.begin() as connection:
        connection.execute(update(schema.association).values(open_until=at(15)))
    assert count(at(0)) == 1
