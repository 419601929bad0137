"""The DICOM transport: results to a storage SCP by C-STORE."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing

from node.delivery.attempts import Attempt
from node.dicom.outcomes import StoreOutcome, StoreResult
from node.dicom.scu import store
from node.settings import RemoteSettings
from storage.files import ObjectStore
from storage.records import DeliveryRecord


def send(
    records: Sequence[DeliveryRecord],
    destination: RemoteSettings,
    files: ObjectStore,
    wanted: Callable[[DeliveryRecord], bool],
) -> Generator[Attempt, None, None]:
    """Send results over as few associations as their presentation contexts allow, one attempt each.

    Closing the generator early releases the association. What is not `wanted` any more when its turn comes is left
    out, without an attempt.
    """
    record_of = {files.absolute(record.result.file): record for record in records}
    outcomes = store(
        list(record_of),
        host=destination.host,
        port=destination.port,
        called_ae=destination.ae_title,
        calling_ae=destination.calling_ae_title,
        timeout_s=destination.timeout_s,
        wanted=lambda path: wanted(record_of[path]),
    )
    with closing(outcomes):
        for outcome in outcomes:
            yield _attempt(record_of[outcome.path], outcome)


def _attempt(record: DeliveryRecord, outcome: StoreOutcome) -> Attempt:
    lost = outcome.result is StoreResult.TRANSIENT and outcome.status is None
    return Attempt(record, outcome.result, outcome.reason, ended_connection=lost)
