"""What a node occupies while it runs, sampled from outside."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from ..parts.node import Node
from .nodes import orphans, settings_of, standing


@dataclass(frozen=True)
class Sample:
    """At one moment.

    Attributes:
        memory_mb: of its own that is resident; pages of files come and go with what else the machine does.
        descriptors: that are open.
        threads: of the process.
        queue: studies that are not analysed yet.
        undelivered: results that are to be sent.
        spool: files in the spool.
        orphans: files among the objects, older than what is under way, that nobody knows.
        volumes: files of volumes that an analysis keeps while it is under way.
    """

    memory_mb: float
    descriptors: int
    threads: int
    queue: int
    undelivered: int
    spool: int
    orphans: int
    volumes: int


#: An object has its row a moment after its name; an analysis keeps its results before it concludes.
_UNDER_WAY_S = 60


def sample(node: Node) -> Sample:
    """Look at a node that runs."""
    assert node.process is not None
    process, settings = Path("/proc", str(node.process.pid)), settings_of(node)
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    stands = standing(settings)
    return Sample(
        memory_mb=int(status["RssAnon"].split()[0]) / 1024,
        descriptors=len(list((process / "fd").iterdir())),
        threads=int(status["Threads"]),
        queue=sum(state in ("RECEIVING", "QUEUED") for state in stands.states.values()),
        undelivered=stands.open_deliveries,
        spool=len(list((settings.root / "spool").iterdir())),
        orphans=len(orphans(settings, _UNDER_WAY_S)),
        volumes=len(list((settings.root / "work").rglob("*.nrrd"))),
    )


@dataclass
class Sampling:
    """Samples a node again and again in a thread, until the block ends."""

    node: Node
    every_s: float
    samples: list[Sample] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Sampling:
        self._thread = threading.Thread(target=self._run, name="samples", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self.every_s):
            self.samples.append(sample(self.node))

    def series(self) -> dict[str, Sequence[float]]:
        """The values of each attribute, one after another."""
        return {each.name: [getattr(one, each.name) for one in self.samples] for each in fields(Sample)}
