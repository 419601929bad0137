"""The DICOM transport: results to a storage SCP by C-STORE, over one association or several at the same time."""

from __future__ import annotations

import errno
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import closing

from node.delivery.attempts import Attempt
from node.dicom.association import RemoteAE
from node.dicom.outcomes import StoreOutcome, StoreResult
from node.dicom.scu import End, sent
from node.dicom.sendable import Sendable, batches
from node.settings import RemoteSettings
from storage.files import ObjectStore
from storage.records import DeliveryRecord, InstanceHeader

UNSETTLED = 16
"""Attempts that are settled together, while as many may have ended: what goes twice, at most, after a kill."""

_TOGETHER_S = 0.05
"""How long an attempt that has ended waits for others, so that one commit does for all."""


def send(
    records: Sequence[DeliveryRecord],
    destination: RemoteSettings,
    files: ObjectStore,
    wanted: Callable[[DeliveryRecord], bool],
) -> Generator[list[Attempt], None, None]:
    """Send results over as few associations as their presentation contexts allow, one attempt each.

    Yields the attempts that have ended since the last time, while others are under way. Closing the generator early
    releases the associations. What is not `wanted` any more when its turn comes is left out, without an attempt.

    Raises:
        OSError: this machine has no thread left.
    """
    sendable = {files.absolute(record.result.file): record for record in records}
    for batch in batches([Sendable(path, _header(it), it.result.file.size) for path, it in sendable.items()]):
        outcomes = _Associations(batch, destination, lambda file: wanted(sendable[file.path])).outcomes()
        with closing(outcomes):
            for group in outcomes:
                yield [_attempt(sendable[outcome.path], outcome) for outcome in group]


_Item = StoreOutcome | End | Exception


class _Associations:
    """Associations that send the files of one batch, each in a thread of its own."""

    def __init__(
        self, batch: Sequence[Sendable], destination: RemoteSettings, wanted: Callable[[Sendable], bool]
    ) -> None:
        self._batch, self._waiting, self._wanted = batch, deque(batch), wanted
        self._receiver = RemoteAE.of(destination)
        self._name, self._most = destination.name, destination.associations
        self._threads: list[threading.Thread] = []
        self._ended = _Ended()
        self._over = threading.Event()

    def outcomes(self) -> Generator[list[StoreOutcome], None, None]:
        """What came of the files, in groups: all that has ended when it is looked for.

        Raises:
            OSError: this machine has no thread left.
        """
        try:
            self._begin_another()
            end = yield from self._collected()
        finally:
            self._over.set()
            while any(thread.is_alive() for thread in self._threads):
                self._ended.taken(wait_s=0.1)
        yield [end.of(file) for file in self._waiting]

    def _begin_another(self) -> None:
        number = len(self._threads) + 1
        thread = threading.Thread(target=self._send, name=f"delivery-{self._name}-{number}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # how Python says that no thread can be started
            raise OSError(errno.EAGAIN, str(error)) from error
        self._threads.append(thread)

    def _collected(self) -> Generator[list[StoreOutcome], None, End]:
        """The outcomes until all associations have ended; returns what holds for the files that had no turn.

        They begin one after another, each when those before it have brought something: of several at the same time a
        receiver that takes fewer may reject all.
        """
        ends: list[End] = []
        faults: list[Exception] = []
        while len(ends) + len(faults) < len(self._threads):
            taken = self._ended.taken()
            ends += [it for it in taken if isinstance(it, End)]
            faults += [it for it in taken if isinstance(it, Exception)]
            if faults:
                self._over.set()
            if group := [it for it in taken if isinstance(it, StoreOutcome)]:
                yield group
                if len(self._threads) < self._most and self._waiting and not ends:
                    self._begin_another()
        if faults:
            raise faults[0]
        # What one association was told is no refusal of an object as long as another was not told so.
        return min(ends, key=lambda end: end.result is StoreResult.PERMANENT)

    def _send(self) -> None:
        """One association, in a thread of its own."""
        try:
            self._ended.put(self._sent())
        except Exception as error:  # noqa: BLE001 (it belongs to whoever collects)
            self._ended.put(error)

    def _is_wanted(self, file: Sendable) -> bool:
        return not self._over.is_set() and self._wanted(file)

    def _sent(self) -> End:
        outcomes = sent(self._receiver, self._batch, self._waiting, self._is_wanted)
        while True:
            try:
                self._ended.put(next(outcomes))
            except StopIteration as stop:
                end: End = stop.value
                return end


class _Ended:
    """What has ended, from the threads that send to the one that settles, which is woken once for many."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._items: list[_Item] = []
        self._last = False  # whether an association has ended: nothing need be waited for any more

    def put(self, item: _Item) -> None:
        """Add something; waits while too much has not been taken."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) < UNSETTLED)
            self._items.append(item)
            self._last |= not isinstance(item, StoreOutcome)
            if len(self._items) == 1 or self._enough():
                self._changed.notify_all()

    def taken(self, wait_s: float | None = None) -> list[_Item]:
        """What has ended, with what ends soon after it; nothing where there is nothing within `wait_s`."""
        with self._changed:
            if self._changed.wait_for(lambda: self._items, wait_s):
                self._changed.wait_for(self._enough, _TOGETHER_S)
            taken, self._items, self._last = self._items, [], False
            self._changed.notify_all()
            return taken

    def _enough(self) -> bool:
        return self._last or len(self._items) >= UNSETTLED


def _header(record: DeliveryRecord) -> InstanceHeader:
    """What is known of the object in the file of a result."""
    result = record.result
    return InstanceHeader(
        sop_class_uid=result.sop_class_uid,
        sop_instance_uid=result.sop_instance_uid,
        study_instance_uid=result.study_instance_uid,
        series_instance_uid=result.series_instance_uid,
        transfer_syntax_uid=result.transfer_syntax_uid,
    )


def _attempt(record: DeliveryRecord, outcome: StoreOutcome) -> Attempt:
    lost = outcome.result is StoreResult.TRANSIENT and outcome.status is None
    return Attempt(record, outcome.result, outcome.reason, ended_connection=lost)
