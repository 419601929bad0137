"""Storage commitment with Orthanc, in both roles."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from pydicom.uid import MRImageStorage

from node.clock import utc_now
from node.delivery.commitment import CommitmentWorker
from node.delivery.worker import DeliveryWorker
from node.services.reporter import reporters
from node.settings import RemoteSettings
from storage.commitment_requests import CommitmentRequests
from storage.commitments import Commitments
from storage.database import open_engine

from .queued import Queue, uid

#: What the node calls itself; not as those of other tests, which the same Orthanc may know.
NODE = "COMMITTING"
ONE, TWO = 901, 902


@pytest.fixture
def clock() -> Callable[[], object]:
    """Two parties take part in this that have one time."""
    return utc_now


@pytest.fixture
def queue(stored_at, tmp_path) -> Queue:
    """Two results that wait, of SOP Instance UIDs that no other test gives to the same Orthanc."""
    found: Queue = stored_at(f"sqlite:///{tmp_path / 'index.sqlite'}")
    found.add(ONE, TWO)
    return found


def until(true: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while not (found := true()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


@pytest.fixture
def pacs(orthanc, listener) -> RemoteSettings:
    """Orthanc as a remote of the node, and the node as a modality of Orthanc."""
    settings = RemoteSettings(
        name="pacs",
        ae_title="ORTHANC",
        host="127.0.0.1",
        port=orthanc.dicom_port,
        may_commit=True,
        receives_results=True,
        commitment=True,
        commitment_after_s=0.1,
        timeout_s=5,
        calling_ae_title=NODE,
    )
    orthanc.know("committing", NODE, listener(settings, ae_title=NODE))
    return settings


def test_orthanc_asks_the_node_and_takes_its_report(orthanc, pacs, queue, tmp_path):
    """Two objects are here under their class, one under another, and one is not."""
    requests = CommitmentRequests(open_engine(f"sqlite:///{tmp_path / 'index.sqlite'}"))
    (reporter,) = reporters((pacs,), queue.files, requests)
    named = [[MRImageStorage, uid(ONE)], [MRImageStorage, uid(TWO)], ["1.2.840.10008.5.1.4.1.1.2", uid(ONE)]]
    named.append([MRImageStorage, "1.2.3.99"])
    asked = orthanc.post("/modalities/committing/storage-commitment", {"DicomInstances": named, "Timeout": 10})
    reporter.start()
    report = until(lambda: (found := orthanc.get(asked["Path"]))["Status"] != "Pending" and found)
    reporter.stop()
    assert report["Status"] == "Failure"
    assert sorted(it["SOPInstanceUID"] for it in report["Success"]) == [uid(ONE), uid(TWO)]
    reasons = {(it["SOPClassUID"], it["SOPInstanceUID"]): it["FailureReason"] for it in report["Failures"]}
    assert reasons == {("1.2.840.10008.5.1.4.1.1.2", uid(ONE)): 0x0119, (MRImageStorage, "1.2.3.99"): 0x0112}


def test_orthanc_commits_what_it_has_and_is_given_again_what_it_has_lost(orthanc, pacs, queue, tmp_path):
    delivery = DeliveryWorker(pacs, queue.rows, queue.files)
    commitment = CommitmentWorker(pacs, Commitments(open_engine(f"sqlite:///{tmp_path / 'index.sqlite'}")))
    assert delivery.deliver_due() == 2
    (lost,) = orthanc.find("Instance", SOPInstanceUID=uid(TWO))
    orthanc._ask("DELETE", f"/instances/{lost['ID']}")
    until(commitment.ask_due)
    until(lambda: queue.states() == ["COMMITTED", "QUEUED"])
    assert "commitment failed: 0x0112, no such object instance" in queue.reasons()
