"""kill -9 at moments that nobody has chosen."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from node.analysis.progress import running_steps

from ..parts.node import Node
from ..parts.processes import wait_for

#: The latest moment, in times of what a start takes: a third of the kills come while it works.
_UNTIL = 1.6


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
        """Kill it so often, at any moment until it has been up for a while; it is not running then."""
        for _ in range(count):
            self._start(is_up)
            time.sleep(self.chance.uniform(0, _UNTIL * self._ready_s))
            self.in_an_analysis += bool(running_steps(self.node.folder / "var"))
            self.node.kill()
            self.kills += 1

    def _start(self, is_up: Callable[[], object]) -> None:
        begun = time.monotonic()
        self.node.launch(*self.roles)
        if not self._ready_s:
            wait_for(is_up, "the node is up", 120)
            self._ready_s = time.monotonic() - begun
