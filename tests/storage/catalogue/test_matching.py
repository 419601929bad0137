"""Values as they are matched: PS3.4 C.2.2.2 asks for names without case and accents, dates and times by range."""

from __future__ import annotations

import pytest

from storage.catalogue.matching import PersonName, date, integer, person_name, text, time


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Müller^Änne", "MULLER^ANNE"),
        ("Muster^Erika^^", "muster^erika"),
        ("Groß^Anna", "GROSS^ANNA"),
        ("Παπαδόπουλος^Γιώργος", "ΠΑΠΑΔΟΠΟΥΛΟΣ^ΓΙΩΡΓΟΣ"),
        ("Иванов^Пётр", "ИВАНОВ^ПЕТР"),
        ("Ｗａｎｇ^Xiao  Dong ", "WANG^xiao dong"),
        ("Jose\u0301^X", "José^x"),
    ],
)
def test_names_that_differ_in_case_accents_or_padding_are_the_same(one, other):
    assert person_name(one) == person_name(other)


@pytest.mark.parametrize(
    ("one", "other"), [("=山田^たろう", "=山田^だろう"), ("Muster^Erika", "Muster^^Erika"), ("=王^小东", "王^小东")]
)
def test_names_that_differ_in_letters_components_or_groups_are_not_the_same(one, other):
    assert person_name(one) != person_name(other)


def test_a_name_has_three_component_groups():
    said = person_name("Wang^XiaoDong=王^小东=ワン^シャオドン")
    assert said == PersonName("wang^xiaodong", "王^小东", "ワン^シャオドン")
    assert person_name("") == PersonName("", "", "")
    assert person_name("Hong^Gildong=洪^吉洞=홍^길동").phonetic == "홍^길동"


@pytest.mark.parametrize(
    ("value", "matched"),
    [("20260228", "20260228"), ("2026.02.28", "20260228"), ("20260230", None), ("2026", None), ("", None), ("x", None)],
)
def test_a_date_is_a_day_or_nothing(value, matched):
    assert date(value) == matched


@pytest.mark.parametrize(
    ("value", "matched"),
    [
        ("10", "100000.000000"),
        ("1030", "103000.000000"),
        ("103015.5", "103015.500000"),
        ("103015.123456 ", "103015.123456"),
        ("10:30:15", "103015.000000"),
        ("235960", "235960.000000"),
        ("240000", None),
        ("1060", None),
        ("", None),
    ],
)
def test_a_time_is_padded_to_microseconds(value, matched):
    assert time(value) == matched


def test_padded_times_are_in_the_order_of_time():
    said = ["09", "0930", "093000.1", "093000.12", "10"]
    assert sorted(filter(None, map(time, said))) == [time(value) for value in said]


def test_other_text_keeps_its_case_and_loses_its_padding():
    assert text(" Pelvis_1%\0") == "Pelvis_1%"


def test_an_integer_is_one_or_nothing():
    assert [integer(value) for value in (" 12", "-3", "1.5", "", "9" * 13)] == [12, -3, None, None, None]
