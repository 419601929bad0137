"""What is to be fetched: ordered, claimed by one, settled, and due again; on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest

from storage.retrievals import Attempt, Retrievals, RetrievalState

from .house import House, a_file


@pytest.fixture
def retrievals(engine) -> Retrievals:
    return Retrievals(engine)


@pytest.fixture
def ordered(retrievals, at):
    """One study of which the remote has six instances."""
    retrievals.want("pacs", {"1.2.3": 6}, at(0), anew=False)
    (record,) = retrievals.records()
    return record


def test_what_is_ordered_is_due_at_once_and_only_once(retrievals, ordered, at):
    assert (ordered.state, ordered.at_remote, ordered.here, ordered.attempts) == (RetrievalState.QUEUED, 6, 0, 0)
    retrievals.want("pacs", {"1.2.3": 6}, at(1), anew=False)
    assert retrievals.due("pacs", at(1)) == (ordered,)
    assert retrievals.due("other", at(1)) == ()


def test_one_claims_it_until_the_claim_has_run_out(retrievals, ordered, at):
    assert retrievals.claim(ordered.identifier, at(1), at(61))
    assert not retrievals.claim(ordered.identifier, at(2), at(62))
    retrievals.extend(ordered.identifier, at(90))
    assert retrievals.due("pacs", at(80)) == ()
    assert retrievals.claim(ordered.identifier, at(91), at(150))


def test_a_claim_that_is_given_back_costs_no_attempt(retrievals, ordered, at):
    retrievals.claim(ordered.identifier, at(1), at(61))
    retrievals.give_back(ordered.identifier)
    assert retrievals.due("pacs", at(2)) == (ordered,)


def test_what_is_short_comes_back_in_its_time_and_ends_when_there_is_no_other(retrievals, ordered, at):
    retrievals.claim(ordered.identifier, at(1), at(61))
    retrievals.settle(ordered.identifier, Attempt(6, 4, "two lack", at(60)), at(2))
    assert retrievals.due("pacs", at(59)) == ()
    (again,) = retrievals.due("pacs", at(60))
    assert (again.attempts, again.here, again.reason, again.last_attempt_at) == (1, 4, "two lack", at(2))
    retrievals.settle(ordered.identifier, Attempt(6, 4, "given up"), at(61))
    (ended,) = retrievals.records(states=[RetrievalState.FAILED])
    assert (ended.attempts, ended.reason) == (2, "given up")
    assert not retrievals.settle(ordered.identifier, Attempt(6, 6), at(62))


@pytest.mark.parametrize(
    ("attempt", "count", "is_new"),
    [
        (Attempt(6, 6), 6, False),
        (Attempt(6, 6), 7, True),  # the remote has more now
        (Attempt(6, 6), 0, False),  # and does not say how many
        (Attempt(6, 4, "given up"), 6, False),
        (Attempt(6, 4, "given up"), 7, True),
        (Attempt(6, 4, "later", None), 0, False),
    ],
)
def test_what_has_ended_is_new_where_the_remote_has_another_number(retrievals, ordered, at, attempt, count, is_new):
    retrievals.settle(ordered.identifier, attempt, at(1))
    assert retrievals.new("pacs", {"1.2.3": count}) == (["1.2.3"] if is_new else [])
    retrievals.want("pacs", {"1.2.3": count}, at(2), anew=False)
    assert len(retrievals.due("pacs", at(2))) == is_new


def test_a_person_orders_again_whatever_became_of_it(retrievals, ordered, at):
    retrievals.settle(ordered.identifier, Attempt(6, 4, "given up"), at(1))
    assert retrievals.want("pacs", {"1.2.3": 6}, at(2), anew=True) == 1
    (record,) = retrievals.due("pacs", at(2))
    assert record.attempts == 0


def test_what_is_here_is_counted_by_series_once_an_object(engine, tmp_path, at, retrievals):
    house = House(engine, tmp_path / "root", at)
    for number, series in ((1, 1), (2, 1), (1, 2)):
        house.receive(a_file(number, series))
    house.receive(a_file(1, 1, SeriesDescription="again"))
    house.make(a_file(1, 3))
    assert {series: len(uids) for series, uids in retrievals.here("1.2.3").items()} == {
        "1.2.3.1": 2,
        "1.2.3.2": 1,
        "1.2.3.3": 1,
    }


def test_a_claim_longer_than_a_day_is_one_of_a_process_that_died(retrievals, ordered, at):
    retrievals.claim(ordered.identifier, at(0), at(120))
    (record,) = retrievals.due("pacs", at(0) + timedelta(days=1))
    assert record.identifier == ordered.identifier
