"""C-ECHO."""

from __future__ import annotations

from node.dicom.scu import echo

from ..parts.dcmjs import DcmjsSCP, run_dcmjs
from ..parts.dcmtk import Archive, StoreSCP, Tool
from ..parts.node import Node
from ..parts.orthanc import Orthanc
from ..parts.storage_scp import StorageSCP
from .conftest import NODE
from .users import asking

# --- the node is asked


def by_echoscu(node: Node, dcmtk: Tool) -> None:
    answer = dcmtk("echoscu", "-v", "-aet", "DCMTK", "-aec", NODE, "127.0.0.1", node.port)
    assert "Received Echo Response (Success)" in answer.stdout + answer.stderr
    assert answer.returncode == 0


def by_termscu(node: Node, dcmtk: Tool) -> None:
    """Its private SOP class asks a server to end: the node takes none of it and goes on."""
    answer = dcmtk("termscu", "-v", "-aet", "DCMTK", "-aec", NODE, "127.0.0.1", node.port)
    assert "No Acceptable Presentation Contexts" in answer.stdout + answer.stderr
    assert answer.returncode != 0
    assert node.answers()


def by_pynetdicom(node: Node) -> None:
    with asking(node) as association:
        assert association.send_c_echo().Status == 0


def by_orthanc(node: Node, orthanc: Orthanc) -> None:
    assert orthanc.post("/modalities/interop/echo", {}) == {}


def by_dcmjs(node: Node) -> None:
    assert [answer["status"] for answer in run_dcmjs("echo", node.port, NODE)] == [0]


# --- the node asks


def of_storescp(storescp: StoreSCP) -> None:
    assert _asked(storescp.port, "DCMTK") == ""
    assert "Received Echo Request" in (storescp.folder / "storescp.log").read_text()


def of_dcmqrscp(dcmqrscp: Archive) -> None:
    assert _asked(dcmqrscp.port, "DCMQRSCP") == ""
    assert "rejected" in _asked(dcmqrscp.port, "NOBODY")
    assert "Received Echo SCP RQ" in (dcmqrscp.folder / "dcmqrscp.log").read_text()


def of_orthanc(orthanc: Orthanc) -> None:
    assert _asked(orthanc.dicom_port, "ORTHANC") == ""


def of_pynetdicom(storage_scp: StorageSCP) -> None:
    before = storage_scp.echoes
    assert _asked(storage_scp.port, "PYNETDICOM") == ""
    assert storage_scp.echoes == before + 1


def of_dcmjs(dcmjs: DcmjsSCP) -> None:
    before = dcmjs.log().count("ASKED C-ECHO")
    assert _asked(dcmjs.port, "DCMJS") == ""
    assert dcmjs.log().count("ASKED C-ECHO") == before + 1


def _asked(port: int, called: str) -> str:
    return echo("127.0.0.1", port, called, NODE, 30)
