"""The log of a study, and what is wrong with its series."""

from __future__ import annotations

import re

import pytest

from node.operations.study_log import log_of
from storage import damage
from storage.alerts import Alerts
from storage.database import writing
from storage.deliveries import Deliveries
from storage.readings import ReaderVerdict, Reading, Readings
from storage.schema import dicom_object

from ..results.conftest import STUDY_UID, VENDORS
from .conftest import NOW

T2WI = f"{STUDY_UID}.5"


@pytest.fixture
def page(page_with, t2wi, tmp_path):
    """With a study, to which things happen."""
    with page_with(tmp_path, t2wi, "report") as found:
        yield found


def log(page):
    text = page.signed_in("viktor").get(f"/studies/{STUDY_UID}/log").text
    return [re.sub(r"\s+", " ", re.sub("<[^>]*>", "", line)).strip() for line in re.findall("<li.*?</li>", text, re.S)]


def test_what_came_from_whom_and_what_was_sent_stands_in_the_order_of_time(page):
    house = page.house
    (claimed,) = house.deliveries.claim("archive", "us", NOW, house.at(0), 10)
    Deliveries(house.engine).stored({claimed.identifier: ""}, NOW)
    Readings(house.engine).add(Reading(STUDY_UID, 1, ReaderVerdict.REJECTED, "words", "viktor", NOW))
    lines = log(page)
    assert f"2026-01-02 03:04:05 8 objects of series {T2WI} came from SCANNER" in lines
    assert "2026-01-02 03:04:05 archive: 1 object stored" in lines
    assert "2026-01-02 03:04:05 viktor said: rejected (revision 1)" in lines
    times = [line[:19] for line in lines]
    assert times == sorted(times)


def test_an_alert_of_the_study_is_in_it_and_no_name_of_a_patient(page):
    Alerts(page.house.engine, lambda: NOW).raise_("STUDY_FAILED", STUDY_UID, "its analysis has failed")
    lines = log(page)
    assert any("alert STUDY_FAILED, 1 times: its analysis has failed" in line for line in lines)
    assert not any(part in line for line in lines for part in VENDORS["siemens"].patient_name_unicode.split("="))


def test_the_latest_entries_are_shown_and_how_many_are_not(page, monkeypatch):
    for comment in ("first", "second"):
        Readings(page.house.engine).add(Reading(STUDY_UID, 1, ReaderVerdict.COMMENT, comment, "viktor", NOW))
    monkeypatch.setattr("node.operations.study_log.MOST", 1)
    found = log_of(page.house.engine, page.settings.root, STUDY_UID)
    assert (len(found.entries), found.earlier) == (1, 2)
    assert "2 earlier entries are not shown" in page.signed_in("viktor").get(f"/studies/{STUDY_UID}/log").text


def test_a_study_that_is_not_here_has_no_log(page):
    assert page.signed_in("viktor").get("/studies/1.9/log").status_code == 404


def test_damage_stands_beside_the_series_and_in_the_log(page):
    with writing(page.house.engine).begin() as connection:
        row = connection.execute(dicom_object.select().where(dicom_object.c.series_instance_uid == T2WI).limit(1)).one()
        damage.note(connection, damage.kept_object(row), "the file is gone", NOW)
    text = page.signed_in("viktor").get(f"/studies/{STUDY_UID}").text
    assert '<div class="fault">1 object: the file is gone</div>' in text
    assert any(f"object {row.sop_instance_uid}: the file is gone" in line for line in log(page))
