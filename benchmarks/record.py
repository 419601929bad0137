"""Rows of a measurement: printed, and appended to the CSV file that `make bench` names."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

#: Environment variable with the path of the CSV file; without it a measurement only prints.
TABLE = "BENCHMARK_TABLE"


@dataclass(frozen=True, slots=True)
class Row:
    """One value of one run.

    Attributes:
        part: the module of `benchmarks` that measured it.
        case: what was measured, such as "MR 200 kB, 4 senders".
        variant: who was measured, such as "node" or "Orthanc". Variants of one case are compared within a run.
        run: the turn, from 1.
        value: in `unit`.
        unit: one of those that `benchmarks.comparison` knows, such as "images/s", "s", "ms", "MB".
    """

    part: str
    case: str
    variant: str
    run: int
    value: float
    unit: str


COLUMNS = tuple(field.name for field in fields(Row))


def record(row: Row) -> None:
    """Print the row, and append it to the table if there is one."""
    print(f"{row.part}: {row.case}: {row.variant}: run {row.run}: {row.value:.4g} {row.unit}", flush=True)
    if name := os.environ.get(TABLE):
        table = Path(name)
        begins = not table.exists()
        with table.open("a", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if begins:
                writer.writerow(COLUMNS)
            writer.writerow(astuple(row))


def read_rows(table: Path) -> list[Row]:
    """The rows of a table in their order.

    Raises:
        ValueError: it has other columns, or a value that is no number.
    """
    with table.open(newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ValueError(f"{table} has other columns than {', '.join(COLUMNS)}")
        return [
            Row(each["part"], each["case"], each["variant"], int(each["run"]), float(each["value"]), each["unit"])
            for each in reader
        ]


def write_rows(rows: Iterable[Row], table: Path) -> None:
    """Write a table anew."""
    with table.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(astuple(row) for row in rows)
