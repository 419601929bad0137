"""A listener on a free port with an empty storage, and senders: DCMTK, and images made up here."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from node.associations.leases import LEASE_S
from node.associations.listener import Listener
from node.settings import ListenerSettings, PeerSettings
from storage.files import ObjectStore
from storage.index import Index
from storage.ledger import Ledger
from storage.schema import open_engine

ListenerWithParts = tuple[Listener, ObjectStore, Index, Ledger]


@dataclass(frozen=True)
class Receiving:
    """A running listener and what lies behind it."""

    listener: Listener
    store: ObjectStore
    index: Index
    ledger: Ledger

    @property
    def port(self) -> int:
        return self.listener.port

    def files(self) -> list[Path]:
        return sorted(path for path in self.store.root.rglob("*.dcm") if path.is_file())


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Receiving]]:
    """Start listeners with the settings that a test wants; a free port unless it names one."""
    running: list[Receiving] = []

    def begin(peers: tuple[PeerSettings, ...] = (), lease_s: float = LEASE_S, **settings: object) -> Receiving:
        root = tmp_path / f"node{len(running)}"
        engine = open_engine(f"sqlite:///{root / 'index.sqlite'}")
        store, index = ObjectStore(root), Index(engine)
        values = ListenerSettings().model_copy(update={"port": 0, "minimum_free_gb": 0.0, **settings})
        receiving = Receiving(Listener(values, peers, store, index, lease_s), store, index, Ledger(engine))
        receiving.listener.start()
        running.append(receiving)
        return receiving

    yield begin
    for receiving in running:
        receiving.listener.stop(patience_s=0.5)


@pytest.fixture
def receiving(start: Callable[..., Receiving]) -> Receiving:
    """A listener with default settings."""
    return start()


@pytest.fixture
def make_image(tmp_path: Path) -> Callable[..., Path]:
    """Write image `number` of study 1.2.3: `change` sets elements."""
    folder = tmp_path / "images"
    folder.mkdir()

    def make(number: int = 1, name: str = "", pixels: int = 2048, **change: object) -> Path:
        image = Dataset()
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.SOPClassUID = MRImageStorage
        image.SOPInstanceUID = f"1.2.3.4.{number}"
        image.PatientID = "SIMULATED"
        image.StudyInstanceUID = "1.2.3"
        image.SeriesInstanceUID = f"1.2.3.{number % 3}"
        image.InstanceNumber = number
        image.PixelData = bytes([number % 256]) * pixels
        image["PixelData"].VR = "OW"
        for keyword, value in change.items():
            setattr(image, keyword, value)
        path = folder / (name or f"{number}.dcm")
        image.save_as(path, enforce_file_format=True)
        return path

    return make


@pytest.fixture
def dcmtk() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a tool of DCMTK; `make test` installs them."""

    def run(tool: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        assert shutil.which(tool), f"{tool} of DCMTK is missing: `make tools` installs it"
        call = [tool, *map(str, arguments)]
        return subprocess.run(
            call, capture_output=True, text=True, timeout=60, env={**os.environ, "TCP_NODELAY": "1"}, check=False
        )

    return run
