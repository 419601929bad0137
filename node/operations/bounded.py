"""Work in a process of its own, which is ended after a time.

What a person writes, such as a regular expression, may keep a processor for ever, and with it the interpreter: no
thread of the process runs beside it, and nothing in it can end it.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from models.errors import ProcessKilledError
from models.processes import apart
from node.errors import NodeError

_Found = TypeVar("_Found")


class OverdueError(NodeError):
    """The work has not ended in its time."""


def within(limit_s: float, what: str, work: Callable[[], _Found]) -> _Found:
    """What `work` gives or raises in a new process, which has `limit_s` seconds for it; as `models.processes.apart`.

    Raises:
        OverdueError: it took longer, or was killed; says `what` was not done.
    """
    try:
        return apart(partial(_limited, limit_s, work))
    except ProcessKilledError as error:
        raise OverdueError(f"{what} was ended: it took more than {limit_s:g} s, or memory is short") from error


def _limited(limit_s: float, work: Callable[[], _Found]) -> _Found:
    # By the operating system: no thread would get a turn, and the process that waits for this one may be gone.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    return work()
