"""Requests for commitment that came here: written once, claimed by one, and what is kept under a UID."""

from __future__ import annotations

import pytest

from storage.commitment_requests import CommitmentRequests, count_unreported, unreported
from storage.index import Index
from storage.records import Reference, ReportState

MR = "1.2.840.10008.5.1.4.1.1.4"
OBJECTS = (Reference(MR, "1.2.3.1.1"), Reference(MR, "1.2.3.1.2"))


@pytest.fixture
def requests(engine) -> CommitmentRequests:
    return CommitmentRequests(engine)


@pytest.fixture
def ask(requests, at):
    """Write a request at second 0, which is to be reported then."""

    def write(transaction: str = "1.2", remote: str = "asker", objects=OBJECTS) -> int:
        return requests.keep(transaction, remote, "NODE", objects, at(0), at(0))

    return write


def test_a_request_is_found_as_it_was_written(requests, ask):
    request = requests.request(ask())
    assert (request.transaction_uid, request.remote, request.called_ae) == ("1.2", "asker", "NODE")
    assert (request.references, request.duplicate, request.state) == (OBJECTS, False, ReportState.QUEUED)


def test_what_one_has_claimed_no_other_is_given_before_its_lease_has_run_out(requests, ask, at):
    identifier = ask()
    assert requests.claim("other", at(0), at(30)) is None
    assert requests.claim("asker", at(0), at(30)).identifier == identifier
    assert requests.claim("asker", at(29), at(59)) is None
    assert requests.claim("asker", at(30), at(60)).attempts == 2


def test_the_same_request_again_is_the_same_row_and_due_again(requests, ask, at):
    identifier = ask()
    requests.taken(identifier)
    assert requests.claim("asker", at(9), at(9)) is None
    assert ask() == identifier
    assert requests.claim("asker", at(9), at(9)).duplicate is False


def test_a_transaction_uid_of_another_request_makes_a_duplicate(requests, ask):
    ask()
    assert requests.request(ask(objects=OBJECTS[:1])).duplicate is True
    assert requests.request(ask(remote="other")).duplicate is True
    assert requests.request(ask("1.3")).duplicate is False


def test_what_was_not_taken_is_told_until_it_is(requests, ask, engine, at):
    first, second = ask("1.2"), ask("1.3")
    requests.postpone(first, "no connection", at(10))
    requests.give_up(second, "nobody is there")
    with engine.connect() as connection:
        told = unreported(connection, 10)
        assert count_unreported(connection) == 2
        assert unreported(connection, 1) == told[1:]
    assert [(it.transaction_uid, it.objects, str(it.state), it.reason) for it in told] == [
        ("1.2", 2, "QUEUED", "no connection"),
        ("1.3", 2, "GIVEN_UP", "nobody is there"),
    ]
    requests.taken(first)
    requests.taken(second)  # it was given up, which stays so
    with engine.connect() as connection:
        assert [it.transaction_uid for it in unreported(connection, 10)] == ["1.3"]


def test_what_is_owed_to_others_is_given_up_at_once(requests, ask, at):
    ask("1.2")
    ask("1.3", remote="gone")
    assert requests.give_up_others(["asker"], "it is gone") == 1
    assert requests.give_up_others(["asker"], "it is gone") == 0
    assert requests.claim("asker", at(0), at(30)) is not None
    assert requests.claim("gone", at(0), at(30)) is None


def test_the_object_that_came_last_under_a_uid_stands_at_the_end(requests, engine, make_header, make_file, at):
    index = Index(engine)
    for content in ("a", "b"):
        index.register(make_header(1), make_file(content), "SCANNER", at(0))
    found = requests.kept(["1.2.3.1.1", "1.2.3.9.9"])
    assert {uid: [(it.sop_class_uid, it.file) for it in kept] for uid, kept in found.items()} == {
        "1.2.3.1.1": [(MR, make_file("a")), (MR, make_file("b"))]
    }
