"""Work that costs as much for many as for one, done for all who wait for it.

Who comes first does it at once, in its own thread. Those who come meanwhile wait, and when it is done one of them does
it for all of them: alone nobody waits for anybody, and under load the groups grow by themselves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class _Member(Generic[T, R]):
    """One who waits; `turn` is released when it leads, or when it has its result."""

    __slots__ = ("error", "item", "result", "settled", "turn")

    def __init__(self, item: T) -> None:
        self.item = item
        self.turn = threading.Lock()
        self.turn.acquire()
        self.settled = False
        self.result: R | None = None
        self.error: Exception | None = None

    def settle(self) -> None:
        self.settled = True
        self.turn.release()


class Group(Generic[T, R]):
    """Runs `work` for the items of several threads together."""

    def __init__(self, work: Callable[[Sequence[T]], Sequence[R]], most: int = 64) -> None:
        """`work` gives a result for each item, in order, and may be called again where it failed.

        Args:
            work: done for all who wait; where it fails for several, it is repeated for each of them by itself.
            most: items at once.
        """
        self._work, self._most = work, most
        self._waiting: list[_Member[T, R]] = []
        self._busy = False
        self._lock = threading.Lock()  # members come in threads of their own

    def do(self, item: T) -> R:
        """The result of `work` for an item, done with others or alone.

        Raises:
            whatever `work` raises for this item.
        """
        own: _Member[T, R] = _Member(item)
        with self._lock:
            self._waiting.append(own)
            leads, self._busy = not self._busy, True
        if not leads:
            own.turn.acquire()
            leads = not own.settled
        if leads:
            self._lead(own)
        if own.error is not None:
            raise own.error
        return own.result  # type: ignore[return-value]  # settled without error

    def _lead(self, own: _Member[T, R]) -> None:
        with self._lock:
            members, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        try:
            self._settle(members)
        finally:
            with self._lock:
                following = self._waiting[0] if self._waiting else None
                self._busy = following is not None
            if following is not None:
                following.turn.release()
            for member in members:
                if member is not own:
                    member.settle()

    def _settle(self, members: Sequence[_Member[T, R]]) -> None:
        try:
            results = self._work([member.item for member in members])
        except Exception as error:  # noqa: BLE001 (it belongs to the threads whose items these are)
            if len(members) > 1:
                for member in members:
                    self._settle([member])
            else:
                members[0].error = error
            return
        for member, result in zip(members, results, strict=True):
            member.result = result
