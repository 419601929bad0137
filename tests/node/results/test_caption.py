"""Page, picture and PDF name the patient as the objects carry it, in every script, or nobody where the site says so."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from pydicom.dataset import Dataset
from pypdf import PdfReader

from node.results.caption import Caption, caption, iso_date, readable_name
from node.results.fonts import drawable
from node.results.identity import Site
from node.results.lettering import filling, in_columns
from node.results.page import page_figure
from node.results.source import read_header

UID_ROOT = "1.2.826.0.1.3680043.10.1599."
NAMES_NOBODY = Site(UID_ROOT, "Our Hospital", "UTC", name_patient=False)
CHARACTER_SETS = sorted((Path(pydicom.__file__).parent / "data" / "charset_files").glob("*.dcm"))


def text_of(document: Dataset) -> str:
    return " ".join(PdfReader(BytesIO(document.EncapsulatedDocument)).pages[0].extract_text().split())


def texts_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("Adams^John Robert Quincy^^Rev.^B.A. M.Div.", "Adams, Rev. John Robert Quincy, B.A. M.Div."),
        ("Morrison-Jones^Susan^^^Ph.D., Chief", "Morrison-Jones, Susan, Ph.D., Chief"),
        ("Doe^John", "Doe, John"),
        ("DOE JOHN", "DOE JOHN"),
        ("^^^", ""),
        ("", ""),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou · 山田 太郎 · やまだ たろう"),
        ("Hong^Gildong=洪^吉洞=홍^길동", "Hong, Gildong · 洪 吉洞 · 홍 길동"),
        ("=李^雷", "李 雷"),
        ("李^雷=李^雷", "李 雷"),
        ("ﾔﾏﾀﾞ^ﾀﾛｳ", "ﾔﾏﾀﾞ ﾀﾛｳ"),
        ("Люкceмбypг", "Люкceмбypг"),
    ],
)
def test_a_person_name_is_written_as_a_person_reads_it(name, read):
    assert readable_name(name) == read


@pytest.mark.parametrize(
    ("date", "written"), [("19600229", "1960-02-29"), ("1960.02.29", "1960-02-29"), ("not stated", "not stated")]
)
def test_dates_are_written_as_iso_dates(date, written):
    assert iso_date(date) == written


def test_page_and_pdf_name_patient_and_study_as_the_objects_carry_them(encoded):
    (document,), (picture,) = encoded.datasets("summary-pdf"), encoded.datasets("summary")
    text = text_of(document)
    assert text.startswith(readable_name(str(document.PatientName)))
    assert "ID P-0815 · born 1960-02-29 · study 2024-03-15 · accession A-4711" in text
    assert {document.BurnedInAnnotation, picture.BurnedInAnnotation} == {"YES"}
    assert document.PatientName == picture.PatientName == encoded.vendor.patient_name_unicode


def test_pictures_of_two_patients_differ_in_their_first_lines_only(siemens, make_encoded):
    one, other = (study.datasets("summary")[0].pixel_array for study in (siemens, make_encoded("uih")))
    strip = round(0.55 / 8.2 * 1230)
    assert (one[:strip] != other[:strip]).any()
    assert np.array_equal(one[strip:], other[strip:])


@pytest.fixture(scope="module")
def of_nobody(make_encoded):
    return {name: make_encoded(name, ("T2WI",), site=NAMES_NOBODY) for name in ("siemens", "uih")}


def test_a_site_can_have_pages_that_name_nobody(of_nobody):
    (document,), (picture,) = of_nobody["siemens"].datasets("summary-pdf"), of_nobody["siemens"].datasets("summary")
    assert {document.BurnedInAnnotation, picture.BurnedInAnnotation} == {"NO"}
    for fact in ("Wang", "王", "P-0815", "1960", "A-4711", "not stated"):
        assert fact not in text_of(document)
    assert document.PatientID == "P-0815"


def test_a_page_that_names_nobody_is_the_same_whoever_the_patient_is(of_nobody):
    one, other = (study.datasets("summary")[0].pixel_array for study in of_nobody.values())
    assert np.array_equal(one, other)


def test_what_is_not_stated_is_said_to_be_not_stated(siemens):
    nobody = caption(Dataset(), siemens.results.created_at, name_patient=True)
    assert nobody.patient == "name not stated"
    assert nobody.study.split("   ·   ") == [
        "ID not stated",
        "born not stated",
        "study not stated",
        "accession not stated",
    ]


def in_study(path: Path, folder: Path) -> Path:
    """The file, its text as it is, with the UIDs that samples of character sets lack."""
    sample = pydicom.dcmread(path, force=True)
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        setattr(sample, keyword, "1.2.3")
    pydicom.dcmwrite(folder / path.name, sample)
    return folder / path.name


def test_names_in_all_character_sets_of_dicom_are_drawn_and_can_be_searched(siemens, tmp_path):
    headers = {path.stem: read_header(in_study(path, tmp_path)) for path in CHARACTER_SETS}
    found = {name: caption(header, siemens.results.created_at, name_patient=True) for name, header in headers.items()}
    assert len(found) > 15
    assert found["chrX2"].patient == "Wang, XiaoDong · 王 小东"
    assert found["chrH32"].patient == "ﾔﾏﾀﾞ ﾀﾛｳ · 山田 太郎 · やまだ たろう"
    figure = Figure(figsize=(11.6, 0.6 * len(found)))
    for part, each in zip(figure.subfigures(len(found), 1).ravel(), found.values(), strict=True):
        filling(part, 0.9, 0.1, each.patient, 10, 0.02, "black")
    buffer = BytesIO()
    figure.savefig(buffer, format="pdf")
    text = PdfReader(buffer).pages[0].extract_text()
    for name in (each.patient for each in found.values()):
        assert drawable(name) == name
        for word in name.replace(",", " ").split():
            assert word in text


@pytest.mark.parametrize(
    "name",
    [
        "王小东 陳大文 𠮷田",
        "김희중",
        "やまだ ヤマダ ﾔﾏﾀﾞ",
        "สมชาย ใจดี",
        "राम कुमार",
        "קרן",
        "محمد",
        "Անի",
        "გიორგი",
        "አበበ",
        "$a_b$ ^",
    ],
)
def test_every_script_has_its_glyphs(name):
    assert drawable(name) == name


def test_what_no_font_has_stands_as_its_number_and_the_page_says_so(siemens):
    named = Caption(siemens.results.created_at, "Doe \U00013000", "ID 1")
    texts = texts_of(page_figure(siemens.results, named))
    assert "Doe [U+13000]" in texts
    assert any(text.startswith("A letter that no font of the node has") for text in texts)
    plain = texts_of(page_figure(siemens.results, replace(named, patient="Doe")))
    assert not any(text.startswith("A letter that no font") for text in plain)


LONG = Caption(
    made_at=pydicom.valuerep.DT("20240315123005+0000"),
    patient=f"{'Wolfeschlegelstein-' * 12}Guttenberg, {'Maria ' * 9} · {'沃尔夫施勒格尔' * 12} · {'ボルフェシ' * 9}",
    study=f"ID {'0123456789' * 7}   ·   born 1960-02-29   ·   study 2024-03-15   ·   accession {'A-4711-' * 9}",
)


def test_a_long_name_and_a_long_id_are_written_in_full_within_the_page(siemens):
    figure = page_figure(siemens.results, LONG)
    renderer = FigureCanvasAgg(figure).get_renderer()
    strip = [text for text in figure.subfigs[0].findobj(Text) if text.get_text()]
    written = "".join(text.get_text() for text in strip).replace(" ", "")
    assert written == f"{LONG.patient}{LONG.study}".replace(" ", "")
    boxes = [text.get_window_extent(renderer) for text in strip]
    assert min(box.x0 for box in boxes) > 0
    assert max(box.x1 for box in boxes) < figure.bbox.width
    assert min(box.y0 for box in boxes) >= figure.subfigs[0].bbox.y0 - 1


def test_a_line_of_east_asian_letters_ends_within_its_columns():
    rows = in_columns("DWI: " + "轴位弥散加权成像" * 10, 40, "  ")
    assert len(rows) == 5
    assert all(len(row.encode("gb18030")) <= 40 for row in rows)
    assert "".join(row.strip() for row in rows) == "DWI: " + "轴位弥散加权成像" * 10
