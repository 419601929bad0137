"""Keys of dates and times as spans (PS3.4 C.2.2.2.5)."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone

import pytest

from storage.catalogue.fitting import wild
from storage.catalogue.ranges import Span, combined, offset, span

DAY = Span("20260102", "20260102")


@pytest.mark.parametrize(
    ("vr", "key", "covered"),
    [
        ("DA", "20260102", DAY),
        ("DA", "2026.01.02", DAY),
        ("DA", "20260102-20260102", DAY),
        ("DA", "20260102 - 20260103", Span("20260102", "20260103")),
        ("DA", "-20260103", Span("", "20260103")),
        ("DA", "20260102-", Span("20260102", "")),
        ("DA", "-", None),
        ("DA", "2026", None),
        ("TM", "10", Span("100000.000000", "105959.999999")),
        ("TM", "1030-1045", Span("103000.000000", "104559.999999")),
        ("TM", "10:30:15.5", Span("103015.500000", "103015.599999")),
        ("TM", "noon", None),
        ("DT", "2026", Span("20260101000000.000000", "20261231235959.999999")),
        ("DT", "202602", Span("20260201000000.000000", "20260228235959.999999")),
        ("DT", "20260102093000+0100", Span("20260102083000.000000", "20260102083000.999999")),
        ("DT", "2026-2027", Span("20260101000000.000000", "20271231235959.999999")),
        ("DT", "2026-0500", Span("20260101050000.000000", "20270101045959.999999")),
        ("DT", "-20260102-0500", Span("", "20260103045959.999999")),
        ("DT", "20261301", None),
    ],
)
def test_a_key_covers_what_its_precision_says(vr, key, covered):
    assert span(vr, key, UTC) == covered


def test_a_datetime_without_an_offset_is_of_the_zone_of_the_query():
    assert span("DT", "20260102120000", timezone(timedelta(hours=8))) == Span(
        "20260102040000.000000", "20260102040000.999999"
    )


@pytest.mark.parametrize(
    ("dates", "times", "covered"),
    [
        ("20260102-20260104", "1000-1800", Span("20260102100000.000000", "20260104180059.999999")),
        ("20260102-", "1000-", Span("20260102100000.000000", "")),
        ("20260102-", "-1000", None),
        ("20260102", "1000-1800", None),
        ("20260102-20260104", "10", None),
    ],
)
def test_ranges_of_the_same_form_are_one(dates, times, covered):
    assert combined(dates, times) == covered


@pytest.mark.parametrize(("value", "minutes"), [("+0530", 330), ("-0500", -300), ("0500", None), ("+9999", None)])
def test_an_offset_is_hours_and_minutes(value, minutes):
    zone = offset(value)
    assert (zone and zone.utcoffset(None)) == (None if minutes is None else timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("a*b*c", "aXXbYYc", True),
        ("a*b*c", "aXXbYY", False),
        ("?", "", False),
        ("*?", "a", True),
        ("[a]*", "[a]b", True),
        ("_%", "_%", True),
        ("_%", "ab", False),
        ("*", "", True),
    ],
)
def test_wild_cards_are_a_star_and_a_question_mark(pattern, text, fits):
    assert wild(pattern, text) is fits


def test_a_pattern_of_many_stars_takes_no_time():
    """A search that goes back for each star would not end."""
    assert not wild("*a" * 40 + "b", "a" * 5000)
