"""DICOMweb: QIDO-RS, WADO-RS and STOW-RS of the node, and STOW-RS by it."""

from __future__ import annotations

import pytest
from dicomweb_client import DICOMwebClient
from pydicom import Dataset, dcmread

from node.operations.transfer import echo_remote
from node.settings import load_settings
from storage.records import DeliveryState

from ..parts.node import Node
from ..parts.orthanc import DICOMWEB, Orthanc
from .committing import delivered
from .conftest import NODE, WEB
from .objects import SmallStudy, bytes_by_uid, values_by_uid

AS_STORED = (("application/dicom", "*"),)

# --- the node is asked


def searched_by_dicomweb_client(node: Node, ports: dict[str, int], held: SmallStudy) -> None:
    client = _client(ports)
    (study,) = client.search_for_studies(search_filters={"PatientID": held.patient_id})
    assert Dataset.from_json(study).StudyInstanceUID == held.uid
    assert {Dataset.from_json(each).Modality for each in client.search_for_series(held.uid)} == {"MR", "CT"}
    instances = [Dataset.from_json(each) for each in client.search_for_instances(held.uid)]
    assert {(each.SOPClassUID, each.SOPInstanceUID) for each in instances} == set(held.references())


def searched_by_orthanc(node: Node, orthanc: Orthanc, ports: dict[str, int], held: SmallStudy) -> None:
    asked = {
        "Uri": "/studies",
        "Arguments": {"PatientID": held.patient_id},
        "HttpHeaders": {"Accept": "application/json"},
    }
    (found,) = _known(orthanc, ports).post(f"/dicom-web/servers/{NODE}/get", asked)
    assert found["0020000D"]["Value"] == [held.uid]


def fetched_by_dicomweb_client(node: Node, ports: dict[str, int], held: SmallStudy) -> None:
    fetched = _client(ports).retrieve_study(held.uid, media_types=AS_STORED)
    assert values_by_uid(fetched) == held.values_by_uid()


def fetched_by_orthanc(node: Node, orthanc: Orthanc, ports: dict[str, int], held: SmallStudy) -> None:
    asked = {"Resources": [{"Study": held.uid}], "Synchronous": True}
    _known(orthanc, ports).post(f"/dicom-web/servers/{NODE}/retrieve", asked)
    assert values_by_uid(orthanc.data_sets(held.uid)) == held.values_by_uid()


def stored_by_dicomweb_client(node: Node, ports: dict[str, int], study: SmallStudy) -> None:
    _client(ports).store_instances([dcmread(path) for path in study.paths])
    assert bytes_by_uid(node.objects(study.uid)) == study.bytes_by_uid()


def stored_by_orthanc(node: Node, orthanc: Orthanc, ports: dict[str, int], study: SmallStudy) -> None:
    for path in study.paths:
        orthanc.store(path)
    (found,) = orthanc.find("Study", StudyInstanceUID=study.uid)
    _known(orthanc, ports).post(f"/dicom-web/servers/{NODE}/stow", {"Resources": [found["ID"]], "Synchronous": True})
    assert values_by_uid(map(dcmread, node.objects(study.uid))) == study.values_by_uid()


# --- the node asks


def asked_whether_orthanc_takes_results(node: Node) -> None:
    _needs_dicomweb()
    assert echo_remote(load_settings(node.config), WEB).reason == ""


def stored_in_orthanc(node: Node, orthanc: Orthanc) -> None:
    _needs_dicomweb()
    uid = delivered(node, WEB, DeliveryState.STORED)
    assert [it["MainDicomTags"]["SOPInstanceUID"] for it in orthanc.find("Instance", SOPInstanceUID=uid)] == [uid]


def _client(ports: dict[str, int]) -> DICOMwebClient:
    return DICOMwebClient(_url(ports))


def _known(orthanc: Orthanc, ports: dict[str, int]) -> Orthanc:
    """Orthanc, which knows the node as a DICOMweb service."""
    _needs_dicomweb()
    orthanc.know_dicomweb(NODE, _url(ports))
    return orthanc


def _url(ports: dict[str, int]) -> str:
    return f"http://127.0.0.1:{ports[WEB]}/dicom-web"


def _needs_dicomweb() -> None:
    if not DICOMWEB.exists():
        pytest.skip("orthanc-dicomweb is not installed: `make tools` does it")
