"""`rectal-node train` hands its options to the training scripts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_a_cohort_with_a_fault_is_one_line_before_the_training_starts(
    command: Callable[..., Any], tmp_path: Path
) -> None:
    answer = command(
        *("train", "segmentation", "--data", str(tmp_path), "--folder", str(tmp_path / "run"), "--accelerator", "cpu")
    )
    assert answer.returncode == 1
    assert answer.stderr == f"{tmp_path}/labels.csv: cannot be read: No such file or directory\n"


def test_the_help_is_the_scripts(command: Callable[..., Any], tmp_path: Path) -> None:
    answer = command("train", "prediction", "--help")
    assert answer.returncode == 0
    assert "--positive-class" in answer.stdout
    assert "models.research.training.prediction" in answer.stdout
