"""Studies are looked for at a PACS and fetched on the page, with how far that is."""

from __future__ import annotations

import pytest

from node.dicom.scu import store
from node.operations.fetching import Fetching
from node.operations.retrieve import Order
from node.settings import RemoteSettings, Settings
from storage.audit import Audit, AuditAction, AuditSearch
from storage.retrievals import Retrievals, RetrievalState
from tests.parts.dcmtk import running_dcmqrscp
from tests.parts.processes import free_port, wait_for

from ...storage.house import a_file
from .conftest import running_page

STUDY = "1.2.30"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """dcmqrscp with a study of two images."""
    folder = tmp_path_factory.mktemp("archive")
    files = []
    for number in (1, 2):
        files.append(folder / f"{number}.dcm")
        files[-1].write_bytes(a_file(number, study=STUDY, AccessionNumber="A30"))
    with running_dcmqrscp(folder / "dcmqrscp", ["ARCHIVE"], {"RECTALNODE": free_port()}) as running:
        assert {it.status for it in store(files, "127.0.0.1", running.port, "ARCHIVE", "SCANNER", 60)} == {0}
        yield RemoteSettings(name="archive", ae_title="ARCHIVE", host="127.0.0.1", port=running.port, may_store=True)


@pytest.fixture(scope="module")
def page(archive, tmp_path_factory):
    """Without studies, and with a remote."""
    with running_page(tmp_path_factory.mktemp("page"), {"remotes": (archive,)}) as found:
        yield found


def test_a_study_is_found_by_its_accession_number_and_fetched(page, olga):
    asked = {"remote": "archive", "accession": "A30", "method": "get"}
    found = olga.post("/retrievals/look", asked).text
    assert f"<code>{STUDY}</code>" in found
    assert "Fetch it" in found
    assert Retrievals(page.house.engine).records() == ()
    assert "It is fetched" in olga.post("/retrievals/fetch", asked).text
    wait_for(lambda: "2 objects came" in olga.get("/retrievals/state").text, "the study is here", 30)
    (record,) = Retrievals(page.house.engine).records()
    assert (record.state, record.here) == (RetrievalState.COMPLETE, 2)
    text = olga.get("/retrievals/state").text
    assert "here whole" in text
    assert f'href="/studies/{STUDY}"' in text
    assert len(page.house.index.instances(STUDY)) == 2
    (event,) = Audit(page.house.engine).find(AuditSearch(actions=frozenset({AuditAction.RETRIEVED})))
    assert (event.subject, event.detail) == ("archive", "")  # whose accession number it is an erasure would not know


def test_what_cannot_be_asked_is_told(olga):
    assert "say what to fetch" in olga.post("/retrievals/look", {"remote": "archive"}).text
    assert "no [[remotes]]" in olga.post("/retrievals/look", {"remote": "elsewhere", "patient": "P1"}).text
    assert "There is no such study." in olga.post("/retrievals/look", {"remote": "archive", "patient": "nobody"}).text


def test_a_viewer_sees_and_fetches_nothing(viktor):
    assert "operator" in viktor.get("/retrievals").text
    for path in ("look", "fetch"):
        assert viktor.post(f"/retrievals/{path}", {"remote": "archive", "patient": "P1"}).status_code == 403


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_order_that_nobody_foresaw_the_end_of_has_ended_and_the_next_one_can_begin(archive, tmp_path):
    fetching = Fetching(Settings(root=tmp_path, remotes=(archive,)), ceiling=None)
    for _ in range(2):
        fetching.begin(Order("archive", accession="A30"), "olga")
        wait_for(lambda: not fetching.now.is_running, "it has ended", 30)
        assert "broke off" in fetching.now.fault
