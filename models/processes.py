"""Processes that compute for this one, and end with it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from multiprocessing.connection import Connection
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
    watched, end = context.Pipe(duplex=False)
    with watched, end, ProcessPoolExecutor(1, context, end_with_parent, (watched,)) as alone:
        try:
            found = alone.submit(work)
            while not wait([found], _LOOK_S).done:
                interruption.check()
            return found.result()
        except BrokenProcessPool as error:
            raise ProcessKilledError("a process of the node was killed, as happens when memory is short") from error
        except BaseException:
            end_processes(end)  # the pool would wait for the whole work
            raise


def end_with_parent(watched: Connection) -> None:
    """Called in a new process, which ends, whatever it does, with its parent and once that calls `end_processes`.

    Args:
        watched: the end to read of a pipe whose other end the parent alone has: it is closed with a parent that is
            killed, whose processes would wait for work for ever.
    """
    threading.Thread(target=_end_after, args=[watched], daemon=True).start()


def end_processes(end: Connection) -> None:
    """End the processes that watch the other end; in several threads at a time, and some may have been killed.

    An event of multiprocessing would wait for ever for one that was killed while it waited.
    """
    end.send_bytes(b"end")  # which none of them reads, so that each sees it


def _end_after(watched: Connection) -> None:
    watched.poll(None)
    os._exit(1)
