"""A site: a listener with an empty root, and archives that have studies: Orthanc, dcmqrscp, and one made up here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)

from node.dicom.scu import store
from node.services.listener import Listener
from node.settings import ListenerSettings, RemoteSettings, Settings
from storage.database import open_engine
from storage.files import ObjectStore
from storage.index import Index
from storage.retrievals import RetrievalRecord, Retrievals
from tests.parts.dcmtk import running_dcmqrscp
from tests.parts.orthanc import Orthanc
from tests.parts.processes import free_port

FIND, MOVE = StudyRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelMove
#: Two series of three and two images; the parts of a UID are study, series and number.
STUDY = "1.2.826.0.1.3680043.10.1599.77"
IMAGES = [f"{STUDY}.{series}.{number}" for series, count in ((1, 3), (2, 2)) for number in range(1, count + 1)]


def an_image(uid: str, **values: object) -> Dataset:
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta.MediaStorageSOPClassUID, image.file_meta.MediaStorageSOPInstanceUID = MRImageStorage, uid
    image.SOPClassUID, image.SOPInstanceUID = MRImageStorage, uid
    image.PatientID, image.PatientName, image.Modality = "FETCHED", "SIM^000001", "MR"
    image.StudyInstanceUID, image.SeriesInstanceUID = ".".join(uid.split(".")[:-2]), ".".join(uid.split(".")[:-1])
    image.StudyDate, image.StudyTime, image.AccessionNumber = "20261129", "0930", "A77"
    image.StudyDescription, image.StudyID, image.SeriesNumber = "MR rectum", "1", "1"
    image.InstanceNumber = uid.rpartition(".")[2]
    image.Rows, image.Columns, image.BitsAllocated, image.BitsStored, image.HighBit = 32, 32, 16, 12, 11
    image.SamplesPerPixel, image.PhotometricInterpretation, image.PixelRepresentation = 1, "MONOCHROME2", 0
    image.PixelData = bytes(2048)
    image["PixelData"].VR = "OW"
    for keyword, value in values.items():
        setattr(image, keyword, value)
    return image


@dataclass
class Site:
    """A listener and what lies behind it."""

    settings: Settings
    index: Index
    files: ObjectStore

    @property
    def retrievals(self) -> Retrievals:
        return Retrievals(self.index.engine)

    def record(self, study: str = STUDY) -> RetrievalRecord:
        return next(it for it in self.retrievals.records() if it.study_instance_uid == study)

    def here(self, study: str = STUDY) -> list[str]:
        """SOP Instance UIDs of what has come."""
        return sorted(uid for uids in self.retrievals.here(study).values() for uid in uids)

    def data_sets(self, study: str = STUDY) -> dict[str, Dataset]:
        found = (dcmread(self.files.absolute(it.file)) for it in self.index.instances(study))
        return {str(each.SOPInstanceUID): each for each in found}


@pytest.fixture(scope="module")
def listener_port() -> int:
    return free_port()


@pytest.fixture
def site(tmp_path: Path, listener_port: int) -> Iterator[Callable[..., Site]]:
    """Begin a listener whose remotes are these; archives that move to RECTALNODE find it."""
    running: list[Listener] = []

    def begin(*remotes: RemoteSettings, **entries: object) -> Site:
        values = ListenerSettings(port=listener_port, minimum_free_gb=0)
        settings = Settings(root=tmp_path / "root", listener=values, remotes=remotes, **entries)
        index, files = Index(open_engine(settings.storage_url)), ObjectStore(settings.root)
        running.append(Listener(values, remotes, files, index))
        running[-1].start()
        return Site(settings, index, files)

    yield begin
    for each in running:
        each.stop(patience_s=0.5)


def remote(name: str, ae_title: str, port: int) -> RemoteSettings:
    return RemoteSettings(name=name, ae_title=ae_title, host="127.0.0.1", port=port, may_store=True)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("images")
    for uid in IMAGES:
        an_image(uid).save_as(folder / f"{uid}.dcm", enforce_file_format=True)
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def archives(
    orthanc: Orthanc, images: list[Path], listener_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, RemoteSettings]]:
    """Orthanc and dcmqrscp, which have the study and know the listener as RECTALNODE."""
    for image in images:
        orthanc.store(image)
    orthanc.know("retrieving", "RECTALNODE", listener_port)
    folder = tmp_path_factory.mktemp("archive") / "dcmqrscp"
    with running_dcmqrscp(folder, ["ARCHIVE"], {"RECTALNODE": listener_port}) as archive:
        outcomes = list(store(images, "127.0.0.1", archive.port, "ARCHIVE", "SCANNER", 60))
        assert {outcome.status for outcome in outcomes} == {0}
        yield {
            "orthanc": remote("orthanc", "ORTHANC", orthanc.dicom_port),
            "dcmqrscp": remote("dcmqrscp", "ARCHIVE", archive.port),
        }


@dataclass
class Pacs:
    """An archive that does as a test wants.

    Attributes:
        images: what it has.
        keeps_back: whether it passes over an object, of a request at this level.
        sends_to: host and port of who is called RECTALNODE there; None: nobody.
        asked: level and UIDs of each C-MOVE.
        tells_counts: whether it says how many instances a study or a series has.
        found_at: Study Date of each C-FIND at STUDY level.
        held: set when a C-MOVE stands still, until `goes_on` is set.
    """

    sends_to: tuple[str, int] | None
    images: list[Dataset] = field(default_factory=lambda: [an_image(uid) for uid in IMAGES])
    keeps_back: Callable[[str, str], bool] = lambda _level, _uid: False
    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    tells_counts: bool = True
    found_at: set[str] = field(default_factory=set)
    held: threading.Event = field(default_factory=threading.Event)
    goes_on: threading.Event = field(default_factory=threading.Event)
    port: int = 0
    ae: AE = field(default_factory=lambda: AE(ae_title="PACS"))
    _holds_at: int = -1

    @property
    def open(self) -> int:
        """Associations."""
        return len(self.ae.active_associations)

    def holds_at(self, number: int) -> None:
        """Stand still before the object of this number, from 0 on."""
        self._holds_at = number

    def close(self) -> None:
        """Listen no more."""
        self.goes_on.set()
        self.ae.shutdown()

    def find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        asked = event.identifier
        level = str(asked.QueryRetrieveLevel)
        unique = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}[level]
        if level == "STUDY":
            self.found_at.add(str(asked.get("StudyDate") or ""))
        found: dict[str, list[Dataset]] = {}
        for image in self._matching(asked):
            found.setdefault(str(image[unique].value), []).append(image)
        for those in found.values():
            answer = Dataset()
            for element in asked:
                if element.keyword in those[0]:
                    answer[element.tag] = those[0][element.tag]
            answer.QueryRetrieveLevel, answer.ModalitiesInStudy = level, "MR"
            counted = {"STUDY": "NumberOfStudyRelatedInstances", "SERIES": "NumberOfSeriesRelatedInstances"}
            if level in counted and self.tells_counts:
                setattr(answer, counted[level], str(len(those)))
            yield 0xFF00, answer

    def move(self, event: evt.Event) -> Iterator[object]:
        asked = event.identifier
        level = str(asked.QueryRetrieveLevel)
        key = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}[level]
        self.asked.append((level, _values(asked[key].value)))
        if self.sends_to is None:
            yield None, None
            return
        yield *self.sends_to, {"contexts": [build_context(MRImageStorage)], "ae_title": "RECTALNODE"}
        sent = [it for it in self._matching(asked) if not self.keeps_back(level, str(it.SOPInstanceUID))]
        yield len(sent)
        for number, image in enumerate(sent):
            if number == self._holds_at and not self.goes_on.is_set():
                self.held.set()
                assert self.goes_on.wait(120)
            yield 0xFF00, image

    def _matching(self, asked: Dataset) -> list[Dataset]:
        wanted = {
            keyword: _values(asked.get(keyword))
            for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "AccessionNumber", "PatientID")
        }
        return [it for it in self.images if all(not uids or str(it[key].value) in uids for key, uids in wanted.items())]


def _values(value: object) -> tuple[str, ...]:
    if not value:
        return ()
    return (value,) if isinstance(value, str) else tuple(map(str, value))  # type: ignore[call-overload]


@pytest.fixture
def pacs(listener_port: int) -> Iterator[Pacs]:
    """One that sends to the listener."""
    found = Pacs(("127.0.0.1", listener_port))
    for sop_class in (FIND, MOVE):
        found.ae.add_supported_context(sop_class)
    handlers = [(evt.EVT_C_FIND, found.find), (evt.EVT_C_MOVE, found.move)]
    server = found.ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    found.port = server.server_address[1]
    yield found
    found.close()
