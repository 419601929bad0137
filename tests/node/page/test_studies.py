"""The list of studies: what is looked for stands in the address, and all of it has to fit."""

from __future__ import annotations

import re

import pytest

from storage.records import StudyState

from ...storage.house import a_file
from .conftest import running_page


@pytest.fixture(scope="module")
def olga(tmp_path_factory):
    """An operator of a node with four studies."""
    with running_page(tmp_path_factory.mktemp("studies")) as found:
        found.house.receive(a_file(1, 1, "1.2.3", Manufacturer="SIEMENS", ManufacturerModelName="Skyra"))
        for study, name, patient, date, accession, maker in (
            ("1.2.4", "Müller^Änne", "P2", "20260203", "A2", "Philips"),
            ("1.2.5", "Wang^XiaoDong=王^小东", "P3", "20260304", "B3", "Philips"),
            ("1.2.6", "Muster^Max", "P4", "20260405", "B4", "GE"),
        ):
            found.house.receive(
                a_file(
                    *(1, 1, study),
                    PatientName=name,
                    PatientID=patient,
                    StudyDate=date,
                    AccessionNumber=accession,
                    Manufacturer=maker,
                )
            )
        found.house.index.move("1.2.6", 1, StudyState.FAILED, "the disk was full")
        found.catch_up()
        yield found.signed_in("olga")


def found_by(browser, **said):
    text = browser.get("/", params=said).text
    return re.findall(r'href="/studies/([0-9.]+)"', text)


def test_all_studies_are_there_with_whose_they_are_and_where_they_stand(olga):
    text = olga.get("/").text
    assert sorted(found_by(olga)) == ["1.2.3", "1.2.4", "1.2.5", "1.2.6"]
    assert "Wang^XiaoDong 王^小东" in text
    assert "SIEMENS Skyra" in text
    assert "the disk was full" in text
    assert "3 receiving" in text


@pytest.mark.parametrize(
    ("said", "studies"),
    [
        ({"patient": "muller"}, ["1.2.4"]),
        ({"patient": "MÜLLER Änne"}, ["1.2.4"]),
        ({"patient": "小东"}, ["1.2.5"]),
        ({"patient": "p3"}, ["1.2.5"]),
        ({"patient": "muster"}, ["1.2.3", "1.2.6"]),
        ({"patient": "%"}, []),
        ({"accession": "b"}, ["1.2.5", "1.2.6"]),
        ({"scanner": "skyra"}, ["1.2.3"]),
        ({"scanner": "philips", "date_from": "2026-03-01"}, ["1.2.5"]),
        ({"date_from": "2026-02-03", "date_to": "2026-03-04"}, ["1.2.4", "1.2.5"]),
        ({"state": "FAILED"}, ["1.2.6"]),
        ({"state": ["FAILED", "RECEIVING"], "patient": "muster"}, ["1.2.3", "1.2.6"]),
        ({"state": "RECEIVING", "patient": "muster", "accession": "A1"}, ["1.2.3"]),
    ],
)
def test_filters_combine(olga, said, studies):
    assert sorted(found_by(olga, **said)) == studies


def test_what_is_looked_for_stands_in_the_form_and_in_the_address_that_is_asked_again(olga):
    text = olga.get("/?patient=muster&state=FAILED&date_from=2026-01-01").text
    assert 'name="patient" value="muster"' in text
    assert 'value="FAILED" checked' in text
    assert 'value="2026-01-01"' in text
    assert 'hx-get="/?patient=muster&amp;date_from=20260101&amp;state=FAILED"' in text


def test_the_table_alone_is_answered_where_it_alone_is_wanted(olga):
    text = olga.get("/", headers={"HX-Request": "true", "HX-Target": "studies"}).text
    assert text.lstrip().startswith("<section")
    assert "<html" not in text


def test_pages_follow_one_another(tmp_path):
    with running_page(tmp_path) as found:
        for number in range(1, 53):
            found.house.receive(a_file(1, 1, f"1.2.{number}"))
        found.catch_up()
        olga = found.signed_in("olga")
        first = olga.get("/").text
        assert "1 to 50 of 52" in first
        assert 'rel="next" href="/?offset=50"' in first
        assert len(found_by(olga, offset=50)) == 2
        assert 'rel="prev" href="/"' in olga.get("/?offset=50").text
