"""Times of results stand in the time of their source: one offset from UTC an object, stated in it."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO

import pydicom
import pytest
from pydicom.dataset import Dataset
from pypdf import PdfReader

from node.results.clock import offset_of, pdf_date
from node.results.encode import encode
from node.results.identity import Identity, Site

UID_ROOT = "1.2.826.0.1.3680043.10.1599."
JANUARY = datetime(2025, 1, 10, 22, 30, 5, tzinfo=UTC)
BERLIN = Site(UID_ROOT, "Our Hospital", "Europe/Berlin")


def study_of(date: str = "", at: str = "", offset: str = "") -> Dataset:
    header = Dataset()
    header.StudyDate, header.StudyTime = date, at
    if offset:
        header.TimezoneOffsetFromUTC = offset
    return header


def written(header: Dataset, zone: str, created_at: datetime = JANUARY) -> str:
    return created_at.astimezone(offset_of(header, zone, created_at)).strftime("%z")


@pytest.mark.parametrize("offset", ["+0800", "-0330", "+0545", "+1400", "-1200", "+0000"])
def test_the_offset_that_a_source_states_is_taken(offset):
    assert written(study_of("20240715", "101112", offset), "America/New_York") == offset


@pytest.mark.parametrize("offset", ["0800", "+8", "-0000", "+1500", "-1230", "+0860", "+0800\\+0900", "CET"])
def test_what_is_no_offset_leaves_it_to_the_zone_of_the_site(offset):
    assert written(study_of("20240715", "101112", offset), "America/New_York") == "-0400"


@pytest.mark.parametrize(
    ("zone", "january", "july"),
    [
        ("Europe/Berlin", "+0100", "+0200"),
        ("America/St_Johns", "-0330", "-0230"),
        ("Australia/Adelaide", "+1030", "+0930"),
        ("Asia/Kolkata", "+0530", "+0530"),
        ("Asia/Shanghai", "+0800", "+0800"),
        ("America/Los_Angeles", "-0800", "-0700"),
    ],
)
def test_summer_time_is_that_of_the_study_whenever_it_is_analysed(zone, january, july):
    for created_at in (JANUARY, JANUARY + timedelta(days=180)):
        assert written(study_of("20240115", "101112"), zone, created_at) == january
        assert written(study_of("20240715", "101112.250000"), zone, created_at) == july


def test_the_hour_of_the_study_decides_on_the_day_of_the_change():
    assert written(study_of("20240331", "0130"), "Europe/Berlin") == "+0100"
    assert written(study_of("20240331", "0330"), "Europe/Berlin") == "+0200"
    assert written(study_of("20240331"), "Europe/Berlin") == "+0200"


@pytest.mark.parametrize("date", ["", "19000101", "00010101", "99991231"])
def test_a_study_without_a_date_that_can_be_is_told_in_the_time_of_its_analysis(date):
    assert written(study_of(date), "Asia/Shanghai") == "+0800"
    assert written(study_of(date), "Europe/Berlin", JANUARY + timedelta(days=180)) == "+0200"
    assert written(study_of(date), "") == JANUARY.astimezone().strftime("%z")


@pytest.fixture
def machine_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    yield monkeypatch
    monkeypatch.undo()
    time.tzset()


def test_without_a_zone_the_machine_s_is_the_site_s(machine_zone):
    digests = set()
    for zone, july in (("Asia/Shanghai", "+0800"), ("Europe/Berlin", "+0200"), ("NST3:30NDT,M3.2.0,M11.1.0", "-0230")):
        machine_zone.setenv("TZ", zone)
        time.tzset()
        assert written(study_of("20240715", "101112"), "") == july
        digests.add(Site(UID_ROOT).canonical)
    assert len(digests) == 3


@pytest.mark.parametrize("zone", ["+0800", "-0330", "+0000", "-1200", "+0545"])
def test_a_date_in_a_pdf_has_its_offset_with_the_right_sign_and_minutes(zone):
    moment = datetime.strptime(f"20240315203005{zone}", "%Y%m%d%H%M%S%z")
    assert pdf_date(moment) == f"D:20240315203005{zone[:3]}'{zone[3:]}'"


def of_two_clocks(ds: Dataset, sequence: str) -> None:
    """T2WI says in which offset its times are, DWI does not."""
    ds.StudyDate = "20240715"
    if sequence == "T2WI":
        ds.TimezoneOffsetFromUTC = "-0330"


@pytest.fixture(scope="module")
def july(make_encoded):
    """A study of July, analysed in January at a site in Berlin."""
    return make_encoded("siemens", ("T2WI", "DWI"), change=analysed_in_january, edit=of_two_clocks, site=BERLIN)


def analysed_in_january(results):
    return replace(results, created_at=JANUARY)


def offsets(encoded) -> dict[str, str]:
    return {it.role: pydicom.dcmread(it.path).TimezoneOffsetFromUTC for it in encoded.objects}


def test_every_object_is_in_the_offset_of_its_own_source(july):
    found = offsets(july)
    assert {role for role, offset in found.items() if offset == "+0200"} == {"super-resolved-dwi", "segmentation-dwi"}
    assert {offset for role, offset in found.items() if "dwi" not in role} == {"-0330"}


def test_all_generated_times_of_an_object_are_one_moment_in_its_offset(july):
    for entry in july.objects:
        ds = pydicom.dcmread(entry.path)
        moment = JANUARY.astimezone(datetime.strptime(ds.TimezoneOffsetFromUTC, "%z").tzinfo)
        node = ds.ContributingEquipmentSequence[-1]
        assert node.ContributionDateTime == f"{moment:%Y%m%d%H%M%S%z}"
        for kind in ("Series", "Content", "InstanceCreation"):
            assert ds[f"{kind}Date"].value + ds[f"{kind}Time"].value + ds.TimezoneOffsetFromUTC == (
                node.ContributionDateTime
            )


def test_no_other_date_or_time_is_in_an_object_but_what_was_copied(july):
    made = {"SeriesDate", "SeriesTime", "ContentDate", "ContentTime", "InstanceCreationDate", "InstanceCreationTime"}
    copied = {"StudyDate": "20240715", "StudyTime": "101112.5", "PatientBirthDate": "19600229"}
    copied |= {"AcquisitionDate": "20240315", "AcquisitionTime": "101530"}
    for entry in july.objects:
        for element in pydicom.dcmread(entry.path).iterall():
            if element.VR in ("DA", "TM") and element.keyword not in made:
                assert element.value == copied[element.keyword]
            if element.VR == "DT" and element.value:
                assert element.keyword == "ContributionDateTime"


def test_page_and_pdf_tell_the_time_of_the_report(july):
    (report,), (document,) = july.datasets("report"), july.datasets("summary-pdf")
    page = PdfReader(BytesIO(document.EncapsulatedDocument))
    assert "2025-01-10 19:00 -0330" in page.pages[0].extract_text()
    assert report.ContentDate + report.ContentTime == "20250110190005"
    assert page.metadata["/CreationDate"] == "D:20250110190005-03'30'"


def test_the_same_site_gives_the_same_bytes_on_a_machine_of_another_zone(july, tmp_path, machine_zone):
    machine_zone.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    again = encode(july.results, tmp_path, BERLIN)
    assert [it.path.read_bytes() for it in again] == [it.path.read_bytes() for it in july.objects]


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools are not installed")
def test_dciodvfy_finds_no_error_in_objects_with_an_offset(july):
    for entry in {it.role: it for it in july.objects}.values():
        done = subprocess.run(["dciodvfy", "-new", str(entry.path)], capture_output=True, text=True, check=False)
        assert [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")] == []


def test_the_identity_tells_the_moment_in_the_offset_of_the_source(july):
    identity = Identity.of(july.results, BERLIN)
    assert identity.made_at(study_of("20240715", "1000")).isoformat() == "2025-01-11T00:30:05+02:00"
