"""`rectal-node evaluate`: a table in, a result set or the faults out."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).parents[3] / "docs" / "evaluation-example.csv"
COLUMNS = ("case", "cohort", "scanner", "label", "T2WI normal", "T2WI super")


def table(folder: Path) -> Path:
    """The example with two of its models."""
    lines = EXAMPLE.read_text().splitlines()
    path = folder / "table.csv"
    with path.open("w", newline="") as stream:
        stream.write("\n".join(lines[:4]) + "\n")
        writer = csv.DictWriter(stream, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(csv.DictReader(lines[4:]))
    return path


def test_a_table_becomes_a_result_set(command: Callable[..., Any], tmp_path: Path) -> None:
    group = "United Imaging 560 and 570=UIH uMR 560+UIH uMR 570"
    answer = command(
        "evaluate", str(table(tmp_path)), "--out", str(tmp_path / "out"), "--group", group, "--draws", "200"
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("T2WI, test cohort: AUC 0.")
    assert answer.stdout.endswith(f"read {tmp_path / 'out' / 'report.html'} first\n")
    assert (tmp_path / "out" / "figures" / "roc-group-1.svg").exists()
    assert "United Imaging 560 and 570" in (tmp_path / "out" / "subgroups.csv").read_text()


def test_the_faults_of_a_table_are_one_line_each(command: Callable[..., Any], tmp_path: Path) -> None:
    path = table(tmp_path)
    path.write_text(path.read_text().replace("C003,training", "C002,training").replace("C004,training", "C004,train"))
    answer = command("evaluate", str(path), "--out", str(tmp_path / "out"))
    assert answer.returncode == 1
    assert answer.stderr.splitlines() == [
        "table.csv:9: case C004: cohort is 'train'; known are training, validation, test",
        "table.csv: case C002 stands there 2 times",
    ]
    assert not (tmp_path / "out").exists()


def test_a_group_that_cannot_be_read_is_refused(command: Callable[..., Any], tmp_path: Path) -> None:
    answer = command("evaluate", str(table(tmp_path)), "--out", str(tmp_path / "out"), "--group", "UIH")
    assert answer.returncode == 2
    assert "NAME=SCANNER+SCANNER" in answer.stderr


def test_categories_that_do_not_rise_are_refused(command: Callable[..., Any], tmp_path: Path) -> None:
    answer = command("evaluate", str(table(tmp_path)), "--out", str(tmp_path / "out"), "--categories", "0.4,0.2")
    assert answer.returncode == 2
    assert "rising numbers" in answer.stderr
