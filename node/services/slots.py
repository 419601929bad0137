"""The limits of associations at once, in all and of each remote: a slot each, from the request to the end."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Slots:
    """The slots of one listener.

    An association that is being negotiated holds a slot, so that there are never more associations than slots; but only
    associations that have been negotiated make the listener full. Others wait the moment that a negotiation takes.

    One remote can have only so many of them, so that a slow one leaves slots to the others.
    """

    def __init__(self, limit: int, limit_per_remote: int, changed: Callable[[], None]) -> None:
        """`changed` is called, in any thread, whenever a slot is established or released."""
        self.limit, self.limit_per_remote = limit, limit_per_remote
        self._changed = changed
        self._negotiating: set[Slot] = set()
        self._established: set[Slot] = set()
        self._lock = threading.Lock()  # associations are established and end in threads of their own

    def full(self, remote: str) -> bool:
        """Whether every slot that the remote could have is held by an association that has been negotiated."""
        with self._lock:
            return self._taken(self._established, remote)

    def take(self, remote: str) -> Slot | None:
        """A slot to negotiate in; None while there is none for this remote."""
        with self._lock:
            if self._taken(self._established | self._negotiating, remote):
                return None
            slot = Slot(self, remote)
            self._negotiating.add(slot)
            return slot

    def _taken(self, slots: set[Slot], remote: str) -> bool:
        return len(slots) >= self.limit or sum(slot.remote == remote for slot in slots) >= self.limit_per_remote

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
    """The right of one association of a remote to be open, from its request to its end."""

    def __init__(self, slots: Slots, remote: str) -> None:
        self._slots, self.remote = slots, remote

    def establish(self) -> None:
        """The association has been negotiated."""
        self._slots.establish(self)

    def release(self) -> None:
        """The association has ended, or will never be one."""
        self._slots.release(self)
