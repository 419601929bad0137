"""Several connections to a destination at the same time: each sends in a thread of its own what waits for all."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Generator, Sized
from dataclasses import dataclass
from typing import Generic, TypeVar

from node.settings import RemoteSettings

UNSETTLED = 16
"""Attempts that are settled together, while as many may have ended: what goes twice, at most, after a kill."""

_TOGETHER_S = 0.05
"""How long an attempt that has ended waits for others, so that one commit does for all."""

_T = TypeVar("_T")
_E = TypeVar("_E")

Send = Callable[[Callable[[], bool]], Generator[_T, None, _E]]
"""Sends over one connection: yields what has ended, returns why it ended itself. Its argument says whether nothing more
is to be sent."""


@dataclass(frozen=True, slots=True)
class _Over(Generic[_E]):
    """The end of a connection; a fault of this program in it belongs to whoever collects."""

    end: _E | None = None
    fault: Exception | None = None


class Connections(Generic[_T, _E]):
    """Connections that send what waits, as many as the destination gets at the same time."""

    def __init__(self, destination: RemoteSettings, send: Send[_T, _E], waiting: Sized) -> None:
        """`waiting` is what had no turn yet, from which `send` takes."""
        self._name, self._most = destination.name, destination.associations
        self._send, self._waiting = send, waiting
        self._threads: list[threading.Thread] = []
        self._ended: _Ended[_T, _E] = _Ended()
        self._stop = threading.Event()

    def ended(self) -> Generator[list[_T], None, list[_E]]:
        """What has ended, in groups: all that has ended when it is looked for; returns why each connection did.

        Closing the generator early ends the connections.

        Raises:
            OSError: this machine has no thread left.
        """
        try:
            self._begin_another()
            return (yield from self._collected())
        finally:
            self._stop.set()
            while any(thread.is_alive() for thread in self._threads):
                self._ended.taken(wait_s=0.1)

    def _begin_another(self) -> None:
        number = len(self._threads) + 1
        thread = threading.Thread(target=self._run, name=f"delivery-{self._name}-{number}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # how Python says that no thread can be started
            raise OSError(errno.EAGAIN, str(error)) from error
        self._threads.append(thread)

    def _collected(self) -> Generator[list[_T], None, list[_E]]:
        """They begin one after another, each when those before it have brought something: of several at the same time a
        receiver that takes fewer may reject all.
        """
        over: list[_Over[_E]] = []
        while len(over) < len(self._threads):
            taken = self._ended.taken()
            over += [it for it in taken if isinstance(it, _Over)]
            if any(it.fault for it in over):
                self._stop.set()
            if group := [it for it in taken if not isinstance(it, _Over)]:
                yield group
                if len(self._threads) < self._most and len(self._waiting) and not over:
                    self._begin_another()
        if faults := [it.fault for it in over if it.fault]:
            raise faults[0]
        return [it.end for it in over if it.end is not None]

    def _run(self) -> None:
        """One connection, in a thread of its own."""
        sending = self._send(self._stop.is_set)
        try:
            while True:
                self._ended.put(next(sending))
        except StopIteration as stop:
            self._ended.put(_Over(end=stop.value))
        except Exception as error:  # noqa: BLE001 (it belongs to whoever collects)
            self._ended.put(_Over(fault=error))


class _Ended(Generic[_T, _E]):
    """What has ended, from the threads that send to the one that settles, which is woken once for many."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._items: list[_T | _Over[_E]] = []
        self._last = False  # whether a connection has ended: nothing need be waited for any more

    def put(self, item: _T | _Over[_E]) -> None:
        """Add something; waits while too much has not been taken."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) < UNSETTLED)
            self._items.append(item)
            self._last |= isinstance(item, _Over)
            if len(self._items) == 1 or self._enough():
                self._changed.notify_all()

    def taken(self, wait_s: float | None = None) -> list[_T | _Over[_E]]:
        """What has ended, with what ends soon after it; nothing where there is nothing within `wait_s`."""
        with self._changed:
            if self._changed.wait_for(lambda: self._items, wait_s):
                self._changed.wait_for(self._enough, _TOGETHER_S)
            taken, self._items, self._last = self._items, [], False
            self._changed.notify_all()
            return taken

    def _enough(self) -> bool:
        return self._last or len(self._items) >= UNSETTLED
