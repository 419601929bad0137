"""In one process each stage is told when something has come for it: no study waits for the next look."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import CTImageStorage
from pynetdicom import AE, AllStoragePresentationContexts, evt

from node.dicom.scu import store
from node.operations.status import StudyLine, collect
from node.service import Service
from node.settings import (
    AnalysisSettings,
    CompletionSettings,
    Conditions,
    ListenerSettings,
    RemoteSettings,
    ResultKind,
    Settings,
)
from storage.records import StudyState

from ..parts import engines, processor

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


@pytest.fixture
def of_a_ct(tmp_path: Path, written_by: Callable[[str], Any]) -> Path:
    """An image of a study that is answered by the report that says that it is none for this node."""
    image = written_by("Siemens Skyra").instances[-1].copy()
    image.SOPClassUID, image.Modality = CTImageStorage, "CT"
    image.file_meta.MediaStorageSOPClassUID = CTImageStorage
    image.save_as(tmp_path / "image.dcm")
    return tmp_path / "image.dcm"


@contextmanager
def running(root: Path, *remotes: RemoteSettings) -> Iterator[Settings]:
    """A node that answers every study a second after its last image."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = Settings(
        root=root / "var",
        listener=ListenerSettings(port=port, minimum_free_gb=0),
        remotes=remotes,
        completion=CompletionSettings(quiet_s=1, wanted=()),
        analysis=AnalysisSettings(report_foreign=True, threads=1, precision=processor.installation().precision),
    )
    engines.share(settings.root)
    service = Service(settings)
    service.start()
    try:
        yield settings
    finally:
        service.stop()


def sent(image: Path, settings: Settings) -> list[int | None]:
    return [it.status for it in store([image], "127.0.0.1", settings.listener.port, "RECTALNODE", "CT", 20)]


def test_a_study_goes_through_where_nobody_looks_again_for_an_hour(
    tmp_path: Path, pacs: tuple[int, threading.Event], of_a_ct: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a CT, and answered by the report that says so."""
    monkeypatch.setattr("node.service._INTAKE_EVERY_S", HOUR_S)
    monkeypatch.setattr("node.delivery.worker._LOOK_S", HOUR_S)
    remote = RemoteSettings(name="pacs", ae_title="PACS", host="127.0.0.1", port=pacs[0], receives_results=True)
    with running(tmp_path, remote) as settings:
        assert sent(of_a_ct, settings) == [0]
        assert pacs[1].wait(120)


def test_each_destination_gets_the_kinds_that_it_takes_and_a_study_without_any_says_so(
    tmp_path: Path, pacs: tuple[int, threading.Event], of_a_ct: Path
) -> None:
    def destination(name: str, **change: Any) -> RemoteSettings:
        values = {"ae_title": name.upper(), "host": "127.0.0.1", "port": pacs[0], **change}
        return RemoteSettings(name=name, **values)

    archive = destination("archive", receives_results=True, results=(ResultKind.REPORT, ResultKind.KEY_OBJECTS))
    back = destination("ct", return_to_sender=True, results=(ResultKind.PICTURE,))
    elsewhere = destination("elsewhere", receives_results=True, when=Conditions(calling_ae_title="MR"))
    with running(tmp_path / "one", archive, back, elsewhere) as settings:
        assert sent(of_a_ct, settings) == [0]
        (line,) = ended(settings)
    assert {name: sum(count.values()) for name, count in line.deliveries.items()} == {"archive": 2, "ct": 1}
    with running(tmp_path / "two", elsewhere) as settings:
        assert sent(of_a_ct, settings) == [0]
        (line,) = ended(settings)
    assert line.deliveries == {}
    assert line.study.reason.endswith("; no destination: elsewhere wants calling_ae_title 'MR'")


def ended(settings: Settings) -> tuple[StudyLine, ...]:
    """What `status` shows of the studies, once none is under way."""
    deadline = time.monotonic() + 120
    while {line.study.state for line in collect(settings).studies} != {StudyState.REFUSED}:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return collect(settings).studies
