"""Statements given to the driver itself, in both databases: the same rows, changes and errors as by SQLAlchemy."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from storage import database
from storage.prepared import Prepared
from storage.records import StudyState
from storage.schema import UTCDateTime, study

NOW = datetime(2026, 11, 30, 12, 0, 0, 123456, tzinfo=UTC)
ROW = {"study_instance_uid": "1.2.3", "revision": 1, "state": StudyState.RECEIVING, "series_count": 1}
ROW |= {"instance_count": 1, "first_received_at": NOW, "last_received_at": NOW, "changed": False, "reason": ""}
INSERT = Prepared(insert(study).values({name: bindparam(name, type_=study.c[name].type) for name in ROW}).inline())
TOUCH = Prepared(
    update(study)
    .where(study.c.study_instance_uid == bindparam("uid"), study.c.state == StudyState.RECEIVING)
    .values(last_received_at=bindparam("now", type_=UTCDateTime))
)
COUNTS = Prepared(
    select(study.c.series_count, study.c.instance_count).where(study.c.study_instance_uid == bindparam("uid"))
)


def test_what_is_written_is_what_sqlalchemy_reads(engine):
    later = datetime(2026, 12, 1, tzinfo=UTC)
    with database.writing(engine).begin() as connection:
        assert INSERT.change(connection, ROW) == 1
        assert TOUCH.change(connection, {"uid": "1.2.3", "now": later}) == 1
        assert TOUCH.change(connection, {"uid": "1.2.4", "now": later}) == 0
        assert COUNTS.rows(connection, {"uid": "1.2.3"}) == [(1, 1)]
    with engine.connect() as connection:
        row = connection.execute(select(study)).one()
    assert (row.first_received_at, row.last_received_at, row.state) == (NOW, later, StudyState.RECEIVING)


def insert_twice(engine, **changed: object) -> None:
    with database.writing(engine).begin() as connection:
        for _ in range(2):
            INSERT.change(connection, ROW | changed)


def test_errors_are_those_of_sqlalchemy_and_show_no_values(engine):
    with pytest.raises(IntegrityError) as caught:
        insert_twice(engine, reason="Muster^Erika")
    assert "Muster" not in str(caught.value)


def test_a_failed_statement_leaves_nothing_of_its_transaction(engine):
    with pytest.raises(IntegrityError):
        insert_twice(engine)
    with engine.connect() as connection:
        assert COUNTS.rows(connection, {"uid": "1.2.3"}) == []


def test_a_time_without_time_zone_is_refused(engine):
    with database.writing(engine).begin() as connection, pytest.raises(ValueError, match="time zone"):
        TOUCH.change(connection, {"uid": "1.2.3", "now": datetime(2026, 12, 1)})
