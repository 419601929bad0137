"""What rules of retention remove, and what keeps a study from them."""

from __future__ import annotations

import shutil
import sqlite3
from datetime import timedelta
from pathlib import Path
from threading import Thread
from time import sleep

import pytest
from pydicom.uid import CTImageStorage, EnhancedSRStorage, SegmentationStorage
from sqlalchemy import event, func, select

from node.maintenance.retention import Retention
from node.maintenance.service import MaintenanceService
from node.settings import RemoteSettings, RetentionSettings, Settings
from storage import associations, database, delivery_rows, holds, removal_records
from storage.alerts import Alerts
from storage.catalogue.attributes import Level
from storage.catalogue.filling import catch_up
from storage.catalogue.query import find
from storage.commitment_requests import CommitmentRequests
from storage.errors import TransitionError
from storage.header import read_header
from storage.records import DeliveryState, OpenAssociation, Reference, Registration, Revocation, StudyState
from storage.removal import OF_A_STUDY, Order, begin
from storage.removal_records import Scope
from storage.reruns import reopen
from storage.retention import Kept
from storage.retrievals import Retrievals
from storage.schema import dicom_object, metadata

from ...parts.processes import wait_for
from ..conftest import MovedClock
from ..old_studies import LONG_AGO, OldStudies, a_file, after

OLD = {"name": "old", "older_than_days": 30}


@pytest.fixture
def root(tmp_path: Path) -> OldStudies:
    return OldStudies(tmp_path)


def retention(root: OldStudies, *rules: dict, days: float = 100, commitment: bool = False, **settings) -> Retention:
    pacs = RemoteSettings(name="PACS", ae_title="PACS", host="h", port=1, receives_results=True, commitment=commitment)
    said = RetentionSettings(enabled=True, rules=rules or (OLD,), **settings)
    return Retention(Settings(root=root.root, remotes=(pacs,), retention=said), root.engine, root.files, after(days))


def removed(looked) -> list[str]:
    return [it.study_instance_uid for it in looked]


def kept(root: OldStudies, **settings) -> list[Kept]:
    looking = retention(root, **settings)
    assert looking.look() == ()
    return [reason for found in looking.found() for reason in found.candidate.kept]


# --- what goes


def test_a_study_goes_when_it_is_as_old_as_the_rule_says(root):
    root.ended("1.2.3")
    root.ended("1.2.4", LONG_AGO + timedelta(days=80))
    assert removed(retention(root).look()) == ["1.2.3"]
    assert root.index.study("1.2.4") is not None


def test_nothing_is_left_of_it_in_files_and_rows_but_what_says_that_it_went(root):
    root.ended("1.2.3")
    size = sum(path.stat().st_size for path in (root.root / "objects").rglob("*.dcm"))
    (done,) = retention(root).look()
    assert (done.rule, done.objects, done.size) == ("old", 4, size)
    assert not (root.root / "objects" / "1.2.3").exists()
    assert not (root.root / "work" / "1.2.3").exists()
    with root.engine.connect() as connection:
        rows = {
            table.name: connection.scalar(select(func.count()).select_from(table)) for table in metadata.sorted_tables
        }
        (record,) = removal_records.latest(connection, 10)
    assert {name for name, count in rows.items() if count} == {
        "removal",
        "upkeep",
        "audit_event",
    }  # the second: when the clock was seen
    assert record.ended_at is not None


def test_queries_do_not_offer_it_any_more(root):
    root.ended("1.2.3", PatientID="P1")
    root.ended("1.2.4", LONG_AGO + timedelta(days=80), PatientID="P1")

    def offered() -> list[str]:
        with root.engine.connect() as connection:
            found = find(connection, Level.STUDY, {"PatientID": "P1"}, 10)
        return [entity.elements["0020000D"]["Value"][0] for entity in found]

    assert sorted(offered()) == ["1.2.3", "1.2.4"]
    retention(root).look()
    assert offered() == ["1.2.4"]


def test_what_comes_again_is_new_and_its_revision_is_one_that_the_queue_does_not_know(root):
    root.ended("1.2.3")
    retention(root).look()
    assert root.store(a_file(1, study="1.2.3")) is Registration.NEW
    again = root.index.study("1.2.3")
    assert (again.state, again.revision, again.instance_count) == (StudyState.RECEIVING, 2, 1)
    assert [path.exists() for path in (root.files.absolute(it.file) for it in root.index.instances("1.2.3"))] == [True]


