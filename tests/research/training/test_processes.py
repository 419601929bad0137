"""Work in several processes: every answer, and one thread in each."""

import operator
from pathlib import Path

import pytest
import SimpleITK as sitk
import torch

from models.research.training.processes import in_order, in_processes, resumed


def test_every_call_is_answered():
    assert sorted(in_processes(operator.mul, [(2, 3), (4, 5), (6, 7)], workers=2)) == [6, 20, 42]


@pytest.mark.parametrize("workers", [0, 2])
def test_answers_come_in_the_order_of_the_calls(workers):
    assert list(in_order(operator.mul, [(6, 7), (2, 3), (4, 5)], workers)) == [42, 6, 20]


def test_a_process_has_one_thread():
    assert list(in_processes(_threads, [()], workers=1)) == [(1, 1)]


def test_without_a_call_nothing_is_started():
    assert list(in_processes(operator.mul, [], workers=0)) == []


def test_an_answer_that_was_kept_is_read_and_not_made_again(tmp_path):
    kept, missing = tmp_path / "kept", tmp_path / "missing"
    kept.write_text("read")
    calls = [("made", missing), ("made", kept)]
    assert list(resumed(_first, calls, Path.read_text, workers=1)) == ["read", "made"]


def _threads() -> tuple[int, int]:
    return torch.get_num_threads(), sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()


def _first(answer: str, _: Path) -> str:
    return answer
