"""Pages of studies: open work first, whatever is asked for, and counts of everything."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, event, insert

from storage import schema
from storage.overview import DeliveryCount, Overview, StudyQuery
from storage.records import UNSETTLED_DELIVERIES, DeliveryState, StudyState

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
UNSETTLED, SETTLED = DeliveryState.FAILED, next(s for s in DeliveryState if s not in UNSETTLED_DELIVERIES)


@pytest.fixture
def overview(engine: Engine) -> Iterator[Overview]:
    """Five studies, the newest first: done, undelivered, failed, receiving, queued; two results each but two."""
    studies = (
        ("done", "COMPLETED", "", SETTLED),
        ("undelivered", "REFUSED", "E-NO-MR: no MR images", UNSETTLED),
        ("failed", "FAILED", "the disk was full", None),
        ("receiving", "RECEIVING", "waits for PVP", None),
        ("queued", "QUEUED", "", None),
    )
    with engine.begin() as connection:
        for age, (uid, state, reason, delivered) in enumerate(studies):
            received = NOW - timedelta(hours=age)
            connection.execute(
                insert(schema.study).values(
                    study_instance_uid=uid,
                    revision=2,
                    state=state,
                    series_count=1,
                    instance_count=1,
                    changed=False,
                    first_received_at=received,
                    last_received_at=received,
                    reason=reason,
                )
            )
            for revision in (1, 2):
                connection.execute(
                    insert(schema.verdict).values(
                        study_instance_uid=uid, revision=revision, document=f"{uid} {revision}"
                    )
                )
            for number in range(2 if delivered else 0):
                _deliver(connection, uid, 10 * age + number, delivered)
    with engine.connect() as connection:
        yield Overview(connection)


def _deliver(connection, uid, identifier, state) -> None:
    """A result of a study at the archive."""
    instance = f"{uid}.{identifier}"
    connection.execute(
        insert(schema.dicom_object).values(
            identifier=identifier,
            origin="MADE",
            study_instance_uid=uid,
            series_instance_uid="1",
            sop_class_uid="1",
            sop_instance_uid=instance,
            transfer_syntax_uid="1",
            revision=1,
            path=instance,
            digest="",
            size=1,
            calling_ae="",
        )
    )
    connection.execute(
        insert(schema.result).values(
            identifier=identifier, study_instance_uid=uid, revision=2, role="report", object=identifier
        )
    )
    connection.execute(
        insert(schema.delivery).values(
            result=identifier,
            sop_instance_uid=instance,
            destination="archive",
            state=state,
            attempts=1,
            next_attempt_at=NOW,
            reason="No answer within 30 s" if state in UNSETTLED_DELIVERIES else "",
        )
    )


def uids(overview: Overview, query: StudyQuery, *running: str) -> list[str]:
    return [study.study_instance_uid for study in overview.page(query, running)]


def test_open_work_comes_first(overview: Overview) -> None:
    assert uids(overview, StudyQuery()) == ["queued", "receiving", "failed", "undelivered", "done"]
    assert uids(overview, StudyQuery(), "done")[0] == "done"


def test_pages_follow_one_another(overview: Overview) -> None:
    pages = [uids(overview, StudyQuery(limit=2, offset=offset)) for offset in (0, 2, 4, 6)]
    assert pages == [["queued", "receiving"], ["failed", "undelivered"], ["done"], []]
    assert overview.matching(StudyQuery(limit=2, offset=4)) == 5


def test_studies_are_found_by_each_filter_and_by_all_together(overview: Overview) -> None:
    asked = {
        StudyQuery(study_instance_uid="failed"): ["failed"],
        StudyQuery(states=frozenset({StudyState.FAILED, StudyState.QUEUED})): ["queued", "failed"],
        StudyQuery(since=NOW - timedelta(hours=1)): ["undelivered", "done"],
        StudyQuery(destination="archive"): ["undelivered", "done"],
        StudyQuery(destination="elsewhere"): [],
        StudyQuery(text="DISK"): ["failed"],
        StudyQuery(text="no answer"): ["undelivered"],
        StudyQuery(text="%"): [],
        StudyQuery(text="no", destination="archive", since=NOW - timedelta(hours=1)): ["undelivered"],
    }
    assert {query: uids(overview, query) for query in asked} == asked
    assert {query: overview.matching(query) for query in asked} == {query: len(found) for query, found in asked.items()}


def test_every_state_is_counted(overview: Overview) -> None:
    counts = overview.studies()
    assert set(counts) == set(StudyState)
    assert (counts[StudyState.COMPLETED], counts[StudyState.REFUSED], sum(counts.values())) == (1, 1, 5)
    assert overview.undelivered() == 1
    assert overview.unsettled_deliveries() == {"archive": {UNSETTLED: 2}}


def test_what_belongs_to_a_page_is_asked_for_in_one_statement_each(overview: Overview, engine: Engine) -> None:
    asked: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
    page = ("done", "undelivered", "failed")
    assert overview.deliveries(page) == (
        DeliveryCount("done", "archive", SETTLED, 2),
        DeliveryCount("undelivered", "archive", UNSETTLED, 2),
    )
    assert overview.reasons(page) == (("undelivered", "archive", "No answer within 30 s"),)
    assert overview.verdicts(page) == {uid: f"{uid} 2" for uid in page}
    assert len([statement for statement in asked if statement.startswith("SELECT")]) == 3
