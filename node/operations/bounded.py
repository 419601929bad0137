"""Work in a process of its own, which is ended after a time.

What a person writes, such as a regular expression, may keep a processor for ever, and with it the interpreter: no
thread of the process runs beside it, and nothing in it can end it.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TypeVar, cast

from node.errors import NodeError
from node.failure import FAULTS

_Found = TypeVar("_Found")


class OverdueError(NodeError):
    """The work has not ended in its time."""


def within(limit_s: float, what: str, work: Callable[[], _Found]) -> _Found:
    """What `work` gives or raises in a new process, which has `limit_s` seconds; the work and its end are pickled.

    Raises:
        OverdueError: it took longer, or was killed; says `what` was not done.
    """
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_done, args=(limit_s, work, sender), name=what, daemon=True)
    try:
        process.start()
        sender.close()  # so that the end of the process is the end of what is received
        if not receiver.poll(limit_s):
            raise OverdueError(f"{what} was ended after {limit_s:g} s")
        found, error = receiver.recv()
    except EOFError:
        raise OverdueError(f"{what} was ended: it took more than {limit_s:g} s, or memory is short") from None
    finally:
        receiver.close()
        if process.pid is not None:
            process.kill()
            process.join()
    if error is not None:
        raise error
    return cast(_Found, found)


def _done(limit_s: float, work: Callable[[], object], sender: Connection) -> None:
    # By the operating system: no thread would get a turn, and the process that waits for this one may be gone.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    end: tuple[object, BaseException | None]
    try:
        end = (work(), None)
    except (NodeError, *FAULTS) as error:
        end = (None, error)
    sender.send(end)
