"""A node that analyses in the process of the tests, and a PACS that keeps what arrives."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    Comprehensive3DSRStorage,
    EncapsulatedPDFStorage,
    MRImageStorage,
    SecondaryCaptureImageStorage,
)
from rich.console import Console

from node.analysis.bundles import Models
from node.analysis.context import AnalysisContext
from node.analysis.intake import Intake
from node.analysis.queue import Worklist, queue_url
from node.analysis.worker import Worker
from node.cli.status import as_tables
from node.completion.settling import Completion
from node.delivery.worker import DeliveryWorker
from node.operations.answers import as_json
from node.operations.status import collect
from node.recognition.header.rejections import rejection_note
from node.recognition.plan import recognise
from node.recognition.record import to_json
from node.settings import AnalysisSettings, CompletionSettings, RemoteSettings, Settings
from storage.database import open_engine
from storage.deliveries import Deliveries
from storage.files import ObjectStore
from storage.header import read_header
from storage.index import Index
from storage.ledger import Ledger
from storage.overview import StudyQuery
from storage.records import ResultRecord, StudyState

from ..parts import processor
from .copies import copied

FIRST, SECOND = ("A-4711", "19610307"), ("B-0815", "19700101")
KINDS = (MRImageStorage, Comprehensive3DSRStorage, EncapsulatedPDFStorage, SecondaryCaptureImageStorage)


def shipped() -> AnalysisSettings:
    """The shipped bundles, as this processor computes them."""
    return AnalysisSettings(threads=1, precision=processor.installation().precision)


@dataclass
class Site:
    """A node that analyses in this process, and a PACS that keeps what arrives."""

    folder: Path
    port: int = 0
    arrived: list[Dataset] = field(default_factory=list)
    uid: str = ""
    uids_of_results: str = "1.2.3"
    analysis: AnalysisSettings = field(default_factory=shipped)

    def __post_init__(self) -> None:
        pacs = RemoteSettings(
            name="pacs", ae_title="PACS", host="127.0.0.1", port=self.port, receives_results=True, timeout_s=10
        )
        self.settings = Settings(
            root=self.folder,
            remotes=(pacs,),
            analysis=self.analysis,
        )
        engine = open_engine(self.settings.storage_url)
        self.files, self.index, self.ledger = ObjectStore(self.folder), Index(engine), Ledger(engine)
        self.deliveries = Deliveries(engine)
        self.delivery = DeliveryWorker(pacs, self.deliveries, self.files)
        storage = self.files, self.index, self.ledger, self.deliveries
        self.worker = Worker(AnalysisContext(self.settings, *storage, Models(self.settings.analysis)))

    def receive(self, images: list[Dataset], patient: tuple[str, str]) -> None:
        path = self.folder / "image.dcm"
        for image in map(copied, images):
            image.PatientID, image.PatientBirthDate = patient
            image.save_as(path)
            header = read_header(path)
            self.uid = header.study_instance_uid
            file = self.files.store(path.read_bytes(), header)
            note = rejection_note(path, header.sop_class_uid)
            self.index.register(header, file, "SCANNER", datetime.now(UTC) - timedelta(seconds=60), note=note)

    def conclude_first(self, image: Dataset) -> None:
        """Revision 1 is analysed: four images and a report of its patient, of which three objects are delivered."""
        plan = recognise(
            self.uid, [self.files.absolute(it.file) for it in self.index.instances(self.uid)], self.settings.recognition
        )
        self.index.keep_verdict(self.uid, 1, to_json(plan))
        self.index.move(self.uid, 1, StudyState.QUEUED)
        roles = ("super-resolved-t2wi",) * 4 + ("report",)
        results = [self._result(image, number, role) for number, role in enumerate(roles)]
        self.ledger.conclude(self.uid, 1, StudyState.COMPLETED, "", results, ["pacs"], datetime.now(UTC))
        for delivery in self.deliveries.due("pacs", datetime.now(UTC))[2:]:
            self.deliveries.stored({delivery.identifier: ""}, datetime.now(UTC))

    def _result(self, image: Dataset, number: int, role: str) -> ResultRecord:
        made, path = copied(image), self.folder / "result.dcm"
        made.PatientID, made.PatientBirthDate = FIRST
        made.Manufacturer = "rectal-node"
        made.SeriesInstanceUID = f"{self.uids_of_results}.{role == 'report':d}"
        made.SOPInstanceUID = f"{self.uids_of_results}.9.{number}"
        made.save_as(path)
        header = read_header(path)
        file = self.files.store(path.read_bytes(), header)
        uids = header.sop_class_uid, header.sop_instance_uid, header.series_instance_uid
        return ResultRecord(self.uid, 1, role, *uids, file)

    def sweep(self, incomplete_after_s: float = 30) -> None:
        """The study has been quiet for 60 s: it is queued, unless it waits."""
        worklist = Worklist(queue_url(self.folder))
        settings = CompletionSettings(quiet_s=1, incomplete_after_s=incomplete_after_s)
        Completion(settings, self.settings.recognition, self.files, self.index).sweep()
        Intake(self.index, worklist).look()
        worklist.close()

    def analyse(self, incomplete_after_s: float = 30) -> None:
        """What was queued is analysed, and what is due is delivered."""
        self.sweep(incomplete_after_s)
        deadline = time.monotonic() + 120
        while self.index.study(self.uid).state in (StudyState.RECEIVING, StudyState.QUEUED):
            assert time.monotonic() < deadline, self.index.study(self.uid)
            time.sleep(0.05)
        while self.delivery.deliver_due():
            pass

    def states(self, revision: int) -> list[str]:
        return [it.state for it in self.deliveries.records(self.uid) if it.result.revision == revision]

    def status(self) -> dict[str, Any]:
        (line,) = json.loads(as_json(collect(self.settings, StudyQuery(self.uid))))["studies"]
        return line

    def terminal(self) -> str:
        console = Console(width=400)
        with console.capture() as shown:
            console.print(as_tables(collect(self.settings, StudyQuery(self.uid))))
        return shown.get()


@contextmanager
def running(folder: Path, analysis: AnalysisSettings | None = None) -> Iterator[Site]:
    """A site whose worker and PACS run."""
    ae = AE("PACS")
    for kind in KINDS:
        ae.add_supported_context(kind)
    arrived: list[Dataset] = []

    def keep(event: evt.Event) -> int:
        arrived.append(event.dataset)
        return 0

    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)])
    site = Site(folder, server.server_address[1], arrived, analysis=analysis or shipped())
    (site.folder / "worklist.sqlite").touch()
    site.worker.start()
    yield site
    site.worker.stop()
    server.shutdown()
