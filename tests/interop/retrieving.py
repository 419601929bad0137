"""C-MOVE and C-GET by others: what the node has comes to whom it is sent, and is counted."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydicom import Dataset, dcmread
from pynetdicom import build_role, evt
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet, StudyRootQueryRetrieveInformationModelMove

from ..parts.dcmjs import DcmjsSCP, run_dcmjs
from ..parts.dcmtk import StoreSCP, Tool
from ..parts.node import Node
from ..parts.orthanc import Orthanc
from ..parts.storage_scp import StorageSCP
from .conftest import NODE
from .objects import SERIES, SmallStudy, bytes_by_uid, data_set_bytes, values_by_uid
from .users import asking

GET, MOVE = StudyRootQueryRetrieveInformationModelGet, StudyRootQueryRetrieveInformationModelMove
COUNT = sum(count for *_, count in SERIES)
UNKNOWN_DESTINATION = 0xA801

# --- the node is asked to move


def move_by_movescu(node: Node, dcmtk: Tool, storescp: StoreSCP, held: SmallStudy) -> None:
    """storescp writes the bits as they come, and takes each transfer syntax: nothing was changed on the way."""
    before = set(storescp.files())
    moved = dcmtk("movescu", "-S", "-v", *_keys(held), "-aet", "DCMTK", "-aec", NODE, "-aem", "DCMTK", *_at(node))
    assert moved.returncode == 0, moved.stderr
    assert bytes_by_uid([path for path in storescp.files() if path not in before]) == held.bytes_by_uid()


def move_by_movescu_at_each_level(node: Node, dcmtk: Tool, storescp: StoreSCP, held: SmallStudy) -> None:
    """By patient root: a patient, a study, a series, an image."""
    keys = [f"PatientID={held.patient_id}", f"StudyInstanceUID={held.uid}", f"SeriesInstanceUID={held.uid}.1"]
    keys.append(f"SOPInstanceUID={held.uid}.1.2")
    everything = held.bytes_by_uid()
    first_series = {uid: found for uid, found in everything.items() if uid.startswith(f"{held.uid}.1.")}
    image = {uid: found for uid, found in everything.items() if uid == f"{held.uid}.1.2"}
    levels = (("PATIENT", everything), ("STUDY", everything), ("SERIES", first_series), ("IMAGE", image))
    for number, (level, expected) in enumerate(levels, 1):
        before = set(storescp.files())
        asked = [word for key in (f"QueryRetrieveLevel={level}", *keys[:number]) for word in ("-k", key)]
        moved = dcmtk("movescu", "-P", *asked, "-aet", "DCMTK", "-aec", NODE, "-aem", "DCMTK", *_at(node))
        assert moved.returncode == 0, moved.stderr
        assert bytes_by_uid([path for path in storescp.files() if path not in before]) == expected, level


def move_to_nobody_by_movescu(node: Node, dcmtk: Tool, held: SmallStudy) -> None:
    moved = dcmtk("movescu", "-S", "-d", *_keys(held), "-aet", "DCMTK", "-aec", NODE, "-aem", "NOBODY", *_at(node))
    assert moved.returncode != 0
    assert "0xa801" in (moved.stdout + moved.stderr).lower()


def move_by_pynetdicom(node: Node, storage_scp: StorageSCP, held: SmallStudy) -> None:
    before = len(storage_scp.kept)
    with asking(node, [build_context(MOVE)]) as association:
        *pending, (last, _) = list(association.send_c_move(_identifier(held), "PYNETDICOM", MOVE))
        assert (last.Status, last.NumberOfCompletedSuboperations) == (0, COUNT)
        assert {status.Status for status, _ in pending} <= {0xFF00}
        *_, (refused, _) = list(association.send_c_move(_identifier(held), "NOBODY", MOVE))
    assert refused.Status == UNKNOWN_DESTINATION
    assert _bytes(storage_scp.kept[before:], storage_scp.files[before:]) == held.bytes_by_uid()


def move_by_orthanc(node: Node, orthanc: Orthanc, held: SmallStudy) -> None:
    asked = {"Level": "Study", "Query": {"StudyInstanceUID": held.uid}}
    query = orthanc.post("/modalities/interop/query", asked)["ID"]
    orthanc.post(f"/queries/{query}/retrieve", {"TargetAet": "ORTHANC", "Synchronous": True})
    assert values_by_uid(orthanc.data_sets(held.uid)) == held.values_by_uid()


def move_by_dcmjs(node: Node, dcmjs: DcmjsSCP, held: SmallStudy) -> None:
    before = set(dcmjs.files())
    answers = run_dcmjs("move", node.port, NODE, destination="DCMJS", study=held.uid)
    assert (answers[-1]["status"], answers[-1]["completed"]) == (0, COUNT)
    assert {path for path in dcmjs.files() if path not in before}
    found = [each for each in dcmjs.data_sets() if each.StudyInstanceUID == held.uid]
    assert values_by_uid(found) == held.values_by_uid()


# --- the node is asked to send on the same association


def get_by_getscu(node: Node, dcmtk: Tool, held: SmallStudy, tmp_path: Path) -> None:
    got = dcmtk("getscu", "-S", "-v", "+B", *_keys(held), "-od", tmp_path, "-aet", "DCMTK", "-aec", NODE, *_at(node))
    assert got.returncode == 0, got.stderr
    assert values_by_uid(map(dcmread, tmp_path.iterdir())) == held.values_by_uid()


def get_by_pynetdicom(node: Node, held: SmallStudy) -> None:
    kept, files = [], []

    def keep(event: evt.Event) -> int:
        kept.append(str(event.request.AffectedSOPInstanceUID))
        files.append(event.encoded_dataset())
        return 0

    kinds = [(sop_class, syntax) for sop_class, _, syntax, _ in SERIES]
    roles = [build_role(sop_class, scu_role=False, scp_role=True) for sop_class, _ in kinds]
    contexts = [build_context(GET), *(build_context(*kind) for kind in kinds)]
    with asking(node, contexts, [(evt.EVT_C_STORE, keep)], roles) as association:
        *_, (last, _) = list(association.send_c_get(_identifier(held), GET))
    assert (last.Status, last.NumberOfCompletedSuboperations) == (0, COUNT)
    assert _bytes(kept, files) == held.bytes_by_uid()


def get_by_dcmjs(node: Node, held: SmallStudy, tmp_path: Path) -> None:
    answers = run_dcmjs("get", node.port, NODE, study=held.uid, folder=str(tmp_path))
    assert (answers[-1]["status"], answers[-1]["completed"]) == (0, COUNT)
    assert values_by_uid(map(dcmread, tmp_path.iterdir())) == held.values_by_uid()


def _keys(study: SmallStudy) -> list[str]:
    return ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study.uid}"]


def _at(node: Node) -> list[str]:
    return ["127.0.0.1", str(node.port)]


def _identifier(study: SmallStudy) -> Dataset:
    asked = Dataset()
    asked.QueryRetrieveLevel, asked.StudyInstanceUID = "STUDY", study.uid
    return asked


def _bytes(kept: Iterable[str], files: Iterable[bytes]) -> dict[str, bytes]:
    """The encoded data sets by SOP Instance UID; each must be there once."""
    pairs = [(uid, data_set_bytes(file)) for uid, file in zip(kept, files, strict=True)]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)
