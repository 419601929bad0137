"""Text whose bytes are not in the declared character set, and text that is in none."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from pydicom import Dataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from node.recognition.header.charsets import settle
from node.recognition.header.facts import Settled

NAME, PLACE = "王^小东", "北京医院 放射科"
TEXT = ("PatientName", "InstitutionName", "SeriesDescription", "PatientComments")


def raw(dataset: Dataset, keyword: str, value: bytes) -> None:
    """Bytes as they stand in a file."""
    tag = Tag(keyword)
    vr = pydicom.datadict.dictionary_VR(tag)
    dataset._dict[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True, True)


def stored(declared: str | list[str] | None, **text: bytes) -> Dataset:
    """A data set as it comes from a file."""
    dataset = Dataset()
    if declared is not None:
        dataset.SpecificCharacterSet = declared
    for keyword, value in text.items():
        raw(dataset, keyword, value)
    dataset.set_original_encoding(False, True, dataset._character_set)
    return dataset


def read(dataset: Dataset) -> tuple[dict[str, str], Settled]:
    settled = settle(dataset, nested=True)
    return {keyword: str(dataset[keyword].value) for keyword in TEXT if keyword in dataset}, settled


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
@pytest.mark.parametrize(
    "declared", [None, "ISO_IR 100", "ISO_IR 101", "ISO_IR 148", ["", "ISO 2022 IR 58"], ["ISO 2022 IR 6"]]
)
def test_chinese_bytes_under_a_latin_or_no_declaration_are_read_as_what_they_are(declared, encoding):
    text, settled = read(stored(declared, PatientName=NAME.encode(encoding), InstitutionName=PLACE.encode(encoding)))
    assert text == {"PatientName": NAME, "InstitutionName": PLACE}
    assert settled == Settled(repaired=("PatientName", "InstitutionName"))


@pytest.mark.parametrize(("declared", "encoding"), [("ISO_IR 192", "gb18030"), ("GB18030", "utf-8"), ("GBK", "utf-8")])
def test_chinese_bytes_under_the_other_chinese_declaration_are_read_as_what_they_are(declared, encoding):
    text, settled = read(stored(declared, PatientName=NAME.encode(encoding), InstitutionName=PLACE.encode(encoding)))
    assert text == {"PatientName": NAME, "InstitutionName": PLACE}
    assert settled.repaired == ("PatientName", "InstitutionName")


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_a_name_and_a_description_may_come_from_systems_that_encode_differently(encoding):
    other = {"utf-8": "gb18030", "gb18030": "utf-8"}[encoding]
    text, _ = read(stored("ISO_IR 100", PatientName=NAME.encode(encoding), InstitutionName=PLACE.encode(other)))
    assert text == {"PatientName": NAME, "InstitutionName": PLACE}


@pytest.mark.parametrize(
    ("declared", "encoding", "name"),
    [
        ("ISO_IR 100", "latin-1", "Müller^Jörg"),
        ("ISO_IR 100", "latin-1", "Größe^Zoë"),
        ("ISO_IR 100", "latin-1", "Lefèvre^Andrée"),
        ("ISO_IR 101", "iso8859-2", "Łukasiewicz^Żółć"),
        ("ISO_IR 126", "iso8859-7", "Διονυσιος"),
        ("ISO_IR 127", "iso8859-6", "قباني^لنزار"),
        ("ISO_IR 138", "iso8859-8", "שרון^דבורה"),
        ("ISO_IR 144", "iso8859-5", "Люкceмбypг"),
        ("ISO_IR 144", "iso8859-5", "Иванов^Иван"),
        ("ISO_IR 148", "iso8859-9", "Çavuşoğlu^İğdır"),
        ("ISO_IR 166", "tis-620", "สมชาย^กข"),
        ("ISO_IR 192", "utf-8", NAME),
        ("GB18030", "gb18030", "联^通"),
        ("GBK", "gbk", "王^镕"),
        ("GB18030", "gb18030", "鑫^淼"),
    ],
)
def test_text_in_its_declared_character_set_stays_as_it_is(declared, encoding, name):
    text, settled = read(stored(declared, PatientName=name.encode(encoding)))
    assert text == {"PatientName": name}
    assert settled == Settled()


def test_punctuation_of_windows_under_latin_1_is_read_as_such():
    text, settled = read(stored("ISO_IR 100", PatientComments="L’examen – déjà « vu »".encode("cp1252")))
    assert text == {"PatientComments": "L’examen – déjà « vu »"}
    assert settled.repaired == ("PatientComments",)


@pytest.mark.parametrize("declared", [None, "ISO_IR 192"])
def test_latin_bytes_under_none_or_utf_8_are_latin(declared):
    text, settled = read(stored(declared, PatientName="Müller^Jörg".encode("latin-1")))
    assert text == {"PatientName": "Müller^Jörg"}
    assert settled.repaired == ("PatientName",)


@pytest.mark.parametrize("declared", ["ISO_IR 100", "ISO_IR 192", None])
def test_bytes_that_are_no_text_in_any_set_are_taken_out_and_named(declared):
    text, settled = read(stored(declared, SeriesDescription=b"t2\x81\x8d\x8f\xff\x90", PatientComments=b"plain"))
    assert text == {"PatientComments": "plain"}
    assert settled == Settled(unreadable=("SeriesDescription",))


def test_the_readable_groups_of_a_name_are_kept():
    text, settled = read(stored("ISO_IR 192", PatientName=b"Wang^Xiaodong=\x81\x8d^\x8f\xff\x90"))
    assert text == {"PatientName": "Wang^Xiaodong"}
    assert settled.unreadable == ("PatientName",)


def test_escape_sequences_speak_for_themselves():
    korean = b"\x1b$)C" + "김희중".encode("euc-kr")
    text, settled = read(stored(["", "ISO 2022 IR 149"], PatientName=b"Kim=" + korean))
    assert text == {"PatientName": "Kim=김희중"}
    assert settled == Settled()


@pytest.mark.parametrize("declared", [None, "ISO_IR 100", ["", "ISO 2022 IR 87"]])
def test_escape_sequences_that_are_not_declared_speak_for_themselves_too(declared):
    korean = b"\x1b$)C" + "김희중".encode("euc-kr")
    text, settled = read(stored(declared, PatientName=b"Kim=" + korean))
    assert text == {"PatientName": "Kim=김희중"}
    assert settled.repaired == ("PatientName",)


@pytest.mark.parametrize(("declared", "encoding"), [("ISO_IR 192", "utf-8"), ("GB18030", "gb18030")])
def test_control_characters_of_several_bytes_are_no_sign_of_misreading(declared, encoding):
    assert read(stored(declared, PatientComments="직\x85장\x1b".encode(encoding)))[1] == Settled()


def test_text_of_items_is_settled_with_the_rest_unless_they_declare_their_own():
    plain, declaring = Dataset(), Dataset()
    raw(plain, "CodeMeaning", PLACE.encode("gb18030"))
    declaring.SpecificCharacterSet = "ISO_IR 192"
    raw(declaring, "CodeMeaning", PLACE.encode())
    dataset = stored("ISO_IR 100", PatientName=NAME.encode("gb18030"))
    dataset.ProcedureCodeSequence = Sequence([plain, declaring])
    assert read(dataset)[1].repaired == ("PatientName", "CodeMeaning")
    assert [item.CodeMeaning for item in dataset.ProcedureCodeSequence] == [PLACE, PLACE]


def test_real_files_of_every_character_set_are_left_as_they_are(shared_data: Path):
    paths = sorted((shared_data / "charsets").glob("*.dcm"))
    assert len(paths) == 6
    for path in paths:
        dataset, untouched = dcmread(path, stop_before_pixels=True), dcmread(path, stop_before_pixels=True)
        assert settle(dataset, nested=True) == Settled()
        assert dataset.get("PatientName") == untouched.get("PatientName")


@pytest.fixture
def t2(series_of) -> list[Dataset]:
    return series_of("Skyra", "t2_tse_tra")


def test_what_was_repaired_or_lost_is_a_warning_with_its_keyword_and_never_its_content(t2, recognised):
    for instance in t2:
        instance.SpecificCharacterSet = "ISO_IR 100"
        raw(instance, "PatientName", NAME.encode("gb18030"))
        raw(instance, "ProtocolName", b"\x81\x8d\xff\x90secret")
    plan = recognised(t2)
    assert plan.warnings == (
        "PatientName of series 3: read in another character set than the declared one",
        "ProtocolName of series 3: no text in any character set, left out",
    )


def test_two_patients_whose_identifiers_nobody_can_read_are_still_two(t2, recognised):
    for number, instance in enumerate(t2):
        raw(instance, "PatientID", (b"\x81\x8d\xff\x90", b"\x81\x8d\xff\x9d")[number % 2])
        instance.PatientBirthDate = ""
    assert recognised(t2).refusal("STUDY").code == "E-PATIENT-MIX"


def test_a_description_with_a_backslash_is_one_text_without_control_characters(t2, recognised):
    for instance in t2:
        raw(instance, "SeriesDescription", b"T2 tra\\oblique\r\n<script>\x07")
    (verdict,) = recognised(t2).verdicts
    assert verdict.description == "T2 tra\\oblique <script>"
    assert verdict.used
