"""The objects of a C-MOVE on their way to its destination: by associations of 128 contexts at most."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence

from node.dicom.association import RemoteAE
from node.dicom.command import Originator
from node.dicom.outcomes import StoreOutcome, StoreResult
from node.dicom.scu import End, sent
from node.dicom.sendable import Sendable, batches
from node.settings import RemoteSettings


def moved(
    files: Sequence[Sendable], destination: RemoteSettings, originator: Originator
) -> Generator[StoreOutcome, None, None]:
    """Send files, each once; yields what became of each.

    A destination that ends an association over which it has taken something is called again for the rest. Closing the
    generator early releases the association.

    Args:
        files: what to send.
        destination: to whom; its time limit holds for each answer.
        originator: who asked for it.
    """
    receiver = RemoteAE.of(destination)
    for batch in batches(files):
        waiting = deque(batch)
        end = End(StoreResult.NOT_TRIED)
        more = True
        while waiting and more:
            more, end = yield from _association(receiver, batch, waiting, originator)
        for file in waiting:
            yield end.of(file)


def _association(
    receiver: RemoteAE, batch: Sequence[Sendable], waiting: deque[Sendable], originator: Originator
) -> Generator[StoreOutcome, None, tuple[bool, End]]:
    """One association; returns whether anything was taken over it, and what holds for the files that still wait."""
    outcomes = sent(receiver, batch, waiting, originator=originator)
    taken = False
    try:
        while True:
            try:
                outcome = next(outcomes)
            except StopIteration as stop:
                return taken, stop.value
            taken = taken or outcome.result is StoreResult.SENT
            yield outcome
    finally:
        outcomes.close()
