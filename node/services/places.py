"""How many associations there may be at once, and who has one of the places."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Places:
    """The places of one listener.

    Whoever negotiates holds a place, so that there are never more associations than places; but only associations
    that have been negotiated make the listener full. Others wait the moment that a negotiation takes.
    """

    def __init__(self, limit: int, changed: Callable[[], None]) -> None:
        """`changed` is called, in any thread, whenever somebody settles or leaves."""
        self.limit = limit
        self._changed = changed
        self._negotiating: set[Place] = set()
        self._settled: set[Place] = set()
        self._lock = threading.Lock()  # associations settle and leave in threads of their own

    @property
    def full(self) -> bool:
        """Whether every place is held by an association that has been negotiated."""
        with self._lock:
            return len(self._settled) >= self.limit

    def take(self) -> Place | None:
        """A place to negotiate in; None while there is none."""
        with self._lock:
            if len(self._settled) + len(self._negotiating) >= self.limit:
                return None
            place = Place(self)
            self._negotiating.add(place)
            return place

    def settle(self, place: Place) -> None:
        """The association has been negotiated; nothing where it has left before."""
        with self._lock:
            if place in self._negotiating:
                self._negotiating.remove(place)
                self._settled.add(place)
        self._changed()

    def leave(self, place: Place) -> None:
        """The place is free; leaving twice is leaving once."""
        with self._lock:
            self._negotiating.discard(place)
            self._settled.discard(place)
        self._changed()


class Place:
    """What one association holds from its request to its end."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def settle(self) -> None:
        """The association has been negotiated."""
        self._places.settle(self)

    def leave(self) -> None:
        """The association has ended, or will never be one."""
        self._places.leave(self)