def test_images_go_alone_and_results_stay_where_the_rule_says_so(root):
    root.ended("1.2.3")
    (done,) = retention(root, {**OLD, "remove": "images"}).look()
    assert done.objects == 3
    (result,) = root.ledger.all_results("1.2.3")
    assert root.files.absolute(result.file).exists()
    assert root.index.verdict("1.2.3") is not None
    assert [it.state for it in root.deliveries.records("1.2.3")] == [DeliveryState.STORED]
    assert not list((root.root / "objects" / "1.2.3" / "1.2.3.1").glob("*"))


def test_images_that_are_gone_are_not_removed_again(root):
    root.ended("1.2.3")
    looking = retention(root, {**OLD, "remove": "images"})
    assert removed(looking.look()) == ["1.2.3"]
    assert removed(looking.look()) == []


def test_a_rule_is_for_the_patients_that_it_names_and_not_for_those_that_it_excepts(root):
    for number, patient in enumerate(("TRIAL-1", "TRIAL-22", "7", "")):
        root.ended(f"1.2.{number}", PatientID=patient)
    named = {**OLD, "patient_id": "TRIAL-.*", "except_patient_id": "TRIAL-2[0-9]"}
    assert removed(retention(root, named).look()) == ["1.2.0"]
    assert removed(retention(root, {**OLD, "except_patient_id": "TRIAL-.*"}).look()) == ["1.2.2"]


def test_a_rule_is_for_studies_that_ended_in_the_states_that_it_names(root):
    root.ended("1.2.3", state=StudyState.FAILED)
    assert removed(retention(root).look()) == []
    assert removed(retention(root, {**OLD, "states": ["FAILED"]}).look()) == ["1.2.3"]


@pytest.mark.parametrize("state", ["RECEIVING", "QUEUED"])
def test_no_rule_can_name_a_state_that_is_no_end(state):
    with pytest.raises(ValueError, match="only what has ended is removed"):
        RetentionSettings(rules=[{**OLD, "states": [state]}])


def test_space_is_made_from_the_oldest_on_until_there_is_enough(root, monkeypatch):
    for number in range(4):
        root.ended(f"1.2.{number}", LONG_AGO + timedelta(days=number))
    # A disk of which each study takes 1 GB.
    monkeypatch.setattr(root.files, "free_bytes", lambda: 1e9 * (7 - len(list((root.root / "objects").iterdir()))))
    space = {"name": "space", "older_than_days": 0, "free_below_gb": 4, "free_again_gb": 5}
    looking = retention(root, space)
    assert removed(looking.look()) == ["1.2.0", "1.2.1"]
    assert removed(looking.look()) == []


def test_space_must_be_made_before_the_listener_refuses():
    with pytest.raises(ValueError, match=r"more than listener.minimum_free_gb \(2\)"):
        Settings(retention={"rules": [{"name": "space", "older_than_days": 0, "free_below_gb": 2, "free_again_gb": 3}]})


def test_one_look_removes_so_many_and_the_next_the_rest(root):
    for number in range(3):
        root.ended(f"1.2.{number}")
    looking = retention(root, most_at_once=2)
    assert [len(looking.look()) for _ in range(3)] == [2, 1, 0]


def test_nothing_is_removed_unless_it_is_enabled(root):
    root.ended("1.2.3")
    looking = Retention(Settings(root=root.root, retention={"rules": [OLD]}), root.engine, root.files, after(100))
    assert looking.look() == ()
    assert [it.candidate.study_instance_uid for it in looking.found()] == ["1.2.3"]


def test_a_clock_that_goes_forward_by_years_removes_nothing(root, clock):
    root.ended("1.2.3", clock())
    settings = Settings(root=root.root, retention=RetentionSettings(enabled=True, rules=[OLD]))
    looking = Retention(settings, root.engine, root.files, clock)
    assert looking.look() == ()
    clock.move(10 * 365 * 86400)
    assert looking.look() == ()


@pytest.mark.parametrize("jump", [timedelta(days=1), timedelta(days=9000)])
def test_a_clock_that_is_ahead_after_a_restart_removes_nothing_early(root, clock, jump):
    root.ended("1.2.3", clock())
    assert run_for(root, clock, days=0.5) == []
    clock.move(jump.total_seconds())
    assert run_for(root, clock, days=1.4) == []
    assert run_for(root, clock, days=0.3) == ["1.2.3"]


