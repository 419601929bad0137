"""Storage commitment: what the node keeps it says to keep, what it does not have it says so, each to whom asked."""

from __future__ import annotations

import itertools
import json
from typing import Any

from pydicom import Dataset
from pydicom.uid import MRImageStorage, generate_uid
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from node.clock import utc_now
from node.settings import load_settings
from storage.database import open_engine
from storage.deliveries import Deliveries
from storage.files import ObjectStore
from storage.ledger import Ledger
from storage.records import DeliveryState

from ..node.delivery.queued import Queue, uid
from ..parts.dcmjs import DcmjsSCP, run_dcmjs
from ..parts.node import Node
from ..parts.orthanc import Orthanc
from ..parts.processes import wait_for
from ..parts.storage_scp import StorageSCP
from .archive import PynetdicomArchive
from .conftest import NODE
from .objects import SmallStudy
from .users import asking

NO_SUCH_INSTANCE = 0x0112
_numbers = itertools.count(1)
#: An object that the node never had.
MISSING = (str(MRImageStorage), "1.2.826.0.1.3680043.10.1599.404")

# --- the node is asked


def by_orthanc(node: Node, orthanc: Orthanc, held: SmallStudy) -> None:
    asked = [{"SOPClassUID": sop_class, "SOPInstanceUID": uid} for sop_class, uid in (*held.references(), MISSING)]
    transaction = orthanc.post("/modalities/interop/storage-commitment", {"DicomInstances": asked})["ID"]

    def report() -> Any:
        found = orthanc.get(f"/storage-commitment/{transaction}")
        return found if found["Status"] != "Pending" else None

    found = wait_for(report, "Orthanc has the report", 60)
    assert {it["SOPInstanceUID"] for it in found["Success"]} == {uid for _, uid in held.references()}
    assert [(it["SOPInstanceUID"], it["FailureReason"]) for it in found["Failures"]] == [(MISSING[1], NO_SUCH_INSTANCE)]


def by_pynetdicom(node: Node, storage_scp: StorageSCP, archive: PynetdicomArchive, held: SmallStudy) -> None:
    transaction = str(generate_uid())
    asked = Dataset()
    asked.TransactionUID = transaction
    asked.ReferencedSOPSequence = [_reference(*it) for it in (*held.references(), MISSING)]
    with asking(node, [build_context(StorageCommitmentPushModel)]) as association:
        status, _ = association.send_n_action(asked, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
        assert status.Status == 0
    found = wait_for(lambda: [it for it in archive.reports if it.TransactionUID == transaction], "the report", 60)[0]
    assert {str(it.ReferencedSOPInstanceUID) for it in found.ReferencedSOPSequence} == {
        uid for _, uid in held.references()
    }
    (failed,) = found.FailedSOPSequence
    assert (failed.ReferencedSOPInstanceUID, failed.FailureReason) == (MISSING[1], NO_SUCH_INSTANCE)


def by_dcmjs(node: Node, dcmjs: DcmjsSCP, held: SmallStudy) -> None:
    transaction = str(generate_uid())
    (answer,) = run_dcmjs("commit", node.port, NODE, transaction=transaction, objects=[*held.references(), MISSING])
    assert answer["status"] == 0

    def report() -> Any:
        lines = [
            json.loads(line[line.index("{") :]) for line in dcmjs.log().splitlines() if line.startswith("ASKED N-EVENT")
        ]
        return next((line for line in lines if line["TransactionUID"] == transaction), None)

    found = wait_for(report, "the report", 60)
    kept = {it["ReferencedSOPInstanceUID"] for it in found["ReferencedSOPSequence"]}
    assert kept == {uid for _, uid in held.references()}
    (failed,) = found["FailedSOPSequence"]
    assert (failed["ReferencedSOPInstanceUID"], failed["FailureReason"]) == (MISSING[1], NO_SUCH_INSTANCE)


# --- the node asks for what a destination has stored


def of_orthanc(node: Node, orthanc: Orthanc) -> None:
    uid = delivered(node, "ORTHANC")
    assert [it["MainDicomTags"]["SOPInstanceUID"] for it in orthanc.find("Instance", SOPInstanceUID=uid)] == [uid]


def of_pynetdicom(node: Node, storage_scp: StorageSCP) -> None:
    assert storage_scp.kept.count(delivered(node, "PYNETDICOM")) == 1


def of_dcmjs(node: Node, dcmjs: DcmjsSCP) -> None:
    uid = delivered(node, "DCMJS")
    assert [str(each.SOPInstanceUID) for each in dcmjs.data_sets()].count(uid) == 1
    (asked,) = [line for line in dcmjs.log().splitlines() if line.startswith("ASKED N-ACTION") and f'"{uid}"' in line]
    assert asked


def delivered(node: Node, destination: str, wanted: DeliveryState = DeliveryState.COMMITTED) -> str:
    """The SOP Instance UID of a result that the node has sent there, and that has been committed, or stored."""
    settings = load_settings(node.config)
    engine = open_engine(settings.storage_url)
    queue = Queue(ObjectStore(settings.root), Ledger(engine), Deliveries(engine), utc_now)
    number = next(_numbers)
    queue.add(number, destinations=[destination])

    def state() -> str:
        records = queue.deliveries()
        return next(it.state for it in records if it.result.sop_instance_uid == uid(number))

    wait_for(lambda: state() == wanted, f"{destination} has {wanted} it", 60)
    engine.dispose()
    return uid(number)


def _reference(sop_class: str, uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
    return item
