"""How often somebody has failed lately: who guesses has to wait."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

_MOST_KEYS = 10_000


class Attempts:
    """Failures by key, such as an address, within a time; for use by several threads."""

    def __init__(self, most: int = 10, within_s: float = 300.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._within_s, self._clock = most, within_s, clock
        self._failures: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def begin(self, *keys: str) -> float:
        """Begin an attempt, which counts as failed from now on: those that are made at once count each.

        Gives how long one of these has to wait, in seconds, and begins none then; else 0.
        """
        with self._lock:
            now = self._clock()
            if (wait_s := max((self._wait(key, now) for key in keys), default=0.0)) > 0:
                return wait_s
            for key in keys:
                self._failures.setdefault(key, deque(maxlen=self._most)).append(now)
            while len(self._failures) > _MOST_KEYS:
                del self._failures[next(iter(self._failures))]
            return 0.0

    def take_back(self, *keys: str) -> None:
        """Count an attempt that has begun as none."""
        with self._lock:
            for key in keys:
                if found := self._failures.get(key):
                    found.pop()

    def succeeded(self, *keys: str) -> None:
        """Forget the failures of each."""
        with self._lock:
            for key in keys:
                self._failures.pop(key, None)

    def _wait(self, key: str, now: float) -> float:
        found = self._failures.get(key, deque[float]())
        return max(found[0] + self._within_s - now, 0.0) if len(found) == self._most else 0.0
