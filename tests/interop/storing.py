"""C-STORE: what one side sends is what the other has, bit by bit unless the part encodes it anew."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydicom import Dataset, dcmread
from pynetdicom.presentation import build_context

from node.dicom.outcomes import StoreResult
from node.dicom.scu import store

from ..parts.dcmjs import DcmjsSCP, run_dcmjs
from ..parts.dcmtk import Archive, StoreSCP, Tool
from ..parts.node import Node
from ..parts.orthanc import Orthanc
from ..parts.storage_scp import StorageSCP
from .conftest import NODE
from .objects import SmallStudy, bytes_by_uid, values_by_uid
from .users import asking

# --- the node is sent something


def by_storescu(node: Node, dcmtk: Tool, study: SmallStudy) -> None:
    answer = dcmtk("storescu", "-R", "-aet", "DCMTK", "-aec", NODE, "127.0.0.1", node.port, *study.paths)
    assert answer.returncode == 0, answer.stderr
    assert bytes_by_uid(node.objects(study.uid)) == study.bytes_by_uid()


def by_pynetdicom(node: Node, study: SmallStudy) -> None:
    read = [dcmread(path) for path in study.paths]
    kinds = dict.fromkeys((str(it.SOPClassUID), str(it.file_meta.TransferSyntaxUID)) for it in read)
    with asking(node, [build_context(*kind) for kind in kinds]) as association:
        assert [association.send_c_store(path).Status for path in study.paths] == [0] * len(study.paths)
    assert bytes_by_uid(node.objects(study.uid)) == study.bytes_by_uid()


def by_orthanc(node: Node, orthanc: Orthanc, study: SmallStudy) -> None:
    _into(orthanc, study)
    answer = orthanc.post("/modalities/interop/store", [it["ID"] for it in _of(orthanc, study)])
    assert (answer["InstancesCount"], answer["FailedInstancesCount"]) == (len(study.paths), 0)
    _has_its_values(node, study)


def by_dcmqrscp(node: Node, dcmqrscp: Archive, dcmtk: Tool, study: SmallStudy) -> None:
    """It sends where movescu tells it to."""
    sent = dcmtk("storescu", "-R", "-aec", "DCMQRSCP", "127.0.0.1", dcmqrscp.port, *study.paths)
    assert sent.returncode == 0, sent.stderr
    _moved_by_movescu(dcmtk, "DCMQRSCP", dcmqrscp.port, study)
    _has_its_values(node, study)


def by_orthanc_told_by_movescu(node: Node, orthanc: Orthanc, dcmtk: Tool, study: SmallStudy) -> None:
    _into(orthanc, study)
    _moved_by_movescu(dcmtk, "ORTHANC", orthanc.dicom_port, study)
    _has_its_values(node, study)


def by_dcmjs(node: Node, study: SmallStudy) -> None:
    answers = run_dcmjs("store", node.port, NODE, files=[str(path) for path in study.paths])
    assert [answer["status"] for answer in answers] == [0] * len(study.paths)
    _has_its_values(node, study)


# --- the node sends something


def to_storescp(storescp: StoreSCP, study: SmallStudy) -> None:
    _sent(storescp.port, "DCMTK", study)
    assert bytes_by_uid(_files_of(study, storescp.files())) == study.bytes_by_uid()


def to_dcmqrscp(dcmqrscp: Archive, study: SmallStudy) -> None:
    _sent(dcmqrscp.port, "DCMQRSCP", study)
    assert values_by_uid(_of_study(study, dcmqrscp.data_sets("DCMQRSCP"))) == study.values_by_uid()


def to_orthanc(orthanc: Orthanc, study: SmallStudy) -> None:
    _sent(orthanc.dicom_port, "ORTHANC", study)
    assert values_by_uid(orthanc.data_sets(study.uid)) == study.values_by_uid()


def to_pynetdicom(storage_scp: StorageSCP, study: SmallStudy) -> None:
    _sent(storage_scp.port, "PYNETDICOM", study)
    assert values_by_uid(_of_study(study, storage_scp.data_sets())) == study.values_by_uid()


def to_dcmjs(dcmjs: DcmjsSCP, study: SmallStudy) -> None:
    _sent(dcmjs.port, "DCMJS", study)
    assert values_by_uid(_of_study(study, dcmjs.data_sets())) == study.values_by_uid()


def _sent(port: int, called: str, study: SmallStudy) -> None:
    outcomes = list(store(study.paths, "127.0.0.1", port, called, NODE, 30))
    assert [outcome.result for outcome in outcomes] == [StoreResult.SENT] * len(study.paths), outcomes


def _into(orthanc: Orthanc, study: SmallStudy) -> None:
    for path in study.paths:
        orthanc.store(path)


def _of(orthanc: Orthanc, study: SmallStudy) -> list[dict[str, str]]:
    return orthanc.find("Instance", StudyInstanceUID=study.uid)


def _moved_by_movescu(dcmtk: Tool, called: str, port: int, study: SmallStudy) -> None:
    keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study.uid}"]
    moved = dcmtk("movescu", "-S", "-aet", "DCMTK", "-aec", called, "-aem", NODE, *keys, "127.0.0.1", port)
    assert moved.returncode == 0, moved.stderr


def _has_its_values(node: Node, study: SmallStudy) -> None:
    assert values_by_uid(map(dcmread, node.objects(study.uid))) == study.values_by_uid()


def _files_of(study: SmallStudy, paths: Iterable[Path]) -> list[Path]:
    return [path for path in paths if dcmread(path, stop_before_pixels=True).StudyInstanceUID == study.uid]


def _of_study(study: SmallStudy, data_sets: Iterable[Dataset]) -> list[Dataset]:
    return [each for each in data_sets if each.StudyInstanceUID == study.uid]