@pytest.mark.parametrize("jump", [timedelta(days=1), timedelta(days=9000)])
def test_what_came_while_the_clock_was_behind_is_not_removed_early_when_it_is_right_after_a_restart(root, clock, jump):
    """As after a start without a battery, where the time server answers at the next start only."""
    root.ended("1.2.2", clock())
    run_for(root, clock, days=0.5)
    clock.move(-jump.total_seconds())
    run_for(root, clock, days=0.2)
    clock.move(59)  # between two looks at the clock
    root.ended("1.2.3", clock())
    clock.move(jump.total_seconds())
    assert run_for(root, clock, days=1.9) == ["1.2.2"]
    assert run_for(root, clock, days=0.3) == ["1.2.3"]


def run_for(root: OldStudies, clock: MovedClock, days: float) -> list[str]:
    """A process that runs for so long, and what a rule of two days has removed."""
    rule = {**OLD, "older_than_days": 2}
    settings = Settings(root=root.root, retention=RetentionSettings(enabled=True, rules=[rule]))
    looking, gone = Retention(settings, root.engine, root.files, clock), []
    for _ in range(round(days * 30)):
        gone += removed(looking.look())
        clock.move(86400 / 30)
    return gone


def test_what_came_while_the_clock_was_behind_is_as_old_as_it_is_once_the_clock_is_right(root):
    """As after a start without a battery, before the time server answers."""
    root.ended("1.2.3", LONG_AGO + timedelta(days=90))
    behind = LONG_AGO - timedelta(days=2000)
    root.ended("1.2.4", behind + timedelta(hours=1))
    moved = after(100)() - (behind + timedelta(hours=2))
    root.index.follow_clock(moved, after(100)(), behind)
    assert retention(root).look() == ()
    received = {it.study_instance_uid: it.last_received_at for it in root.index.studies()}
    assert received == {"1.2.3": LONG_AGO + timedelta(days=90), "1.2.4": after(100)() - timedelta(hours=1)}
    assert sorted(removed(retention(root, {**OLD, "older_than_days": 0.01}).look())) == ["1.2.3", "1.2.4"]


def test_what_had_ended_is_as_old_as_it_was_after_the_clock_went_wrong_and_was_set_right(root):
    root.ended("1.2.3")
    years, start = timedelta(days=3650), LONG_AGO - timedelta(hours=1)
    root.index.follow_clock(years, after(1)() + years, start)
    assert root.index.study("1.2.3").last_received_at == LONG_AGO + years
    root.index.follow_clock(-years, after(2)(), start + years)
    assert root.index.study("1.2.3").last_received_at == LONG_AGO


def test_a_running_node_removes_by_itself(root, maintain):
    root.ended("1.2.3")
    maintain(retention=RetentionSettings(enabled=True, rules=[OLD]))
    wait_for(lambda: root.index.study("1.2.3") is None, "the removal", 10, 0.01)


def test_a_file_that_cannot_be_removed_keeps_nothing_else_from_its_removal(root):
    for study in ("1.2.3", "1.2.4"):
        root.ended(study)
        with database.writing(root.engine).begin() as connection:
            begin(connection, study, Scope.STUDY, Order("old"), LONG_AGO)
    refused = root.files_of("1.2.3")[0]
    refused.unlink()
    (refused / "in the way").mkdir(parents=True)
    root.ended("1.2.5")
    looking = retention(root)
    with pytest.raises(OSError, match=refused.name):
        looking.look()
    assert root.index.study("1.2.5") is None
    assert root.files_of("1.2.4") == []
    assert [it.code for it in Alerts(root.engine).open()] == ["E-REMOVAL-UNFINISHED"]
    (refused / "in the way").rmdir()
    refused.rmdir()
    assert looking.look() == ()
    assert Alerts(root.engine).open() == ()


def test_a_stop_ends_a_look_after_the_study_that_it_removes(root):
    for number in range(3):
        root.ended(f"1.2.{number}")
    looking = retention(root)

    def stop(_connection, _cursor, statement, *_rest) -> None:
        if statement.startswith("INSERT INTO removal "):
            looking.stop()

    event.listen(root.engine, "after_cursor_execute", stop)
    assert removed(looking.look()) == ["1.2.0"]
    with database.writing(root.engine).begin() as connection:
        begin(connection, "1.2.1", Scope.STUDY, Order("old"), LONG_AGO)
    assert looking.look() == ()
    assert len(root.files_of("1.2.1")) == 5


