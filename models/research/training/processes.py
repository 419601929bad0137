"""Work on many cases in several processes, each of one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import starmap
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import SimpleITK as sitk
import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

Result = TypeVar("Result")


def in_processes(work: Callable[..., Result], calls: Iterable[tuple[object, ...]], workers: int) -> Iterator[Result]:
    """Yields the result of `work` for each of the `calls`, as it gets ready; without a call no process is started.

    With 0 `workers` in this process, one by one.
    """
    waiting = list(calls)
    if not workers or not waiting:
        yield from starmap(work, waiting)
        return
    # Forking a process whose torch has already computed deadlocks.
    with ProcessPoolExecutor(workers, get_context("spawn"), _one_thread) as pool:
        for future in as_completed([pool.submit(work, *call) for call in waiting]):
            yield future.result()


def in_order(work: Callable[..., Result], calls: Iterable[tuple[object, ...]], workers: int) -> Iterator[Result]:
    """Yields the results of `work` in the order of the `calls`; with 0 `workers` in this process, one by one."""
    if not workers:
        yield from starmap(work, calls)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), _one_thread) as pool:
        for future in [pool.submit(work, *call) for call in calls]:
            yield future.result()


def resumed(
    work: Callable[..., Result],
    calls: Iterable[tuple[*tuple[object, ...], Path]],
    read: Callable[[Path], Result],
    workers: int,
) -> Iterator[Result]:
    """Yields the result of `work` for each of the `calls`, whose last argument is the file that it keeps the answer in.

    Answers that an earlier run has kept are read and come first; so an interrupted run goes on where it was.
    """
    missing = []
    for call in calls:
        if call[-1].is_file():
            yield read(call[-1])
        else:
            missing.append(call)
    yield from in_processes(work, missing, workers)


def _one_thread() -> None:
    threadpool_limits(1)
    torch.set_num_threads(1)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
