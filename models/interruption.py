"""Safe points of long computations, at which whoever ordered them may have them end.

Who orders one says how it learns that nobody wants it any more (`ended_by`); loops over tiles, windows, features and
files call `check` between two of them. Without an order, and in threads that were not given its context, it does
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Interrupted(BaseException):
    """The computation was ended at a safe point; no `except Exception` takes it for a failure of its object."""


def _never() -> bool:
    return False


_is_ended: ContextVar[Callable[[], bool]] = ContextVar("is_ended", default=_never)


@contextmanager
def ended_by(is_ended: Callable[[], bool]) -> Iterator[None]:
    """A context whose safe points end the computation once `is_ended`; asked in this thread, and those given a copy."""
    token = _is_ended.set(is_ended)
    try:
        yield
    finally:
        _is_ended.reset(token)


def check() -> None:
    """A safe point.

    Raises:
        Interrupted: the computation is to end here.
    """
    if _is_ended.get()():
        raise Interrupted