def test_a_node_that_stops_does_not_wait_for_all_that_a_look_would_remove(root):
    for number in range(3):
        root.ended(f"1.2.{number}")
    rules = RetentionSettings(enabled=True, rules=[OLD])
    service = MaintenanceService(Settings(root=root.root, retention=rules), root.files, root.index)
    stopping = Thread(target=service.stop)

    def stop(_connection, _cursor, statement, *_rest) -> None:
        if statement.startswith("INSERT INTO removal ") and stopping.ident is None:
            stopping.start()
            sleep(0.2)  # the removal takes its time

    event.listen(root.engine, "after_cursor_execute", stop)
    service.start()
    wait_for(lambda: stopping.ident is not None, "the first removal", 10, 0.01)
    stopping.join(10)
    assert len(root.index.studies()) == 2


# --- what stays


def test_a_study_on_hold_stays_until_it_is_released(root):
    root.ended("1.2.3")
    with database.writing(root.engine).begin() as connection:
        holds.place(connection, "1.2.3", "inquiry", "Dr. A", LONG_AGO)
    assert kept(root) == [Kept.HELD]
    with database.writing(root.engine).begin() as connection:
        holds.release(connection, "1.2.3", "closed", "Dr. A", LONG_AGO)
    assert removed(retention(root).look()) == ["1.2.3"]


@pytest.mark.parametrize("state", ["QUEUED", "CLAIMED", "FAILED", "UNKNOWN"])
def test_what_is_not_delivered_stays(root, state):
    root.ended("1.2.3", sent=False)
    with root.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE delivery SET state = '{state}'")
    assert kept(root) == [Kept.SENDING if state == "CLAIMED" else Kept.NOT_DELIVERED]


def test_what_one_of_two_destinations_lacks_stays(root):
    root.ended("1.2.3", to=("PACS", "ARCHIVE"), sent=False)
    of_pacs = [it.identifier for it in root.deliveries.records() if it.destination == "PACS"]
    root.deliveries.stored(dict.fromkeys(of_pacs, ""), LONG_AGO)
    assert kept(root) == [Kept.NOT_DELIVERED]


def test_what_a_destination_has_not_committed_stays_where_it_is_asked_to(root):
    root.ended("1.2.3", commit_at=LONG_AGO)
    assert kept(root, commitment=True) == [Kept.NOT_COMMITTED]
    assert removed(retention(root, commitment=False).look()) == ["1.2.3"]


def test_results_that_a_person_has_to_take_back_stay_known(root):
    root.ended("1.2.3")
    (result,) = root.ledger.all_results("1.2.3")
    with database.writing(root.engine).begin() as connection:
        delivery_rows.revoke(connection, "1.2.3", Revocation(frozenset({result.sop_instance_uid}), "of another"))
    assert kept(root) == [Kept.TO_BE_WITHDRAWN]


def test_results_that_no_destination_was_for_stay_where_there_are_destinations(root):
    root.ended("1.2.3", to=())
    assert kept(root) == [Kept.SENT_NOWHERE]
    none = Settings(root=root.root, retention=RetentionSettings(enabled=True, rules=[OLD]))
    assert removed(Retention(none, root.engine, root.files, after(100)).look()) == ["1.2.3"]


def test_what_is_being_received_stays_although_it_rested(root):
    root.received("1.2.3")
    root.ended("1.2.4")
    with database.writing(root.engine).begin() as connection:
        associations.note(connection, OpenAssociation("a", after(101)()), "1.2.4")
    assert kept(root) == [Kept.RECEIVING]
    assert root.index.study("1.2.3") is not None


@pytest.mark.parametrize("sop_class", [CTImageStorage, EnhancedSRStorage, SegmentationStorage])
def test_what_got_anything_since_stays_also_where_that_makes_no_revision(root, sop_class):
    root.ended("1.2.3")
    assert root.store(a_file(9, 8, "1.2.3", sop_class), LONG_AGO + timedelta(days=99)) is Registration.NEW
    while catch_up(root.engine, root.files):
        pass
    assert root.index.study("1.2.3").last_received_at == LONG_AGO
    assert kept(root) == []
    assert removed(retention(root, {**OLD, "older_than_days": 1}).look()) == ["1.2.3"]


def test_what_an_open_association_stored_into_stays_whatever_that_was(root):
    root.ended("1.2.3")
    data = a_file(9, 8, "1.2.3", CTImageStorage)
    header, until = read_header(data), after(101)()
    root.index.register(header, root.files.store(data, header), "CT", LONG_AGO, OpenAssociation("a", until))
    while catch_up(root.engine, root.files):
        pass
    assert kept(root) == [Kept.RECEIVING]


