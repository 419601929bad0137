"""Figures over time are drawn by the server, and each stands in a table as well."""

from __future__ import annotations

import re
import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from node.maintenance import sampling
from node.operations.scanners import scanners
from node.page.plots import HEIGHT, WIDTH, bars, line, steps
from storage.records import StudyState
from storage.samples import Sample, Samples
from storage.scanners import ScannedStudy, Scanner, Scanners

from .conftest import NOW, running_page
from .test_node import row

GB = 10**9


@pytest.fixture(scope="module")
def node(empty_queue, tmp_path_factory):
    """A node that has looked at its machine, and has analysed a study twice."""
    root = tmp_path_factory.mktemp("figures")
    shutil.copy(empty_queue, root / "worklist.sqlite")
    with closing(sqlite3.connect(root / "worklist.sqlite")) as queue, queue:
        for run, seconds in (("1.2.3:1", 4), ("1.2.3:2", 8)):
            queue.execute(
                "INSERT INTO workflow_status (workflow_uuid, status, created_at, updated_at)"
                " VALUES (?, 'SUCCESS', 0, 0)",
                (run,),
            )
            for number, name in enumerate(("recognise", "segment"), 1):
                begun = (NOW + timedelta(minutes=number)).timestamp() * 1000
                queue.execute(
                    "INSERT INTO operation_outputs (workflow_uuid, function_id, function_name, started_at_epoch_ms,"
                    " completed_at_epoch_ms) VALUES (?, ?, ?, ?, ?)",
                    (run, number, name, begun, begun + seconds * number * 1000),
                )
    with running_page(root) as page:
        for hours, free in ((0, 90), (5, 80), (24, 70)):
            moment = NOW + timedelta(hours=hours)
            Samples(page.house.engine).add(Sample(moment, free * GB, 100 * GB, 3 * GB, 8 * GB))
        yield page


def test_disk_and_memory_are_a_line_and_a_table_by_day(node):
    viktor = node.signed_in("viktor")
    text = viktor.get("/node/machine").text
    assert "Free disk of the storage, GB, of 100 GB" in text
    assert text.count('role="img"') == 3
    assert row(viktor, "/node/machine", "2026-01-02") == "2026-01-02 80 3"
    assert row(viktor, "/node/machine", "2026-01-03") == "2026-01-03 70 3"
    assert "style=" not in text
    assert "<script>" not in text


def test_steps_are_told_of_with_how_often_and_how_long(node):
    viktor = node.signed_in("viktor")
    assert row(viktor, "/node/machine", "recognise").startswith("recognise 2 6 8 8")
    assert row(viktor, "/node/machine", "segment").startswith("segment 2 12 16 16")
    assert viktor.get("/node/machine").text.count("<circle") == 2


def test_a_node_that_knows_nothing_yet_says_so(tmp_path):
    with running_page(tmp_path) as page:
        viktor = page.signed_in("viktor")
        text = viktor.get("/node/machine").text
        assert "Nothing is known yet" in text
        assert "No analysis has ended yet" in text
        assert "No study has ended yet" in viktor.get("/node/scanners").text


def test_the_machine_says_its_disk_and_its_memory(node):
    sampling.look(node.house.files, Samples(node.house.engine))
    with node.house.engine.connect() as connection:
        last = connection.exec_driver_sql("SELECT * FROM machine_sample ORDER BY taken_at DESC").first()
    _, disk_free, disk_total, available, memory = last
    assert 0 < disk_free < disk_total
    assert 0 < available < memory
    assert f"MemTotal: {memory // 1024}" in re.sub(" +", " ", Path("/proc/meminfo").read_text())


def test_scanners_are_told_of_by_what_came_of_their_studies_week_by_week(node):
    skyra, other = Scanner("SIEMENS", "<i>Skyra</i>", "41"), Scanner("Philips", "Ingenia", "")
    for number, (scanner, week, state, outside, finding) in enumerate(
        [
            (skyra, "2026-01-05", StudyState.COMPLETED, False, True),
            (skyra, "2026-01-05", StudyState.COMPLETED, True, False),
            (skyra, "2026-01-19", StudyState.FAILED, False, None),
            (skyra, "2026-01-19", StudyState.REFUSED, True, None),
            (other, "2026-01-05", StudyState.COMPLETED, False, False),
        ]
    ):
        Scanners(node.house.engine).count(ScannedStudy(f"1.2.{number}", 1, week, scanner, state, outside, finding))
    viktor = node.signed_in("viktor")
    text = row(viktor, "/node/scanners", "SIEMENS")
    assert "SIEMENS <i>Skyra</i> serial number 41 4 2 50 % 1 50 % 1 25 % 1 25 %" in text
    assert "&lt;i&gt;Skyra" in viktor.get("/node/scanners").text
    assert "serial number not said 1 0 0 % 0 0 % 0 0 % 0 0 %" in row(viktor, "/node/scanners", "Philips")
    (first, _second) = scanners(node.house.engine)
    assert [(it.week, it.studies, it.failed) for it in first.weeks] == [
        ("2026-01-05", 2, 0),
        ("2026-01-12", 0, 0),
        ("2026-01-19", 2, 1),
    ]


@pytest.mark.parametrize(
    ("most", "ticks"),
    [(0, (0, 1)), (4, (0, 1, 2, 3, 4)), (7, (0, 2, 4, 6, 8)), (90, (0, 50, 100)), (0.3, (0, 0.1, 0.2, 0.3))],
)
def test_scales_go_by_round_numbers_up_to_the_largest_value(most, ticks):
    assert steps(most) == pytest.approx(ticks)


def test_a_line_lies_within_its_picture_and_has_a_gap_where_nothing_was_seen():
    hours = [NOW + timedelta(hours=it) for it in (0, 1, 2, 90, 100)]
    plot = line([(moment, 5.0) for moment in hours])
    assert re.findall("[ML]", plot.path) == ["M", "L", "L", "M", "M"]
    places = [float(it) for it in re.findall(r"[\d.]+", plot.path)]
    assert all(0 < x < WIDTH for x in places[::2])
    assert all(0 < y < HEIGHT for y in places[1::2])


def test_the_part_of_a_bar_has_its_share_of_the_height():
    plot = bars([(4, 1), (0, 0)])
    first, second = plot.bars
    assert first.part_height == pytest.approx(first.height / 4)
    assert first.top + first.height == first.part_top + first.part_height == plot.bottom
    assert second.height == 0
