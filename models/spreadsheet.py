"""Tables as CSV, in which no cell is a formula to a spreadsheet.

Names of cases, scanners and columns come from headers and tables of others. A spreadsheet runs a cell that begins like
a formula (OWASP, CSV Injection); one that is no number is written behind an apostrophe, and read without it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

_BEGIN_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n")
_MARK = "'"


def write_table(stream: TextIO, columns: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a head and rows, whose cells are in the order of the columns."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(map(written, columns))
    writer.writerows(map(written, row) for row in rows)


def write_row(stream: TextIO, cells: Iterable[object]) -> None:
    """Write a row alone."""
    csv.writer(stream, lineterminator="\n").writerow(map(written, cells))


def write_mappings(stream: TextIO, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a head and rows by the names of columns; a column that a row lacks is left empty."""
    write_table(stream, columns, ((row.get(name) for name in columns) for row in rows))


def written(cell: object) -> object:
    """A cell as it is written: a text that a spreadsheet would take for a formula behind an apostrophe."""
    if not isinstance(cell, str) or not cell.lstrip(f" {_MARK}").startswith(_BEGIN_FORMULAS) or _is_number(cell):
        return cell
    return _MARK + cell


def read(cell: str) -> str:
    """The text of a cell that `written` gives."""
    return cell[len(_MARK) :] if cell.startswith(_MARK) and written(cell[len(_MARK) :]) == cell else cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
