"""Results of another patient: what was not sent is never sent, and what was sent is named until it is in order."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.database import open_engine
from storage.index import Index
from storage.ledger import Ledger
from storage.records import (
    NOT_ARRIVED,
    DeliveryState,
    PatientIdentity,
    ResultRecord,
    Revocation,
    StoredFile,
    StudyState,
)
from storage.reruns import reopen

WHY = "two patients"
FIRST, SECOND = PatientIdentity("a" * 64, "", "b" * 64), PatientIdentity("c" * 64)


@pytest.fixture
def index(engine):
    return Index(engine)


@pytest.fixture
def ledger(engine):
    return Ledger(engine)


def a_result(number: int, revision: int = 1, study: str = "1.2.3") -> ResultRecord:
    uid = f"{study}.9.{number}"
    return ResultRecord(
        study, revision, "report", "1.2", uid, f"{study}.9", StoredFile(Path(f"{uid}.dcm"), "a" * 64, 10)
    )


@pytest.fixture
def conclude(index, ledger, make_header, make_file, at):
    """Ends the next revision of the study with results and a revocation."""

    def end(
        *results: ResultRecord, revoked: tuple[int, ...] | None = (), to: StudyState = StudyState.COMPLETED
    ) -> bool:
        known = index.study("1.2.3")
        if known is None:
            index.register(make_header(), make_file(), "SCANNER", at(0))
        else:
            reopen(index._engine, "1.2.3")
        revision = index.study("1.2.3").revision
        index.move("1.2.3", revision, StudyState.QUEUED)
        named = None if revoked is None else Revocation(frozenset(f"1.2.3.9.{it}" for it in revoked), WHY)
        return ledger.conclude("1.2.3", revision, to, "", results, ["PACS"], at(revision), named)

    return end


@pytest.fixture
def sent(deliveries, conclude, at):
    """Four results of revision 1: delivered, refused by the destination, to be sent, and delivered."""
    conclude(*(a_result(number) for number in range(4)))
    first, second, third, last = deliveries.claim("PACS", "sender", at(9), at(39), 10)
    deliveries.stored({first.identifier: ""}, at(10))
    deliveries.fail(second.identifier, "sender", "no")
    deliveries.release([third.identifier], "sender", at(9), "")
    deliveries.stored({last.identifier: ""}, at(11))


def states(deliveries) -> list[str]:
    return [delivery.state for delivery in deliveries.records("1.2.3")]


def test_what_was_delivered_is_named_and_what_was_not_is_stopped(deliveries, sent, conclude):
    conclude(revoked=(0, 1, 2), to=StudyState.REFUSED)
    assert states(deliveries) == ["REVOKED", "STOPPED", "STOPPED", "STORED"]
    assert [it.reason for it in deliveries.records("1.2.3")] == [WHY, WHY, WHY, ""]


def test_when_it_was_delivered_stays_known(deliveries, sent, conclude, at):
    conclude(revoked=(0, 1, 2, 3))
    assert [it.next_attempt_at for it in deliveries.records("1.2.3") if it.state is DeliveryState.REVOKED] == [
        at(10),
        at(11),
    ]


def test_what_was_stopped_is_neither_due_nor_sent_again_by_a_person(deliveries, sent, conclude, at):
    conclude(revoked=(0, 1, 2))
    assert deliveries.due("PACS", at(99)) == ()
    for delivery in deliveries.records("1.2.3"):
        assert deliveries.order([delivery.identifier], NOT_ARRIVED, at(99)) == 0
    assert deliveries.claim("PACS", "sender", at(99), at(129), 10) == ()


def test_what_is_made_again_by_a_later_revision_is_sent_again(deliveries, sent, conclude, at):
    """It may have been withdrawn meanwhile."""
    conclude(revoked=(0, 1, 2, 3))
    conclude(a_result(0, 3), a_result(2, 3), revoked=(1, 3))
    assert states(deliveries) == ["QUEUED", "STOPPED", "QUEUED", "REVOKED"]
    assert {it.result.sop_instance_uid for it in deliveries.due("PACS", at(3))} == {"1.2.3.9.0", "1.2.3.9.2"}


def test_what_turns_out_to_be_in_order_is_not_named_any_more(deliveries, sent, conclude):
    conclude(revoked=(0, 3))
    conclude(revoked=(3,))
    assert states(deliveries) == ["STORED", "FAILED", "QUEUED", "REVOKED"]


def test_an_analysis_that_failed_changes_nothing_of_it(deliveries, sent, conclude):
    conclude(revoked=(0,))
    conclude(revoked=None, to=StudyState.FAILED)
    assert states(deliveries) == ["REVOKED", "FAILED", "QUEUED", "STORED"]


def test_a_revision_that_is_out_of_date_revokes_nothing(index, ledger, deliveries, sent, make_header, make_file, at):
    index.register(make_header(2), make_file(), "SCANNER", at(20))
    named = Revocation(frozenset({"1.2.3.9.0"}), WHY)
    assert not ledger.conclude("1.2.3", 1, StudyState.REFUSED, WHY, [], [], at(21), named)
    assert states(deliveries) == ["STORED", "FAILED", "QUEUED", "STORED"]


def test_results_of_other_studies_are_left_alone(ledger, deliveries, sent, conclude, at):
    ledger.record([a_result(0, study="1.9")], ["PACS"], at(0))
    deliveries.stored({deliveries.records("1.9")[0].identifier: ""}, at(1))
    conclude(revoked=(0, 1, 2, 3))
    assert [it.state for it in deliveries.records("1.9")] == ["STORED"]


def test_what_was_under_way_when_it_was_stopped_is_named_with_the_reason_of_that(deliveries, conclude, at):
    conclude(a_result(0), a_result(1))
    under_way, refused = deliveries.claim("PACS", "sender", at(9), at(39), 10)
    conclude(revoked=(0, 1))
    assert deliveries.stored({under_way.identifier: "warning B000"}, at(12)) == frozenset()
    assert deliveries.fail(refused.identifier, "sender", "no") is False
    first, second = deliveries.records("1.2.3")
    assert (first.state, first.reason, first.next_attempt_at) == ("REVOKED", WHY, at(12))
    assert (second.state, second.reason) == ("STOPPED", WHY)


def test_ending_again_after_a_crash_changes_nothing(index, ledger, deliveries, sent, at):
    reopen(index._engine, "1.2.3")
    index.move("1.2.3", 2, StudyState.QUEUED)
    named = Revocation(frozenset({"1.2.3.9.0", "1.2.3.9.1"}), WHY)
    ends = [
        ledger.conclude("1.2.3", 2, StudyState.COMPLETED, "", [a_result(2, 2)], ["PACS"], at(5), named)
        for _ in range(2)
    ]
    assert ends == [True, True]
    assert states(deliveries) == ["REVOKED", "STOPPED", "QUEUED", "STORED"]


# --- who is meant


def test_who_a_person_says_is_meant_is_kept_for_the_study_until_another_is_said(index, conclude, at):
    conclude()
    assert index.meant_patient("1.2.3") is None
    reopen(index._engine, "1.2.3", FIRST, at(1))
    assert index.meant_patient("1.2.3") == FIRST
    index.move("1.2.3", 2, StudyState.FAILED)
    reopen(index._engine, "1.2.3")
    assert index.meant_patient("1.2.3") == FIRST
    index.move("1.2.3", 3, StudyState.FAILED)
    reopen(index._engine, "1.2.3", SECOND, at(2))
    assert index.meant_patient("1.2.3") == SECOND


def test_nothing_is_kept_where_the_study_cannot_be_run_again(index, make_header, make_file, at):
    index.register(make_header(), make_file(), "SCANNER", at(0))
    with pytest.raises(Exception, match="only a study that has ended"):
        reopen(index._engine, "1.2.3", FIRST, at(1))
    assert index.meant_patient("1.2.3") is None


def test_of_two_persons_the_second_is_told_that_the_study_is_under_way(url, conclude, at):
    conclude()
    first, second = Index(open_engine(url)), Index(open_engine(url))
    reopen(first._engine, "1.2.3", FIRST, at(1))
    with pytest.raises(Exception, match="only a study that has ended"):
        reopen(second._engine, "1.2.3", SECOND, at(1))
    assert second.meant_patient("1.2.3") == FIRST
