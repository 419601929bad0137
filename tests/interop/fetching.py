"""C-MOVE and C-GET by the node: what each archive has comes here, and is counted."""

from __future__ import annotations

from pydicom import dcmread

from node.dicom.outcomes import StoreResult
from node.dicom.scu import store
from node.operations.retrieve import Order, retrieve
from node.retrieval.search import Ceiling
from node.settings import Method, load_settings

from ..parts.dcmjs import DcmjsSCP
from ..parts.dcmtk import Archive
from ..parts.node import Node
from ..parts.orthanc import Orthanc
from ..parts.storage_scp import StorageSCP
from .conftest import NODE, Kept
from .objects import SmallStudy, values_by_uid


def move_from_orthanc(node: Node, orthanc: Orthanc, study: SmallStudy) -> None:
    _into_orthanc(orthanc, study)
    _fetched(node, "ORTHANC", study, Method.MOVE)


def move_from_dcmqrscp(node: Node, dcmqrscp: Archive, study: SmallStudy) -> None:
    _into_dcmqrscp(dcmqrscp, study)
    _fetched(node, "DCMQRSCP", study, Method.MOVE)


def move_from_pynetdicom(node: Node, storage_scp: StorageSCP, kept_by_pynetdicom: Kept) -> None:
    _fetched(node, "PYNETDICOM", kept_by_pynetdicom.for_move, Method.MOVE)


def move_from_dcmjs(node: Node, dcmjs: DcmjsSCP, kept_by_dcmjs: Kept) -> None:
    _fetched(node, "DCMJS", kept_by_dcmjs.for_move, Method.MOVE)


def get_from_orthanc(node: Node, orthanc: Orthanc, study: SmallStudy) -> None:
    _into_orthanc(orthanc, study)
    _fetched(node, "ORTHANC", study, Method.GET)


def get_from_dcmqrscp(node: Node, dcmqrscp: Archive, study: SmallStudy) -> None:
    _into_dcmqrscp(dcmqrscp, study)
    _fetched(node, "DCMQRSCP", study, Method.GET)


def get_from_pynetdicom(node: Node, storage_scp: StorageSCP, kept_by_pynetdicom: Kept) -> None:
    _fetched(node, "PYNETDICOM", kept_by_pynetdicom.for_get, Method.GET)


def get_from_dcmjs(node: Node, dcmjs: DcmjsSCP, kept_by_dcmjs: Kept) -> None:
    _fetched(node, "DCMJS", kept_by_dcmjs.for_get, Method.GET)


def _into_orthanc(orthanc: Orthanc, study: SmallStudy) -> None:
    for path in study.paths:
        orthanc.store(path)


def _into_dcmqrscp(dcmqrscp: Archive, study: SmallStudy) -> None:
    sent = store(study.paths, "127.0.0.1", dcmqrscp.port, "DCMQRSCP", NODE, 30)
    assert {outcome.result for outcome in sent} == {StoreResult.SENT}


def _fetched(node: Node, remote: str, study: SmallStudy, method: Method) -> None:
    """As the command `retrieve` does it, which says the same of it as the files."""
    order = Order(remote, study=study.uid, method=method)
    (found,) = retrieve(load_settings(node.config), order, Ceiling(studies=1, images=len(study.paths))).studies
    assert (found.here, found.reason) == (len(study.paths), "")
    assert values_by_uid(map(dcmread, node.objects(study.uid))) == study.values_by_uid()
