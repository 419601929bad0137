"""Asking what is analysed needs no queue; that the answer is DBOS's stands in `operations/test_cancel.py`."""

from __future__ import annotations

from pathlib import Path

from node.analysis.progress import running_steps


def test_a_root_without_a_queue_or_with_an_empty_file_has_nothing_under_way(tmp_path: Path) -> None:
    assert running_steps(tmp_path) == {}
    (tmp_path / "worklist.sqlite").touch()
    assert running_steps(tmp_path) == {}
