"""What becomes of results, on SQLite and on PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import event

from storage import database, registration
from storage.database import open_engine
from storage.errors import TransitionError
from storage.index import Index
from storage.ledger import Ledger
from storage.records import DeliveryState, ResultRecord, StoredFile, StudyState

SEG = "1.2.840.10008.5.1.4.1.1.66.4"


@pytest.fixture
def ledger(engine):
    return Ledger(engine)


def a_result(number: int = 1, revision: int = 1, study: str = "1.2.3", content: str = "a") -> ResultRecord:
    uid = f"{study}.{number}"
    file = StoredFile(Path("objects", f"{uid}-{content}.dcm"), content * 64, 10)
    return ResultRecord(study, revision, f"role {number}", SEG, uid, f"{study}.9", file)


def test_each_result_is_due_at_each_destination_at_once(ledger, deliveries, at):
    results = [a_result(1), a_result(2)]
    ledger.record(results, ["PACS", "ARCHIVE"], at(0))
    assert ledger.all_results("1.2.3") == tuple(results)
    for destination in ("PACS", "ARCHIVE"):
        due = deliveries.due(destination, at(0))
        assert [record.result for record in due] == results
        assert {(record.state, record.attempts) for record in due} == {(DeliveryState.QUEUED, 0)}
    assert deliveries.due("ELSEWHERE", at(0)) == ()


def test_recording_the_same_again_changes_nothing(ledger, deliveries, at):
    for second in (0, 5):
        ledger.record([a_result(1), a_result(2)], ["PACS"], at(second))
    assert len(ledger.all_results("1.2.3")) == 2
    assert [record.next_attempt_at for record in deliveries.records()] == [at(0), at(0)]


def test_recording_again_after_delivery_sends_nothing_twice(ledger, deliveries, at):
    ledger.record([a_result()], ["PACS"], at(0))
    deliveries.stored({deliveries.due("PACS", at(0))[0].identifier: ""}, at(1))
    ledger.record([a_result()], ["PACS"], at(2))
    assert deliveries.due("PACS", at(3)) == ()


def test_a_destination_that_was_added_later_gets_the_results_as_well(ledger, deliveries, at):
    ledger.record([a_result()], ["PACS"], at(0))
    ledger.record([a_result()], ["PACS", "ARCHIVE"], at(1))
    assert len(deliveries.due("ARCHIVE", at(1))) == 1


def test_results_of_all_revisions_are_there_the_earliest_first(ledger, at):
    ledger.record([a_result(2, revision=3)], [], at(0))
    ledger.record([a_result(1, revision=1)], [], at(1))
    assert ledger.all_results("1.2.3") == (a_result(1, revision=1), a_result(2, revision=3))


def test_a_uid_keeps_its_first_bytes_when_a_later_revision_makes_it_again(ledger, deliveries, at):
    ledger.record([a_result(1, revision=1, content="a")], ["PACS"], at(0))
    ledger.record([a_result(1, revision=2, content="b")], ["PACS"], at(1))
    *_, again = ledger.all_results("1.2.3")
    assert again.revision == 2
    assert again.file == a_result(1, content="a").file
    assert len(deliveries.records("1.2.3")) == 1


def test_two_recorders_at_the_same_time_write_each_row_once(deliveries, url, at):
    ledgers = [Ledger(open_engine(url)) for _ in range(4)]
    results = [a_result(number) for number in range(10)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda ledger: ledger.record(results, ["PACS"], at(0)), ledgers))
    assert len(ledgers[0].all_results("1.2.3")) == len(deliveries.records()) == 10


# --- the end of a revision


@pytest.fixture
def queued(engine, make_header, make_file, at):
    """The index of a database in which revision 1 of study 1.2.3 is under analysis."""
    index = Index(engine)
    index.register(make_header(1), make_file(), "SCANNER", at(0))
    index.move("1.2.3", 1, StudyState.QUEUED)
    return index


def conclude(ledger, at, revision=1, to=StudyState.COMPLETED):
    return ledger.conclude("1.2.3", revision, to, "", [a_result(1, revision)], ["PACS"], at(9))


def test_the_end_of_a_revision_is_its_state_its_results_and_their_deliveries(ledger, deliveries, queued, at):
    assert conclude(ledger, at) is True
    assert queued.study("1.2.3").state is StudyState.COMPLETED
    assert [record.result for record in deliveries.due("PACS", at(9))] == [a_result(1)]


def test_a_destination_is_due_the_results_that_it_gets(ledger, deliveries, queued, at):
    results, gets = [a_result(1), a_result(2)], lambda to, result: to == "PACS" or result.role == "role 2"
    to = ["PACS", "ARCHIVE"]
    ledger.conclude("1.2.3", 1, StudyState.COMPLETED, "", results, to, at(9), gets=gets)
    assert [record.result for record in deliveries.due("PACS", at(9))] == results
    assert [record.result for record in deliveries.due("ARCHIVE", at(9))] == results[1:]


def test_ending_again_after_a_crash_changes_nothing(ledger, deliveries, queued, at):
    assert conclude(ledger, at) is conclude(ledger, at) is True
    assert len(deliveries.records()) == len(ledger.all_results("1.2.3")) == 1


def test_a_revision_that_a_late_image_superseded_sends_nothing(ledger, deliveries, queued, make_header, make_file, at):
    queued.register(make_header(2), make_file(), "SCANNER", at(1))
    assert conclude(ledger, at) is False
    assert ledger.all_results("1.2.3") == deliveries.records() == ()
    study = queued.study("1.2.3")
    assert (study.revision, study.state) == (2, StudyState.RECEIVING)


def test_a_late_image_that_is_being_registered_is_waited_for(engine, ledger, queued, make_header, make_file, at):
    """Between the look at the revision and the rows nothing can arrive: who comes second waits for the first."""
    with ThreadPoolExecutor(1) as pool:
        with database.writing(engine).begin() as connection:
            registration.register(connection, make_header(2), make_file(), "SCANNER", at(1))
            ending = pool.submit(conclude, ledger, at)
            with pytest.raises(TimeoutError):
                ending.result(timeout=0.5)
        assert ending.result(timeout=60) is False
    assert ledger.all_results("1.2.3") == ()


def test_a_revision_that_has_ended_otherwise_keeps_no_results(ledger, queued, at):
    queued.move("1.2.3", 1, StudyState.FAILED, "broke")
    with pytest.raises(TransitionError, match="FAILED: it cannot become COMPLETED"):
        conclude(ledger, at)
    assert ledger.all_results("1.2.3") == ()


def test_recording_takes_as_many_statements_for_many_results_as_for_few(engine, at):
    statements = []
    event.listen(engine, "before_cursor_execute", lambda _c, _cursor, statement, *_: statements.append(statement))
    counts = []
    for first, last in ((1, 3), (3, 303)):
        statements.clear()
        Ledger(engine).record([a_result(number) for number in range(first, last)], ["PACS", "ARCHIVE"], at(0))
        counts.append(len(statements))
    assert counts[0] == counts[1] < 15
