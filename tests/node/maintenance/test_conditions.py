"""What waits for a person in the storage is an alert for as long as it waits there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from node.codes import Alert
from node.maintenance.conditions import MOST_STUDIES, Conditions
from node.settings import RemoteSettings, Settings
from storage import database, quarantine_entries
from storage.catalogue.filling import catch_up
from storage.deliveries import Deliveries
from storage.files import ObjectStore
from storage.index import Index
from storage.ledger import Ledger
from storage.records import (
    DeliveryState,
    InstanceHeader,
    QuarantineState,
    ResultRecord,
    Revocation,
    StoredFile,
    StudyState,
)
from storage.retrievals import Attempt, Retrievals
from storage.schema import delivery

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MR, EXPLICIT = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.2.1"


@pytest.fixture
def conditions(engine, alerts, tmp_path) -> Conditions:
    pacs = RemoteSettings(
        name="pacs", ae_title="P", host="h", port=104, receives_results=True, commitment=True, commitment_attempts=3
    )
    return Conditions(Settings(root=tmp_path, remotes=(pacs,)), engine, alerts)


@pytest.fixture
def told(conditions, alerts):
    """What is open after a look: code, subject, how often."""

    def look() -> list[tuple[str, str, int]]:
        conditions.look()
        return sorted((it.code, it.subject, it.times) for it in alerts.open())

    return look


def a_study(engine, uid: str = "1.2.3") -> None:
    header = InstanceHeader(MR, f"{uid}.8.1", uid, f"{uid}.8", EXPLICIT)
    index = Index(engine)
    index.register(header, StoredFile(Path(uid), "a" * 64, 1), "SCANNER", NOW)
    index.move(uid, 1, StudyState.QUEUED)


def results(count: int) -> list[ResultRecord]:
    return [
        ResultRecord(
            "1.2.3", 1, "report", MR, f"1.2.3.9.{number}", "1.2.3.9", StoredFile(Path(f"r{number}"), "b" * 64, 1)
        )
        for number in range(count)
    ]


@pytest.fixture
def claimed(engine):
    """Three results that are being sent."""
    a_study(engine)
    Ledger(engine).record(results(3), ["pacs"], NOW)
    return Deliveries(engine).claim("pacs", "sender", NOW, NOW + timedelta(60), 10)


def test_nothing_is_told_of_a_node_that_is_well(told, claimed):
    assert told() == []


def test_results_that_have_failed_are_told_by_destination_with_the_latest_reason(engine, told, alerts, claimed):
    for number, each in enumerate(claimed[:2]):
        Deliveries(engine).fail(each.identifier, "sender", f"refused: 0xA90{number}")
    assert told() == [(Alert.DELIVERY_FAILED, "pacs", 1)]
    assert alerts.open()[0].text == "2 results have failed for good; the last: refused: 0xA901"


def test_what_is_as_it_was_is_not_counted_again_and_what_got_worse_is(engine, told, claimed):
    Deliveries(engine).fail(claimed[0].identifier, "sender", "refused")
    assert told() == told() == [(Alert.DELIVERY_FAILED, "pacs", 1)]
    Deliveries(engine).fail(claimed[1].identifier, "sender", "refused")
    assert told() == [(Alert.DELIVERY_FAILED, "pacs", 2)]


def test_it_ends_when_a_person_has_ordered_it_again(engine, told, alerts, claimed):
    deliveries = Deliveries(engine)
    deliveries.fail(claimed[0].identifier, "sender", "refused")
    told()
    deliveries.order([claimed[0].identifier], [DeliveryState.FAILED], NOW)
    assert told() == []
    assert alerts.all()[0].cleared_at is not None


def test_results_to_be_taken_back_are_told_until_a_person_says_that_they_are(engine, told, alerts, claimed):
    deliveries = Deliveries(engine)
    deliveries.stored({it.identifier: "" for it in claimed[:2]}, NOW)
    revoked = Revocation(frozenset({"1.2.3.9.0", "1.2.3.9.1"}), "E-PATIENT-MIX: two patients")
    Ledger(engine).conclude("1.2.3", 1, StudyState.REFUSED, "", [], [], NOW, revoked)
    assert told() == [(Alert.RESULT_WITHDRAWN, "1.2.3", 1)]
    assert alerts.open()[0].text == "2 results to be taken back: E-PATIENT-MIX: two patients"
    alerts.acknowledge(alerts.open()[0].number, "anna")
    assert told() == told() == []


def test_what_a_destination_does_not_commit_to_is_told(engine, told, claimed):
    Deliveries(engine).stored({it.identifier: "" for it in claimed}, NOW, NOW)
    assert told() == []
    with database.writing(engine).begin() as connection:
        connection.execute(update(delivery).values(commit_asked=3))
    assert told() == [(Alert.NOT_COMMITTED, "pacs", 1)]


def test_what_lies_in_quarantine_is_told_by_sender_until_it_is_worked(engine, told):
    index = Index(engine)
    for number, sender in enumerate(("CT1", "MR1", "MR1")):
        index.keep_quarantine(StoredFile(Path(f"q{number}"), "c" * 64, 1), "cut short", sender, NOW)
    assert told() == [(Alert.QUARANTINED, "CT1", 1), (Alert.QUARANTINED, "MR1", 1)]
    with database.writing(engine).begin() as connection:
        quarantine_entries.end(connection, 1, QuarantineState.DISCARDED, "sent again", NOW)
    assert told() == [(Alert.QUARANTINED, "MR1", 1)]


def test_a_study_that_could_not_be_fetched_is_told(engine, told, alerts):
    retrievals = Retrievals(engine)
    retrievals.want("archive", {"1.2.9": 6}, NOW, anew=False)
    (record,) = retrievals.records()
    retrievals.settle(record.identifier, Attempt(6, 4, "2 of 6 lack"), NOW)
    assert told() == [(Alert.NOT_RETRIEVED, "1.2.9", 1)]
    assert alerts.open()[0].text == "2 of 6 lack"


def test_a_file_that_the_catalogue_lacks_is_told(engine, told, tmp_path):
    a_study(engine)
    (tmp_path / "1.2.3").write_bytes(b"no DICOM")
    catch_up(engine, ObjectStore(tmp_path))
    assert told() == [(Alert.NOT_CATALOGUED, "", 1)]


def test_each_study_that_has_failed_is_told_and_many_are_told_as_one(engine, told, alerts):
    for number in range(MOST_STUDIES):
        a_study(engine, f"1.2.3.{number}")
        Ledger(engine).conclude(f"1.2.3.{number}", 1, StudyState.FAILED, "no memory", [], [], NOW)
    assert len(told()) == MOST_STUDIES
    assert {it.text for it in alerts.open()} == {"no memory"}
    a_study(engine, "1.2.4")
    Ledger(engine).conclude("1.2.4", 1, StudyState.FAILED, "no memory", [], [], NOW)
    assert told() == [(Alert.STUDY_FAILED, "", 1)]


def test_alerts_of_others_are_left_alone_unless_a_person_ends_them(told, alerts):
    alerts.raise_(Alert.KNOWN_ANSWER, "", "another answer")
    alerts.raise_(Alert.PROCESS_DIED, "", "SIGKILL")
    for alert in alerts.open():
        alerts.acknowledge(alert.number, "anna")
    assert told() == [(Alert.KNOWN_ANSWER, "", 1)]
