"""The DICOM transport: results to a storage SCP by C-STORE, over one association or several at the same time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import closing

from node.delivery.attempts import Attempt
from node.delivery.connections import Connections
from node.dicom.association import RemoteAE
from node.dicom.outcomes import StoreOutcome, StoreResult
from node.dicom.scu import End, sent
from node.dicom.sendable import Sendable, batches
from node.settings import RemoteSettings
from storage.files import ObjectStore
from storage.records import DeliveryRecord, InstanceHeader


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
        outcomes = _outcomes(batch, destination, lambda file: wanted(sendable[file.path]))
        with closing(outcomes):
            for group in outcomes:
                yield [_attempt(sendable[outcome.path], outcome) for outcome in group]


def _outcomes(
    batch: Sequence[Sendable], destination: RemoteSettings, wanted: Callable[[Sendable], bool]
) -> Generator[list[StoreOutcome], None, None]:
    """What came of the files of one batch, in groups."""
    receiver, waiting = RemoteAE.of(destination), deque(batch)

    def one_association(is_over: Callable[[], bool]) -> Generator[StoreOutcome, None, End]:
        return sent(receiver, batch, waiting, lambda file: not is_over() and wanted(file))

    ends = yield from Connections(destination, one_association, waiting).ended()
    # What one association was told is no refusal of an object as long as another was not told so.
    end = min(ends, key=lambda end: end.result is StoreResult.PERMANENT)
    yield [end.of(file) for file in waiting]


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
    return Attempt(record, outcome.result, outcome.reason, lost, outcome.fault)
