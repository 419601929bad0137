"""How SQLite finds what is asked for again and again: by an index, without a look at everything else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import Engine, event

from storage.catalogue.query import Level, find
from storage.commitments import Commitments, Patience
from storage.deliveries import Deliveries
from storage.index import Index

pytestmark = pytest.mark.parametrize("url", ["sqlite"], indirect=True)


@pytest.fixture
def plans(engine: Engine) -> Callable[[Callable[[], object]], list[str]]:
    """The steps of SQLite's plans for all that an act asks."""

    def explained(act: Callable[[], object]) -> list[str]:
        steps: list[str] = []

        def explain(connection, _cursor, statement, values, *_rest) -> None:
            if statement.startswith(("SELECT", "WITH")):
                raw = connection.connection.dbapi_connection
                steps.extend(row[-1] for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}", values))

        event.listen(engine, "before_cursor_execute", explain)
        act()
        event.remove(engine, "before_cursor_execute", explain)
        return steps

    return explained


def test_a_look_for_what_is_due_goes_by_indexes_alone(plans, deliveries: Deliveries, at):
    steps = plans(lambda: deliveries.is_due("PACS", at(0)))
    assert not [step for step in steps if step.startswith("SCAN delivery")]
    found = [step for step in steps if step.startswith("SEARCH delivery")]
    assert len(found) == 2
    assert all("destination=?" in step and "state=?" in step for step in found), found


def test_a_claim_takes_the_first_in_the_order_of_an_index_and_sorts_nothing_that_it_leaves(
    plans, deliveries: Deliveries, at
):
    steps = plans(lambda: deliveries.claim("PACS", "one", at(0), at(30), 10))
    claim = steps[: steps.index("SCAN first") + 1]
    assert "SEARCH delivery USING INDEX delivery_open (destination=?)" in claim
    assert "SEARCH delivery USING INTEGER PRIMARY KEY (rowid=?)" in claim
    assert not [step for step in claim if "TEMP B-TREE" in step]


def test_what_is_to_be_committed_is_found_by_an_index_of_its_own(plans, engine: Engine, at):
    patience = Patience(waits=(timedelta(seconds=1),), resends=())
    steps = plans(lambda: Commitments(engine).is_due("PACS", at(0), patience))
    found = [step for step in steps if "delivery" in step]
    assert len(found) == 1
    assert "INDEX delivery_uncommitted (destination=? AND commit_asked<?" in found[0]


def test_a_sweep_finds_resting_studies_by_their_state(plans, engine: Engine, at):
    index = Index(engine)
    for act in (lambda: index.resting(at(0), at(0)), lambda: index.received_next(at(0)), index.queued):
        steps = plans(act)
        assert all("study_by_state (state=?" in step for step in steps if "study" in step), steps


@pytest.mark.parametrize(
    ("level", "keys", "step"),
    [
        (Level.PATIENT, {"PatientID": "P1"}, "sqlite_autoindex_catalogue_patient_1 (patient_id=?)"),
        (Level.STUDY, {"PatientName": "muster*"}, "patient_by_name (patient_name_alphabetic>? AND"),
        (Level.STUDY, {"StudyDate": "20260101-20260131"}, "study_by_date (study_date>? AND study_date<?)"),
        (Level.STUDY, {"AccessionNumber": "A1"}, "study_by_accession_number (accession_number=?)"),
        (Level.SERIES, {"StudyInstanceUID": "1.2", "Modality": "MR"}, "catalogue_study_1 (study_instance_uid=?)"),
        (Level.SERIES, {"SeriesInstanceUID": "1.2.1"}, "series_by_uid (series_instance_uid=?)"),
        (
            Level.IMAGE,
            {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2.1"},
            "autoindex_catalogue_instance_1 (series=?)",
        ),
        (Level.IMAGE, {"SOPInstanceUID": "1.2.1.1"}, "catalogue_instance_by_uid (sop_instance_uid=?)"),
        (
            Level.IMAGE,
            {"PatientName": "muster*", "StudyDate": "20260101-"},
            "autoindex_catalogue_instance_1 (series=?)",
        ),
    ],
)
def test_a_query_of_the_catalogue_goes_by_the_index_of_its_key(plans, engine: Engine, level, keys, step):
    with engine.connect() as connection:
        steps = plans(lambda: find(connection, level, keys, 500))
    assert any(step in each for each in steps), steps
    assert not [each for each in steps if each.startswith(("SCAN catalogue_instance", "SCAN catalogue_series"))]
