"""Work in several processes: every answer, and one thread in each."""

import multiprocessing
import operator
import os
from pathlib import Path

import pytest
import SimpleITK as sitk
import torch

from models.research.training.processes import in_order, in_processes, resumed


def test_every_call_is_answered_by_a_process_of_one_thread():
    found = sorted(in_processes(_product_and_threads, [(2, 3), (4, 5), (6, 7)], workers=1))
    assert found == [(6, 1, 1), (20, 1, 1), (42, 1, 1)]


@pytest.mark.parametrize("workers", [0, 2])
def test_answers_come_in_the_order_of_the_calls(workers):
    assert list(in_order(operator.mul, [(6, 7), (2, 3), (4, 5)], workers)) == [42, 6, 20]


def test_without_a_call_nothing_is_started():
    assert list(in_processes(operator.mul, [], workers=1)) == []
    assert multiprocessing.active_children() == []


def test_without_a_process_the_calls_are_answered_in_this_one():
    assert list(in_processes(lambda: os.getpid(), [(), ()], workers=0)) == [os.getpid()] * 2


def test_an_answer_that_was_kept_is_read_and_not_made_again(tmp_path):
    kept, missing = tmp_path / "kept", tmp_path / "missing"
    kept.write_text("read")
    calls = [("made", missing), ("made", kept)]
    assert list(resumed(_first, calls, Path.read_text, workers=0)) == ["read", "made"]


def _product_and_threads(first: int, second: int) -> tuple[int, int, int]:
    return first * second, torch.get_num_threads(), sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()


def _first(answer: str, _: Path) -> str:
    return answer
