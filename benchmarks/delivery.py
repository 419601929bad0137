"""How fast objects are delivered: the node beside DCMTK's `dcmsend` and `storescu`, same objects, same receivers.

The node's time begins with the claim of its queue and ends when each object is settled in its database as stored; that
of the tools is that of their process. All take turns, each with a receiver that has nothing yet: Orthanc with its
default durability, and DCMTK's `storescp`, which writes files and waits for no disk.

    python -m benchmarks.delivery
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from benchmarks.encoded_study import encoded_study
from benchmarks.real_parts import ENVIRONMENT, free_port, orthanc, wait_for
from benchmarks.record import Row, record
from node.delivery.worker import DeliveryWorker
from node.dicom.scu import echo
from node.settings import RemoteSettings
from storage.database import open_engine
from storage.deliveries import Deliveries
from storage.files import ObjectStore
from storage.header import read_header
from storage.ledger import Ledger
from storage.records import ResultRecord

ROOT = Path(__file__).parents[1]
#: Begins a receiver in a new folder; its port.
Start = Callable[[Path], AbstractContextManager[int]]


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Turns of all.")] = 3,
    images: Annotated[int, typer.Option(help="Images of 205 kB; 0: none.")] = 300,
    study: Annotated[Path | None, typer.Option(help="Folder of a study's results; without: one is made.")] = None,
    associations: Annotated[int, typer.Option(help="Of the node, beside one.")] = 2,
) -> None:
    """Measure and record."""
    (ROOT / "runs").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "runs") as name:
        folder = Path(name)
        cases: dict[str, list[Path]] = {}
        if images:
            cases[f"{images} MR of 205 kB"] = _images(folder / "images", images)
        results = sorted((study or encoded_study(ROOT / "runs" / "encoded-study").results).rglob("*.dcm"))
        cases[f"{len(results)} results of a study"] = results
        for run in range(1, rounds + 1):
            for case, objects in cases.items():
                for receiver, start in (("Orthanc", _orthanc), ("storescp", _storescp)):
                    _turn(run, f"{case} to {receiver}", objects, start, folder / f"{run}", associations)


def _turn(
    run: int,
    case: str,
    objects: list[Path],
    start: Start,
    folder: Path,
    associations: int,
) -> None:
    senders: dict[str, Callable[[int, Path], float]] = {
        "node": lambda port, place: _node(objects, port, place, 1),
        f"node, {associations} associations": lambda port, place: _node(objects, port, place, associations),
        "dcmsend": lambda port, _: _tool(["dcmsend", "-aec", "ARCHIVE", "127.0.0.1", str(port)], objects),
        "storescu": lambda port, _: _tool(["storescu", "-R", "-aec", "ARCHIVE", "127.0.0.1", str(port)], objects),
    }
    begin = run % len(senders)  # each is the first of a turn once
    for number, variant in enumerate([*senders][begin:] + [*senders][:begin]):
        place = folder / f"{case}-{number}".replace(" ", "-")
        place.mkdir(parents=True)
        with start(place / "receiver") as port:
            seconds = senders[variant](port, place)
        record(Row("delivery", case, variant, run, len(objects) / seconds, "objects/s"))


def _node(objects: list[Path], port: int, folder: Path, associations: int) -> float:
    """Seconds from the claim to the last verdict, of a node that has delivered one of the objects before."""
    files = ObjectStore(folder / "node")
    engine = open_engine(f"sqlite:///{folder / 'node' / 'index.sqlite'}")
    deliveries, ledger = Deliveries(engine), Ledger(engine)
    first, *others = [_kept(files, path) for path in objects]
    settings = RemoteSettings(
        name="archive", ae_title="ARCHIVE", host="127.0.0.1", port=port, associations=associations
    )
    worker = DeliveryWorker(settings, deliveries, files)
    ledger.record([first], ["archive"], datetime.now(UTC))
    worker.deliver_due()
    ledger.record(others, ["archive"], datetime.now(UTC))
    os.sync()  # what was written for this measurement
    begun = time.perf_counter()
    while worker.deliver_due():
        pass
    seconds = time.perf_counter() - begun
    states = Counter(str(row.state) for row in deliveries.records())
    engine.dispose()
    if states != {"STORED": len(objects)}:
        raise RuntimeError(f"{len(objects)} objects are {dict(states)}")
    return seconds * len(objects) / len(others)


def _kept(files: ObjectStore, path: Path) -> ResultRecord:
    header = read_header(path)
    uids = header.sop_class_uid, header.sop_instance_uid, header.series_instance_uid
    stored = files.store(path.read_bytes(), header)
    return ResultRecord(header.study_instance_uid, 1, path.stem, *uids, stored, header.transfer_syntax_uid)


def _tool(command: list[str], objects: list[Path]) -> float:
    os.sync()
    begun = time.perf_counter()
    subprocess.run([*command, *map(str, objects)], env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


@contextmanager
def _orthanc(folder: Path) -> Iterator[int]:
    with orthanc(folder) as running:
        yield running.dicom_port


@contextmanager
def _storescp(folder: Path) -> Iterator[int]:
    folder.mkdir()
    port = free_port()
    command = ["storescp", "+xa", "-aet", "ARCHIVE", "--fork", "-od", str(folder), str(port)]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: not echo("127.0.0.1", port, "ARCHIVE", "BENCH", 5), "storescp answers", 30)
        yield port
    finally:
        process.terminate()
        process.wait()


def _images(folder: Path, count: int) -> list[Path]:
    folder.mkdir()
    pixels = np.random.default_rng(1)
    found = []
    for number in range(count):
        image = Dataset()
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.SOPClassUID, image.SOPInstanceUID = MRImageStorage, f"1.2.3.1.{number + 1}"
        image.StudyInstanceUID, image.SeriesInstanceUID = "1.2.3", "1.2.3.1"
        image.PatientID, image.PatientName, image.Modality = "1", "Bench", "MR"
        image.Rows = image.Columns = 320
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
        image.PixelData = pixels.integers(0, 4000, (320, 320), dtype=np.uint16).tobytes()
        image.save_as(folder / f"{number:05d}.dcm", enforce_file_format=True)
        found.append(folder / f"{number:05d}.dcm")
    return found


if __name__ == "__main__":
    typer.run(main)
