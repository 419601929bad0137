"""The demo as a newcomer runs it, on the first of its studies."""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import Console

from node.cli.demo import PATIENTS, run_demo


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