@pytest.mark.parametrize("change", ["arrival", "state"])
def test_a_rule_is_looked_at_again_in_the_transaction_that_removes(root, change):
    """As for a study that was found, and then another one was removed first, which took its time."""
    root.ended("1.2.3")
    root.ended("1.2.4", LONG_AGO + timedelta(days=1))

    def changes(connection, _cursor, statement, *_rest) -> None:
        if statement.startswith("INSERT INTO removal "):
            said = "last_received_at = '2026-04-01'" if change == "arrival" else "state = 'CANCELLED'"
            connection.exec_driver_sql(f"UPDATE study SET {said} WHERE study_instance_uid = '1.2.4'")

    event.listen(root.engine, "after_cursor_execute", changes)
    assert removed(retention(root).look()) == ["1.2.3"]
    assert root.index.study("1.2.4") is not None


def test_what_is_being_retrieved_stays(root):
    root.ended("1.2.3")
    Retrievals(root.engine).want("PACS", {"1.2.3": 9}, LONG_AGO, anew=False)
    assert kept(root) == [Kept.RETRIEVED]


def test_what_is_not_in_the_catalogue_yet_stays(root):
    root.ended("1.2.3")
    with root.engine.begin() as connection:
        connection.execute(dicom_object.update().values(catalogued=False))
    assert kept(root) == [Kept.NOT_CATALOGUED]


def test_what_is_being_served_or_stored_stays(root):
    root.ended("1.2.3")
    with root.files.locks.using(["1.2.3"]):
        assert removed(retention(root).look()) == []
    assert removed(retention(root).look()) == ["1.2.3"]


def test_what_others_asked_this_node_to_commit_stays_unless_promises_do_not_hold(root):
    root.ended("1.2.3")
    references = [Reference("1.2.840.10008.5.1.4.1.1.4", "1.2.3.1.2")]
    CommitmentRequests(root.engine).keep("9.9", "SCANNER", "NODE", references, LONG_AGO, LONG_AGO)
    assert kept(root) == [Kept.COMMITTED_TO]
    assert removed(retention(root, promises_hold=False).look()) == ["1.2.3"]


def test_what_the_queue_still_runs_stays(root, empty_queue):
    root.ended("1.2.3", state=StudyState.CANCELLED)
    shutil.copy(empty_queue, root.root / "worklist.sqlite")
    with sqlite3.connect(root.root / "worklist.sqlite") as connection:
        connection.execute(
            "INSERT INTO workflow_status (workflow_uuid, status, name, created_at, updated_at)"
            " VALUES ('1.2.3:1', 'PENDING', 'analyse-study', 1, 1)"
        )
    rule = {**OLD, "states": ["CANCELLED"]}
    assert removed(retention(root, rule).look()) == []


def test_a_study_that_cannot_go_does_not_stand_before_the_others(root):
    root.ended("1.2.1", sent=False)
    root.ended("1.2.2", LONG_AGO + timedelta(days=1))
    assert removed(retention(root, most_at_once=1).look()) == ["1.2.2"]


def test_the_next_revision_of_a_study_whose_images_are_gone_is_not_begun_by_a_person(root):
    root.ended("1.2.3")
    retention(root, {**OLD, "remove": "images"}).look()
    with pytest.raises(TransitionError, match="its images were removed by 'old'"):
        reopen(root.engine, "1.2.3")


def test_of_every_table_that_names_studies_it_is_said_what_becomes_of_its_rows():
    """A table that comes later is emptied with the study, stays until a patient is erased, or forgets the study."""
    naming = {table.name for table in metadata.sorted_tables if "study_instance_uid" in table.columns}
    with_objects = {"study", "dicom_object", "catalogue_study"}
    stay = {"removal", "hold", "retrieval", "rejection", "answer_check", "audit_event"}
    forget = {"scanned_study"}
    assert naming == with_objects | stay | forget | {table.name for table in OF_A_STUDY}


def test_a_row_that_is_removed_is_found_by_indexes_alone(root):
    """At 20,000 studies a look at every row for each object that goes would take minutes."""
    root.ended("1.2.3")
    plans: list[str] = []

    def explain(connection, _cursor, statement, values, *_rest) -> None:
        if statement.startswith(("SELECT", "DELETE", "UPDATE")):
            raw = connection.connection.dbapi_connection
            plans.extend(row[-1] for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}", values))

    event.listen(root.engine, "before_cursor_execute", explain)
    retention(root).look()
    event.remove(root.engine, "before_cursor_execute", explain)
    tables = {table.name for table in metadata.sorted_tables}
    assert [plan for plan in plans if plan.startswith("SCAN") and plan.split()[1] in tables] == []
