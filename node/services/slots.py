"""The limit of associations at once: a slot each, from the request to the end."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Slots:
    """The slots of one listener.

    An association that is being negotiated holds a slot, so that there are never more associations than slots; but only
    associations that have been negotiated make the listener full. Others wait the moment that a negotiation takes.
    """

    def __init__(self, limit: int, changed: Callable[[], None]) -> None:
        """`changed` is called, in any thread, whenever a slot is established or released."""
        self.limit = limit
        self._changed = changed
        self._negotiating: set[Slot] = set()
        self._established: set[Slot] = set()
        self._lock = threading.Lock()  # associations are established and end in threads of their own

    @property
    def full(self) -> bool:
        """Whether every slot is held by an association that has been negotiated."""
        with self._lock:
            return len(self._established) >= self.limit

    def take(self) -> Slot | None:
        """A slot to negotiate in; None while there is none."""
        with self._lock:
            if len(self._established) + len(self._negotiating) >= self.limit:
                return None
            slot = Slot(self)
            self._negotiating.add(slot)
            return slot

    def establish(self, slot: Slot) -> None:
        """The association has been negotiated; nothing where it has ended before."""
        with self._lock:
            if slot in self._negotiating:
                self._negotiating.remove(slot)
                self._established.add(slot)
        self._changed()

    def release(self, slot: Slot) -> None:
        """The slot is free; releasing twice is releasing once."""
        with self._lock:
            self._negotiating.discard(slot)
            self._established.discard(slot)
        self._changed()


class Slot:
    """The right of one association to be open, from its request to its end."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots

    def establish(self) -> None:
        """The association has been negotiated."""
        self._slots.establish(self)

    def release(self) -> None:
        """The association has ended, or will never be one."""
        self._slots.release(self)
