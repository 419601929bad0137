"""In one process each stage is told when something has come for it: no study waits for the next look."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import CTImageStorage
from pynetdicom import AE, AllStoragePresentationContexts, evt

from node.dicom.scu import store
from node.service import Service
from node.settings import AnalysisSettings, CompletionSettings, ListenerSettings, RemoteSettings, Settings

HOUR_S = 3600.0


@pytest.fixture
def pacs() -> Iterator[tuple[int, threading.Event]]:
    """A port on which all is stored, and whether something has come."""
    ae, come = AE("PACS"), threading.Event()
    ae.supported_contexts = AllStoragePresentationContexts
    handlers = [(evt.EVT_C_STORE, lambda _event: come.set() or 0)]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    yield server.server_address[1], come
    server.shutdown()


def test_a_study_goes_through_where_nobody_looks_again_for_an_hour(
    tmp_path: Path, pacs: tuple[int, threading.Event], written_by: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a CT, and answered by the report that says so."""
    monkeypatch.setattr("node.service._INTAKE_EVERY_S", HOUR_S)
    monkeypatch.setattr("node.delivery.worker._LOOK_S", HOUR_S)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    remote = RemoteSettings(name="pacs", ae_title="PACS", host="127.0.0.1", port=pacs[0], receives_results=True)
    settings = Settings(
        root=tmp_path / "var",
        listener=ListenerSettings(port=port, minimum_free_gb=0),
        remotes=(remote,),
        completion=CompletionSettings(quiet_s=1, wanted=()),
        analysis=AnalysisSettings(report_foreign=True, threads=1),
    )
    image = written_by("Siemens Skyra").instances[-1].copy()
    image.SOPClassUID, image.Modality = CTImageStorage, "CT"
    image.file_meta.MediaStorageSOPClassUID = CTImageStorage
    image.save_as(tmp_path / "image.dcm")
    service = Service(settings)
    service.start()
    try:
        assert [it.status for it in store([tmp_path / "image.dcm"], "127.0.0.1", port, "RECTALNODE", "CT", 20)] == [0]
        assert pacs[1].wait(120)
    finally:
        service.stop()
