"""The DICOM transport: results to a storage SCP by C-STORE, over one association or several at the same time."""

from __future__ import annotations

import errno
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, suppress

from node.delivery.attempts import Attempt
from node.dicom.association import RemoteAE
from node.dicom.outcomes import StoreOutcome, StoreResult
from node.dicom.scu import End, sent
from node.dicom.sendable import Sendable, batches
from node.settings import RemoteSettings
from storage.files import ObjectStore
from storage.records import DeliveryRecord, InstanceHeader

UNSETTLED = 8
"""Attempts that have ended and wait to be settled, while as many are being settled: what goes twice after a kill."""


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


class _Associations:
    """Associations that send the files of one batch, each in a thread of its own."""

    def __init__(
        self, batch: Sequence[Sendable], destination: RemoteSettings, wanted: Callable[[Sendable], bool]
    ) -> None:
        self._batch, self._waiting, self._wanted = batch, deque(batch), wanted
        self._receiver = RemoteAE(
            destination.host,
            destination.port,
            destination.ae_title,
            destination.calling_ae_title,
            destination.timeout_s,
        )
        self._name, self._count = destination.name, min(destination.associations, len(batch))
        self._ended: queue.Queue[StoreOutcome | End | Exception] = queue.Queue(UNSETTLED)
        self._over = threading.Event()

    def outcomes(self) -> Generator[list[StoreOutcome], None, None]:
        """What came of the files, in groups: all that has ended when it is looked for.

        Raises:
            OSError: this machine has no thread left.
        """
        threads = [
            threading.Thread(target=self._send, name=f"delivery-{self._name}-{number}", daemon=True)
            for number in range(1, self._count + 1)
        ]
        try:
            for thread in threads:
                _start(thread)
            end = yield from self._collected()
        finally:
            self._over.set()
            while any(thread.is_alive() for thread in threads):
                self._taken(wait_s=0.1)
        yield [end.of(file) for file in self._waiting]

    def _collected(self) -> Generator[list[StoreOutcome], None, End]:
        """The outcomes until all associations have ended; returns what holds for the files that had no turn."""
        ends: list[End] = []
        faults: list[Exception] = []
        while len(ends) + len(faults) < self._count:
            taken = self._taken()
            ends += [it for it in taken if isinstance(it, End)]
            faults += [it for it in taken if isinstance(it, Exception)]
            if faults:
                self._over.set()
            if group := [it for it in taken if isinstance(it, StoreOutcome)]:
                yield group
        if faults:
            raise faults[0]
        # What one association was told is no refusal of an object as long as another was not told so.
        return min(ends, key=lambda end: end.result is StoreResult.PERMANENT)

    def _taken(self, wait_s: float | None = None) -> list[StoreOutcome | End | Exception]:
        """All that has ended, as soon as there is something; nothing where there is not within `wait_s`."""
        taken: list[StoreOutcome | End | Exception] = []
        with suppress(queue.Empty):
            taken.append(self._ended.get(timeout=wait_s))
            while len(taken) < UNSETTLED:
                taken.append(self._ended.get_nowait())
        return taken

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


def _start(thread: threading.Thread) -> None:
    try:
        thread.start()
    except RuntimeError as error:  # how Python says that no thread can be started
        raise OSError(errno.EAGAIN, str(error)) from error


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
