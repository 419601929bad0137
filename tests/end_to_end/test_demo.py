"""The demo as a newcomer runs it, on the first of its studies."""

from __future__ import annotations

import io
import re
import shutil
from pathlib import Path

import pydicom
import pytest
from rich.console import Console

from node.cli.demo import PATIENTS, run_demo
from tests.parts.pixelmed import JAR, sr_errors
from tests.parts.readers import faults, one_of_each_series


def test_the_demo_ends_with_every_object_delivered_and_a_tumour_where_it_truly_is(tmp_path: Path) -> None:
    shown = io.StringIO()
    assert run_demo(tmp_path / "demo", Console(file=shown, width=160), PATIENTS[:1]) == 0
    text = shown.getvalue()
    _, seed = PATIENTS[0]
    row = next(line for line in text.splitlines() if f"SIM{seed:06d}" in line and "/" in line)
    delivered, of = re.search(r"(\d+)/(\d+)", row).groups()
    assert int(delivered) == int(of) > 200
    dice = float([cell.strip() for cell in row.split("│")][5])
    assert dice > 0.7, row
    pictures = list((tmp_path / "demo" / "pictures").glob("*.png"))
    assert [picture.name.split("-")[0] for picture in pictures] == [str(seed)]
    assert "not for diagnosis" in text
    log = (tmp_path / "demo" / "node.log").read_text()
    assert "Warning" not in log, log
    assert faults_of_what_was_received(tmp_path / "demo") == {}


def faults_of_what_was_received(demo: Path) -> dict[str, list[str]]:
    """What readers of others find wrong with the objects at the destination, one of each series."""
    if shutil.which("dciodvfy") is None:
        return {}
    objects = one_of_each_series((demo / "archive" / "objects").rglob("*.dcm"))
    assert len(objects) >= 6 * len(list((demo / "studies").iterdir()))
    return {path.name: found for path in objects if (found := faults(path))}


@pytest.mark.interop
def test_readers_and_validators_find_no_fault_in_the_results_of_the_four_studies(tmp_path: Path) -> None:
    assert run_demo(tmp_path / "demo", Console(file=io.StringIO(), width=160)) == 0
    assert faults_of_what_was_received(tmp_path / "demo") == {}
    received = one_of_each_series((tmp_path / "demo" / "archive" / "objects").rglob("*.dcm"))
    reports = [path for path in received if pydicom.dcmread(path, stop_before_pixels=True).Modality == "SR"]
    assert len(reports) == len(PATIENTS)
    if JAR.exists():
        assert [line for lines in sr_errors(reports).values() for line in lines] == []
