"""What the index promises, on SQLite and on PostgreSQL."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import select, text

from storage.database import open_engine
from storage.errors import StorageError, TransitionError
from storage.index import Index
from storage.ledger import Ledger
from storage.overview import Overview
from storage.records import (
    ENDED_STATES,
    STUDY_TRANSITIONS,
    OpenAssociation,
    Registration,
    ResultRecord,
    StoredFile,
    StudyState,
)
from storage.reruns import reopen
from storage.schema import NOT_RECEIVED, dicom_object

OBJECT = "dicom_object WHERE study_instance_uid='1'"


@pytest.fixture
def index(engine):
    return Index(engine)


def test_a_new_instance_begins_its_study(index, make_header, make_file, at):
    assert index.register(make_header(), make_file(), "SCANNER", at(0)) is Registration.NEW
    study = index.study("1.2.3")
    assert (study.revision, study.state, study.changed) == (1, StudyState.RECEIVING, False)
    assert (study.series_count, study.instance_count) == (1, 1)
    assert study.first_received_at == study.last_received_at == at(0)


def test_an_unknown_study_is_none(index):
    assert index.study("1.2.3") is None


def test_series_and_instances_are_counted(index, make_header, make_file, at):
    for series in (1, 2, 3):
        for number in range(4):
            index.register(make_header(number, series), make_file(), "SCANNER", at(number))
    study = index.study("1.2.3")
    assert (study.series_count, study.instance_count) == (3, 12)
    assert len(index.instances("1.2.3")) == 12


def test_what_was_registered_is_read_back(index, make_header, make_file, at):
    index.register(make_header(), make_file(), "SCANNER", at(0))
    (record,) = index.instances("1.2.3")
    assert (record.header, record.file, record.calling_ae) == (make_header(), make_file(), "SCANNER")
    assert (record.revision, record.received_at) == (1, at(0))


def test_times_come_back_in_utc_whatever_zone_they_were_given_in(index, make_header, make_file):
    tokyo = datetime(2026, 1, 2, 9, tzinfo=timezone(timedelta(hours=9)))
    index.register(make_header(), make_file(), "SCANNER", tokyo)
    received = index.study("1.2.3").first_received_at
    assert received == tokyo
    assert received.tzinfo is UTC


def test_a_time_without_zone_is_refused(index, make_header, make_file):
    with pytest.raises(Exception, match="without time zone"):
        index.register(make_header(), make_file(), "SCANNER", datetime(2026, 1, 2))


def test_the_same_bytes_again_change_nothing(index, make_header, make_file, at):
    index.register(make_header(), make_file(), "SCANNER", at(0))
    before = index.study("1.2.3")
    assert index.register(make_header(), make_file(), "SCANNER", at(9)) is Registration.DUPLICATE
    assert index.study("1.2.3") == before
    assert len(index.instances("1.2.3")) == 1


def test_other_bytes_under_the_same_uid_are_a_revision_and_mark_the_study(index, make_header, make_file, at):
    index.register(make_header(), make_file("a"), "SCANNER", at(0))
    assert index.register(make_header(), make_file("b"), "SCANNER", at(1)) is Registration.REVISED
    (latest,) = index.instances("1.2.3")
    assert (latest.revision, latest.file) == (2, make_file("b"))
    study = index.study("1.2.3")
    assert study.changed
    assert study.instance_count == 1


def test_an_earlier_revision_that_comes_back_is_the_latest_again(index, make_header, make_file, at):
    for second, content in enumerate("aba"):
        index.register(make_header(), make_file(content), "SCANNER", at(second))
    (latest,) = index.instances("1.2.3")
    assert (latest.revision, latest.file) == (3, make_file("a"))


def test_an_instance_that_arrives_under_two_studies_belongs_to_both(index, make_header, make_file, at):
    header = make_header()
    other = type(header)(header.sop_class_uid, header.sop_instance_uid, "1.9", "1.9.1", header.transfer_syntax_uid)
    assert index.register(header, make_file("a"), "SCANNER", at(0)) is Registration.NEW
    assert index.register(other, make_file("b"), "SCANNER", at(1)) is Registration.NEW
    assert len(index.instances("1.2.3")) == len(index.instances("1.9")) == 1


@pytest.mark.parametrize("content", ["a", "b"])
def test_our_own_result_coming_back_is_not_made_part_of_the_study(engine, index, make_header, make_file, at, content):
    header = make_header(77, 9)
    result = ResultRecord(
        "1.2.3", 1, "SR", "1.2.840.10008.5.1.4.1.1.88.33", header.sop_instance_uid, "1.2.3.9", make_file("a")
    )
    Ledger(engine).record([result], [], at(0))
    assert index.has_uid_of_result(header.sop_instance_uid)
    assert index.register(header, make_file(content), "PACS", at(1)) is Registration.OWN_RESULT
    assert index.study("1.2.3") is None


@pytest.mark.parametrize("state", [StudyState.QUEUED, StudyState.REFUSED, StudyState.FAILED, StudyState.COMPLETED])
def test_a_late_instance_opens_the_next_revision(index, make_header, make_file, at, state):
    index.register(make_header(1), make_file(), "SCANNER", at(0))
    if state is StudyState.COMPLETED:
        index.move("1.2.3", 1, StudyState.QUEUED)
    index.move("1.2.3", 1, state, "some reason")
    index.register(make_header(2), make_file(), "SCANNER", at(60))
    study = index.study("1.2.3")
    assert (study.revision, study.state, study.reason) == (2, StudyState.RECEIVING, "")
    assert not study.changed


def test_a_duplicate_does_not_open_a_revision(index, make_header, make_file, at):
    index.register(make_header(), make_file(), "SCANNER", at(0))
    index.move("1.2.3", 1, StudyState.QUEUED)
    index.register(make_header(), make_file(), "SCANNER", at(60))
    study = index.study("1.2.3")
    assert (study.revision, study.state) == (1, StudyState.QUEUED)


def test_work_on_an_outdated_revision_cannot_move_the_study(index, make_header, make_file, at):
    index.register(make_header(1), make_file(), "SCANNER", at(0))
    index.move("1.2.3", 1, StudyState.QUEUED)
    index.register(make_header(2), make_file(), "SCANNER", at(1))
    assert index.move("1.2.3", 1, StudyState.COMPLETED) is False
    assert index.study("1.2.3").state is StudyState.RECEIVING


def test_why_a_study_waits_is_kept_until_it_moves_on(index, make_header, make_file, at):
    index.register(make_header(1), make_file(), "SCANNER", at(0))
    index.explain("1.2.3", 1, "waits for PVP")
    assert index.study("1.2.3").reason == "waits for PVP"
    index.move("1.2.3", 1, StudyState.QUEUED)
    index.explain("1.2.3", 1, "waits for DWI")
    assert index.study("1.2.3").reason == ""


def _bring_to(index, state):
    ways = {
        StudyState.RECEIVING: [],
        StudyState.QUEUED: [StudyState.QUEUED],
        StudyState.COMPLETED: [StudyState.QUEUED, StudyState.COMPLETED],
        StudyState.REFUSED: [StudyState.REFUSED],
        StudyState.FAILED: [StudyState.FAILED],
        StudyState.CANCELLED: [StudyState.QUEUED, StudyState.CANCELLED],
    }
    for step in ways[state]:
        index.move("1.2.3", 1, step)


@pytest.mark.parametrize("to", StudyState)
@pytest.mark.parametrize("state", StudyState)
def test_moves_follow_the_table_and_repeat_harmlessly(tmp_path, make_header, make_file, at, state, to):
    index = Index(open_engine(f"sqlite:///{tmp_path / 'index.sqlite'}"))
    index.register(make_header(), make_file(), "SCANNER", at(0))
    _bring_to(index, state)
    if to in STUDY_TRANSITIONS[state] or to is state:
        assert index.move("1.2.3", 1, to, "why") is True
        assert index.study("1.2.3").state is to
    elif state is StudyState.CANCELLED and to in STUDY_TRANSITIONS[StudyState.QUEUED]:
        assert index.move("1.2.3", 1, to) is False  # an analysis that was in a step comes to its end
        assert index.study("1.2.3").state is state
    else:
        with pytest.raises(TransitionError, match=f"is {state}: it cannot become {to}"):
            index.move("1.2.3", 1, to)
        assert index.study("1.2.3").state is state


def test_a_study_or_revision_that_does_not_exist_cannot_be_moved(index, make_header, make_file, at):
    with pytest.raises(TransitionError, match=r"study 1\.9 has no revision 1"):
        index.move("1.9", 1, StudyState.QUEUED)
    index.register(make_header(), make_file(), "SCANNER", at(0))
    with pytest.raises(TransitionError, match="no revision 2"):
        index.move("1.2.3", 2, StudyState.QUEUED)


def test_studies_are_listed_by_state_the_longest_resting_first(index, make_header, make_file, at):
    for second, study in enumerate(["1.30", "1.10", "1.20"]):
        index.register(make_header(study=study), make_file(), "SCANNER", at(second))
    index.move("1.10", 1, StudyState.QUEUED)
    assert [s.study_instance_uid for s in index.studies(StudyState.RECEIVING)] == ["1.30", "1.20"]
    assert [s.study_instance_uid for s in index.studies()] == ["1.30", "1.10", "1.20"]
    assert len(index.studies(StudyState.RECEIVING, StudyState.QUEUED)) == 3


def test_an_association_is_open_for_the_studies_that_it_was_registered_with(index, make_header, make_file, at):
    index.register(make_header(1), make_file(), "SCANNER", at(0), OpenAssociation("a", at(15)))
    index.register(make_header(2), make_file(), "SCANNER", at(1), OpenAssociation("b", at(16)))
    index.register(make_header(1, study="1.2.4"), make_file(), "SCANNER", at(2), OpenAssociation("b", at(17)))
    index.register(make_header(1, study="1.2.5"), make_file(), "SCANNER", at(2))
    assert [index.open_associations(at(3))[study] for study in ("1.2.3", "1.2.4", "1.2.5")] == [2, 1, 0]
    index.end_associations(["b"])
    assert [index.open_associations(at(3))[study] for study in ("1.2.3", "1.2.4")] == [1, 0]


def test_a_lease_ends_by_itself_unless_it_is_renewed(index, make_header, make_file, at):
    for identifier in ("a", "b"):
        index.register(make_header(), make_file(), "SCANNER", at(0), OpenAssociation(identifier, at(15)))
    index.renew_associations(["b"], at(30))
    assert [index.open_associations(at(second))["1.2.3"] for second in (15, 16, 30, 31)] == [2, 1, 1, 0]
    index.discard_expired_associations(at(20))
    assert index.open_associations(at(0))["1.2.3"] == 1


def test_verdicts_are_kept_a_revision_and_replaced(index, make_header, make_file, at):
    index.register(make_header(), make_file(), "SCANNER", at(0))
    assert index.verdict("1.2.3") is None
    index.keep_verdict("1.2.3", 1, "first")
    index.keep_verdict("1.2.3", 1, "first again")
    index.keep_verdict("1.2.3", 2, "second")
    assert index.verdict("1.2.3") == "second"
    assert index.verdict("1.2.3", 1) == "first again"
    assert index.verdict("1.2.3", 3) is None


def test_a_verdict_needs_its_study(index):
    with pytest.raises(StorageError):
        index.keep_verdict("1.2.3", 1, "of nothing")


def test_quarantine_keeps_the_reason_once_for_the_same_bytes(index, engine, at):
    file = StoredFile(Path("quarantine", "ab.dcm"), "ab", 10)
    index.keep_quarantine(file, "cut short", "SCANNER", at(0))
    index.keep_quarantine(file, "cut short", "SCANNER", at(5))
    with engine.connect() as connection:
        (record,) = Overview(connection).quarantined(limit=2)
    assert (record.file, record.reason, record.calling_ae) == (file, "cut short", "SCANNER")
    assert record.received_at == at(5)


def test_concurrent_associations_of_one_study_lose_and_double_nothing(url, make_header, make_file, at):
    """Four writers with a database connection each; every second instance comes from two of them at once."""
    indexes = [Index(open_engine(url)) for _ in range(4)]

    def send(writer: int) -> list[Registration]:
        numbers = range(0, 40) if writer % 2 else range(20, 60)
        return [
            indexes[writer].register(make_header(number, number % 5), make_file(), f"SCANNER{writer}", at(number))
            for number in numbers
        ]

    with ThreadPoolExecutor(4) as pool:
        registrations = [r for found in pool.map(send, range(4)) for r in found]
    assert registrations.count(Registration.NEW) == 60
    assert registrations.count(Registration.DUPLICATE) == 100
    study = indexes[0].study("1.2.3")
    assert (study.instance_count, study.series_count) == (60, 5)
    assert len(indexes[0].instances("1.2.3")) == 60


def test_concurrent_revisions_get_numbers_of_their_own(url, make_header, make_file, at):
    indexes = [Index(open_engine(url)) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: indexes[n].register(make_header(), make_file("abcd"[n]), "SCANNER", at(n)), range(4)))
    (latest,) = indexes[0].instances("1.2.3")
    assert latest.revision == 4


def test_one_of_two_claims_at_the_same_time_is_enough(url, make_header, make_file, at):
    first, second = Index(open_engine(url)), Index(open_engine(url))
    first.register(make_header(), make_file(), "SCANNER", at(0))
    with ThreadPoolExecutor(2) as pool:
        moved = list(pool.map(lambda i: i.move("1.2.3", 1, StudyState.QUEUED), [first, second]))
    assert moved == [True, True]
    assert first.study("1.2.3").state is StudyState.QUEUED


def test_processes_may_open_an_empty_database_at_the_same_time(empty_url):
    with ThreadPoolExecutor(4) as pool:
        engines = list(pool.map(lambda _: open_engine(empty_url), range(4)))
    assert all(Index(engine).studies() == () for engine in engines)


def test_the_lookups_of_registration_go_through_indexes(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path / 'index.sqlite'}")
    queries = [
        f"SELECT revision FROM {OBJECT} AND sop_instance_uid='2' AND origin='RECEIVED' ORDER BY revision DESC",
        f"SELECT 1 FROM {OBJECT} AND series_instance_uid='2'",
        "SELECT 1 FROM dicom_object WHERE sop_instance_uid='2'",
        "SELECT * FROM study WHERE state='RECEIVING'",
        "SELECT 1 FROM delivery WHERE destination='x' AND state='QUEUED' AND next_attempt_at<'2026'",
    ]
    with engine.connect() as connection:
        for query in queries:
            plan = " ".join(row.detail for row in connection.execute(text(f"EXPLAIN QUERY PLAN {query}")))
            assert re.search("USING .*INDEX", plan), plan
            assert "TEMP B-TREE" not in plan, plan


def test_whether_a_series_is_one_of_results_is_not_asked_of_each_received_instance(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path / 'index.sqlite'}")
    query = select(dicom_object.c.identifier).where(dicom_object.c.series_instance_uid == "1", NOT_RECEIVED)
    with engine.connect() as connection:
        compiled = query.compile(engine, compile_kwargs={"literal_binds": True})
        plan = " ".join(row.detail for row in connection.execute(text(f"EXPLAIN QUERY PLAN {compiled}")))
    assert "result_object_by_series" in plan


def test_sqlite_is_opened_so_that_a_commit_survives_a_power_cut(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path / 'new folder' / 'index.sqlite'}")
    with engine.connect() as connection:
        pragma = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragma == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


@pytest.mark.parametrize("ended", sorted(ENDED_STATES))
def test_a_study_that_has_ended_can_be_run_again_as_its_next_revision(index, make_header, make_file, at, ended):
    index.register(make_header(), make_file(), "SCANNER", at(0))
    index.move("1.2.3", 1, StudyState.QUEUED)
    index.move("1.2.3", 1, ended, "because")
    assert reopen(index._engine, "1.2.3") == 2
    study = index.study("1.2.3")
    assert (study.revision, study.state, study.reason, study.changed) == (2, StudyState.RECEIVING, "", False)
    assert study.last_received_at == at(0)


def test_a_study_under_way_is_not_run_again(index, make_header, make_file, at):
    index.register(make_header(), make_file(), "SCANNER", at(0))
    with pytest.raises(TransitionError, match="RECEIVING: only a study that has ended"):
        reopen(index._engine, "1.2.3")
    with pytest.raises(TransitionError, match="not known"):
        reopen(index._engine, "9.9")
