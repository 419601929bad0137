"""Processes that compute for this one, and end with it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from multiprocessing.synchronize import Event
from typing import TypeVar

from models import interruption
from models.errors import ProcessKilledError

_Found = TypeVar("_Found")
#: Until the next safe point while the process computes.
_LOOK_S = 0.25


def apart(work: Callable[[], _Found]) -> _Found:
    """What `work` gives or raises in a new process, so that this one loads none of the libraries that it needs.

    `work`, what it gives and its errors are pickled. Raises ProcessKilledError when the process was killed.
    """
    context = get_context("spawn")  # forking a process whose torch has already computed deadlocks
    over = context.Event()
    with ProcessPoolExecutor(1, context, end_with_parent, (over,)) as alone:
        found = alone.submit(work)
        try:
            while not wait([found], _LOOK_S).done:
                interruption.check()
            return found.result()
        except BrokenProcessPool as error:
            raise ProcessKilledError("a process of the node was killed, as happens when memory is short") from error
        except interruption.Interrupted:
            over.set()
            raise


def end_with_parent(over: Event) -> None:
    """Called in a new process, which ends, whatever it does, with its parent and once `over` is set.

    A parent that is killed closes nothing, and its processes would wait for work for ever.
    """
    parent = parent_process()
    for end in (over.wait, *([parent.join] if parent is not None else [])):
        threading.Thread(target=_end_when, args=[end], daemon=True).start()


def _end_when(comes: Callable[[], object]) -> None:
    comes()
    os._exit(1)
