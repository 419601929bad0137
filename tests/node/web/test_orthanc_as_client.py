"""orthanc-dicomweb as the client: it searches in the node, fetches from it and stores into it, with a token."""

from __future__ import annotations

import io

import pytest
from pydicom import dcmread

from node.settings import RemoteSettings

from ...parts.orthanc import DICOMWEB
from .conftest import an_image, running_web

STUDY = "1.2.44.1"
TOKEN = "a-token-that-is-long-enough"


@pytest.fixture
def web(tmp_path, orthanc):
    """A service that Orthanc knows as the server "node"."""
    if not DICOMWEB.exists():
        pytest.skip("orthanc-dicomweb is not installed: `make tools` does it")
    (tmp_path / "token").write_text(TOKEN)
    rights = {"may_query": True, "may_retrieve": True, "may_store": True}
    pacs = RemoteSettings(name="pacs", ae_title="ORTHANC", token_file=tmp_path / "token", **rights)
    with running_web(tmp_path / "web", (pacs,), local_rights=()) as found:
        orthanc.know_dicomweb("node", found.url, Authorization=f"Bearer {TOKEN}")
        yield found


def test_orthanc_stores_into_the_node(web, orthanc, tmp_path):
    for number in (1, 2):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(an_image(number, 1, STUDY))
        orthanc.store(path)
    (study,) = orthanc.find("Study", StudyInstanceUID=STUDY)
    orthanc.post("/dicom-web/servers/node/stow", {"Resources": [study["ID"]], "Synchronous": True})
    assert {each.SOPInstanceUID for each in web.stored()} == {f"{STUDY}.1.1", f"{STUDY}.1.2"}
    assert {it.calling_ae for it in web.index.instances(STUDY)} == {"ORTHANC"}


def test_orthanc_searches_in_the_node_and_fetches_what_it_finds(web, orthanc):
    other = "1.2.44.2"
    web.receive(an_image(1, 1, other), an_image(2, 1, other))
    asked = {"Uri": "/studies", "Arguments": {"StudyInstanceUID": other}, "HttpHeaders": {"Accept": "application/json"}}
    (found,) = orthanc.post("/dicom-web/servers/node/get", asked)
    assert found["0020000D"]["Value"] == [other]
    orthanc.post("/dicom-web/servers/node/retrieve", {"Resources": [{"Study": other}], "Synchronous": True})
    fetched = {str(each.SOPInstanceUID): each for each in orthanc.data_sets(other)}
    here = dcmread(io.BytesIO(an_image(1, 1, other)))
    assert fetched.keys() == {f"{other}.1.1", f"{other}.1.2"}
    assert fetched[here.SOPInstanceUID].PixelData == here.PixelData
