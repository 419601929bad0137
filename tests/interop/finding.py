"""C-FIND: each part gets the same answers from the node, and the node counts the same images at each."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
)

from node.dicom.association import RemoteAE
from node.dicom.find import count_images
from node.dicom.scu import store

from ..parts.dcmjs import DcmjsSCP, run_dcmjs
from ..parts.dcmtk import Archive, Tool
from ..parts.node import Node
from ..parts.orthanc import Orthanc
from ..parts.storage_scp import StorageSCP
from .conftest import NODE, Kept
from .objects import SmallStudy
from .users import asking

#: What is asked for of each series, beside its study.
KEYS = ("SeriesInstanceUID", "Modality", "NumberOfSeriesRelatedInstances")
PENDING = 0xFF00

# --- the node is asked for the series of a study


def by_findscu(node: Node, dcmtk: Tool, held: SmallStudy, tmp_path: Path) -> None:
    asked = ("QueryRetrieveLevel=SERIES", f"StudyInstanceUID={held.uid}", *KEYS)
    keys = [word for key in asked for word in ("-k", key)]
    answer = dcmtk("findscu", "-S", "-X", "-od", tmp_path, "-aet", "DCMTK", "-aec", NODE, *keys, "127.0.0.1", node.port)
    assert answer.returncode == 0, answer.stderr
    assert series(dcmread(path, force=True) for path in tmp_path.glob("rsp*.dcm")) == series_of(held)


def by_findscu_in_each_model(node: Node, dcmtk: Tool, held: SmallStudy, tmp_path: Path) -> None:
    """Patient root, study root, and patient/study only (PS3.4 C.6)."""
    keys = ("QueryRetrieveLevel=STUDY", f"PatientID={held.patient_id}", "StudyInstanceUID", "StudyDescription")
    words = [word for key in keys for word in ("-k", key)]
    for model in ("-P", "-S", "-O"):
        folder = tmp_path / model
        folder.mkdir()
        at = ("-aet", "DCMTK", "-aec", NODE, "127.0.0.1", node.port)
        answer = dcmtk("findscu", model, "-X", "-od", folder, *words, *at)
        assert answer.returncode == 0, answer.stderr
        (found,) = (dcmread(path, force=True) for path in folder.glob("rsp*.dcm"))
        assert (found.StudyInstanceUID, found.StudyDescription) == (held.uid, "Pelvis"), model


def by_pynetdicom(node: Node, held: SmallStudy) -> None:
    """Also by patient root, at each of its levels."""
    patient, study = PatientRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelFind
    with asking(node, [build_context(patient), build_context(study)]) as association:
        asked = Dataset()
        asked.QueryRetrieveLevel, asked.StudyInstanceUID = "SERIES", held.uid
        for key in KEYS:
            setattr(asked, key, None)
        assert series(_answers(association.send_c_find(asked, study))) == series_of(held)
        for level, count in (("PATIENT", 1), ("STUDY", 1), ("SERIES", 2), ("IMAGE", 2)):
            asked = Dataset()
            asked.QueryRetrieveLevel, asked.PatientID, asked.PatientName = level, held.patient_id, None
            if level != "PATIENT":
                asked.StudyInstanceUID = held.uid if level != "STUDY" else None
            if level == "IMAGE":
                asked.SeriesInstanceUID, asked.SOPInstanceUID = f"{held.uid}.1", None
            found = _answers(association.send_c_find(asked, patient))
            assert [str(each.PatientID) for each in found] == [held.patient_id] * count, level


def by_orthanc(node: Node, orthanc: Orthanc, held: SmallStudy) -> None:
    asked = {"Level": "Series", "Query": {"StudyInstanceUID": held.uid, **dict.fromkeys(KEYS, "")}}
    query = orthanc.post("/modalities/interop/query", asked)["ID"]
    found = orthanc.get(f"/queries/{query}/answers?expand&simplify")
    assert {(it["SeriesInstanceUID"], it["Modality"], int(it[KEYS[2]])) for it in found} == series_of(held)
    assert len(found) == 2


def by_dcmjs(node: Node, held: SmallStudy) -> None:
    keys = {"StudyInstanceUID": held.uid, **dict.fromkeys(KEYS, "")}
    *found, last = run_dcmjs("find", node.port, NODE, level="Series", keys=keys)
    assert [answer["status"] for answer in found] == [PENDING] * 2
    assert last["status"] == 0
    answers = [answer["dataset"] for answer in found]
    assert {(it["SeriesInstanceUID"], it["Modality"], int(it[KEYS[2]])) for it in answers} == series_of(held)


def series(found: Iterable[Dataset]) -> set[tuple[str, str, int]]:
    """Series Instance UID, modality and number of images of each; each must be answered once."""
    answers = [(str(it.SeriesInstanceUID), str(it.Modality), int(it.NumberOfSeriesRelatedInstances)) for it in found]
    assert len(set(answers)) == len(answers)
    return set(answers)


def series_of(study: SmallStudy) -> set[tuple[str, str, int]]:
    """The same, as it was made."""
    return {(f"{study.uid}.1", "MR", 2), (f"{study.uid}.2", "CT", 1)}


def _answers(responses: Any) -> list[Dataset]:
    *found, (last, _) = list(responses)
    assert (last.Status, {status.Status for status, _ in found}) == (0, {PENDING})
    return [answer for _, answer in found]


# --- the node asks how many images of a modality there are


def of_orthanc(orthanc: Orthanc, study: SmallStudy) -> None:
    for path in study.paths:
        orthanc.store(path)
    _counts(orthanc.dicom_port, "ORTHANC", study)


def of_dcmqrscp(dcmqrscp: Archive, study: SmallStudy) -> None:
    list(store(study.paths, "127.0.0.1", dcmqrscp.port, "DCMQRSCP", NODE, 30))
    _counts(dcmqrscp.port, "DCMQRSCP", study)


def of_pynetdicom(storage_scp: StorageSCP, kept_by_pynetdicom: Kept) -> None:
    _counts(storage_scp.port, "PYNETDICOM", kept_by_pynetdicom.for_move)


def of_dcmjs(dcmjs: DcmjsSCP, kept_by_dcmjs: Kept) -> None:
    before = dcmjs.log().count("ASKED C-FIND")
    _counts(dcmjs.port, "DCMJS", kept_by_dcmjs.for_move)
    assert dcmjs.log().count("ASKED C-FIND") > before


def _counts(port: int, called: str, study: SmallStudy) -> None:
    remote = RemoteAE("127.0.0.1", port, called, NODE, 30)
    assert count_images(remote, study.uid, "MR") == {f"{study.uid}.1": 2}
    assert count_images(remote, study.uid, "CT") == {f"{study.uid}.2": 1}
    assert count_images(remote, f"{study.uid}.9", "MR") == {}
