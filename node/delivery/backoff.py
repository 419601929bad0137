"""Back-off: how long an object, and how long a destination, is left alone after a failure."""

from __future__ import annotations

from datetime import timedelta

from node.clock import Clock
from node.settings import RemoteSettings

#: Before the next association where there is reason to believe that the destination takes objects, in s.
SHORT_WAIT_S = 1.0


class DestinationBackoff:
    """The wait of a destination that could not be reached, or whose association ended early.

    It doubles with each round that stored nothing, and an object that is stored ends it. Where an association ends
    in the middle of an object, that object may be the reason: once, the others are tried at once without it.
    """

    def __init__(self, settings: RemoteSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._since = self._until = clock()
        self._in_vain = 0
        self._spared = False

    @property
    def resting(self) -> bool:
        """Whether the destination is to be left alone now; not where the clock was set back before the wait began."""
        return self._since <= self._clock() < self._until

    @property
    def in_vain(self) -> int:
        """Rounds in a row that have stored nothing because of the destination."""
        return self._in_vain

    def reset(self) -> None:
        """The destination has stored something, or could be asked for commitment."""
        self._in_vain, self._spared = 0, False

    def rest(self, stored: bool, at_an_object: bool) -> float:
        """Leave the destination alone after a round that it ended early; returns for how many seconds.

        Args:
            stored: whether it stored something in that round.
            at_an_object: whether the connection ended while an object was under way.
        """
        if stored:
            self.reset()
            delay = SHORT_WAIT_S
        elif at_an_object and not self._spared:
            self._spared = True
            delay = SHORT_WAIT_S
        else:
            delay = self._settings.retry_delay_s(self._in_vain)
            self._in_vain += 1
        self._since = self._clock()
        self._until = self._since + timedelta(seconds=delay)
        return delay
