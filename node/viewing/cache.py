"""What was read last, kept up to a bound; for use by several threads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class BoundedCache(Generic[Value]):
    """The values that were asked for last, the sizes of which are at most `most` together, or one alone."""

    def __init__(self, most: int, size: Callable[[Value], int]) -> None:
        self._most, self._size = most, size
        self._kept: OrderedDict[Hashable, Value] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, read: Callable[[], Value], lasts: Callable[[Value], bool] = lambda _: True) -> Value:
        """The value of a key, read where it is not kept; raises as `read`. What does not last is not kept."""
        with self._lock:  # also while it is read: the same is asked for by several requests at the same time
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            found = read()
            if lasts(found):
                self._kept[key] = found
            while len(self._kept) > 1 and sum(map(self._size, self._kept.values())) > self._most:
                self._kept.popitem(last=False)
            return found
