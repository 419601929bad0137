"""kill -9 at moments that nobody has chosen."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from node.analysis.progress import running_steps

from ..parts.node import Node
from ..parts.processes import wait_for

#: The latest moment after a start, in times of what a start takes.
_UNTIL = 1.6
#: Of every second kill: the latest moment after an analysis is under way, in s, if one is soon enough.
_WITHIN_S = 1.5
_LOOK_S = 0.05


@dataclass
class Killer:
    """Starts a node and kills it, again and again.

    Attributes:
        node: not started yet.
        chance: decides about the moments.
        roles: of the node; empty: all.
        kills: so far.
        in_an_analysis: of these, while a step of an analysis was under way.
    """

    node: Node
    chance: random.Random
    roles: tuple[str, ...] = ()
    kills: int = 0
    in_an_analysis: int = 0
    _ready_s: float = 0

    def kill(self, count: int, is_up: Callable[[], object]) -> None:
        """Kill it so often, at any moment until it has been up for a while; it is not running then.

        Starting takes longer than analysing: every second kill waits for an analysis and comes while that is under way.
        """
        for _ in range(count):
            before = self._steps()
            self._start(is_up)
            longest = _UNTIL * self._ready_s
            if self.kills % 2 and self._goes_on(before, longest):
                longest = _WITHIN_S
            time.sleep(self.chance.uniform(0, longest))
            steps = self._steps()
            self.in_an_analysis += bool(steps and steps != before)
            self.node.kill()
            self.kills += 1

    def _start(self, is_up: Callable[[], object]) -> None:
        begun = time.monotonic()
        self.node.launch(*self.roles)
        if not self._ready_s:
            wait_for(is_up, "the node is up", 120)
            self._ready_s = time.monotonic() - begun

    def _goes_on(self, before: dict[str, str], seconds: float) -> bool:
        """Whether an analysis begins, or finishes a step, in this time."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self._steps() not in ({}, before):
                return True
            time.sleep(_LOOK_S)
        return False

    def _steps(self) -> dict[str, str]:
        """The last step that each analysis under way, or interrupted by a kill, has finished."""
        return running_steps(self.node.folder / "var")
