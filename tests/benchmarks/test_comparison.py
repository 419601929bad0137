"""Medians, ratios and the page of the benchmarks."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.comparison import compare, slower
from benchmarks.page import write_page
from benchmarks.record import TABLE, Row, read_rows, record, write_rows


def rates(node: list[float], other: list[float]) -> list[Row]:
    case = ("receiving", "MR 200 kB, 4 senders")
    return [
        Row(*case, variant, run, value, "images/s")
        for variant, values in (("node", node), ("Orthanc", other))
        for run, value in enumerate(values, 1)
    ]


def test_the_ratio_is_the_median_of_the_ratios_within_the_runs() -> None:
    node, orthanc = compare(rates([100, 300, 80], [100, 100, 40]))
    assert (node.median, node.smallest, node.largest, node.times_the_node) == (100, 80, 300, None)
    assert orthanc.times_the_node == 2.0


def test_of_seconds_the_node_that_takes_half_is_twice_as_good() -> None:
    rows = [Row("encoding", "343 objects", who, 1, seconds, "s") for who, seconds in (("node", 3.0), ("before", 6.0))]
    assert [each.times_the_node for each in compare(rows)] == [None, 2.0]


def test_a_run_that_one_side_lacks_makes_no_ratio() -> None:
    assert compare(rates([100, 300], [50]))[1].times_the_node == 2.0


def test_only_what_is_over_a_quarter_worse_is_named() -> None:
    before = [Row("p", "rate", "node", 1, 100, "images/s"), Row("p", "time", "node", 1, 10, "s")]
    assert slower(before, [Row("p", "rate", "node", 1, 76, "images/s"), Row("p", "time", "node", 1, 12.4, "s")]) == []
    found = slower(before, [Row("p", "rate", "node", 1, 74, "images/s"), Row("p", "time", "node", 1, 12.6, "s")])
    assert [each.case for each in found] == ["rate", "time"]


def test_others_and_counts_are_never_slower() -> None:
    before = [Row("p", "rate", "Orthanc", 1, 100, "images/s"), Row("p", "results", "node", 1, 343, "objects")]
    now = [Row("p", "rate", "Orthanc", 1, 10, "images/s"), Row("p", "results", "node", 1, 1, "objects")]
    assert slower(before, now) == []


def test_what_is_recorded_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TABLE, str(tmp_path / "table.csv"))
    rows = rates([100.5, 1 / 3], [7, 8])
    for row in rows:
        record(row)
    assert read_rows(tmp_path / "table.csv") == rows


def test_a_table_with_other_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("part,case\nreceiving,MR\n")
    with pytest.raises(ValueError, match="other columns"):
        read_rows(tmp_path / "table.csv")


def test_the_same_rows_give_the_same_page_and_pictures(tmp_path: Path) -> None:
    steps = [
        Row("turnaround", f"waterfall: encode {edge}", "node", 1, at, "s at")
        for edge, at in (("begins", 4.0), ("ends", 6.5))
    ]
    rows = [*rates([100, 110], [50, 55]), *steps]
    made = []
    for name in ("one", "two"):
        folder = tmp_path / name / "performance"
        folder.mkdir(parents=True)
        write_rows(rows, folder / "measurements.csv")
        origins = {"receiving": "at abc on one machine", "turnaround": "at def"}
        write_page(read_rows(folder / "measurements.csv"), folder, origins)
        made.append({path.name: path.read_bytes() for path in (tmp_path / name).rglob("*.*") if path.is_file()})
    assert made[0] == made[1]
    assert made[0].keys() == {"performance.md", "measurements.csv", "receiving.svg", "waterfall.svg"}
    page = made[0]["performance.md"].decode()
    assert "| MR 200 kB, 4 senders | Orthanc | 52.5 images/s (50 to 55) | 2.00 × |" in page
    assert "waterfall: encode" not in page
    assert "`python -m benchmarks.receiving` at abc on one machine\n" in page
    assert "`python -m benchmarks.turnaround` at def\n" in page
