"""How fast images are taken in: the node's listener beside DCMTK's storescp, same sender, same images, same disk.

The node answers Success only when an image is on disk and indexed; storescp answers when it has written the file, so
the ratio is the price of that promise. Prints the median of the rounds.

    make bench
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from rich.console import Console
from rich.table import Table

from node.dicom.scu import echo
from node.services.listener import Listener
from node.settings import ListenerSettings
from storage.database import open_engine
from storage.files import ObjectStore
from storage.index import Index

ENVIRONMENT = os.environ | {"TCP_NODELAY": "1"}


def main(
    images: Annotated[int, typer.Option(help="Images a round, 205 kB each.")] = 300,
    rounds: Annotated[int, typer.Option(help="Rounds; node and storescp take turns.")] = 3,
) -> None:
    """Measure and print images per second."""
    rates: dict[str, list[float]] = {"node": [], "storescp": []}
    for number in range(rounds):
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            source = Path(folder) / "source"
            _write_study(source, images, number)
            rates["node"].append(images / _through_node(source, Path(folder) / "node"))
            rates["storescp"].append(images / _through_storescp(source, Path(folder) / "storescp"))
    table = Table(title=f"{images} images of 205 kB over one association, median of {rounds} rounds")
    for name in ("receiver", "images/s", "all rounds"):
        table.add_column(name)
    for name, found in rates.items():
        table.add_row(name, f"{statistics.median(found):.0f}", ", ".join(f"{rate:.0f}" for rate in found))
    Console().print(table)
    ratio = statistics.median(a / b for a, b in zip(rates["node"], rates["storescp"], strict=True))
    Console().print(f"node / storescp: {ratio:.2f}")


def _through_node(source: Path, folder: Path) -> float:
    folder.mkdir()
    engine = open_engine(f"sqlite:///{folder / 'index.sqlite'}")
    index = Index(engine)
    listener = Listener(ListenerSettings(port=_free_port()), (), ObjectStore(folder), index)
    listener.start()
    try:
        seconds = _send(source, listener.port, "RECTALNODE")
        (study,) = index.studies()
        if study.instance_count != len(list(source.iterdir())):
            raise RuntimeError(f"only {study.instance_count} images are in the index")
        return seconds
    finally:
        listener.stop()
        engine.dispose()


def _through_storescp(source: Path, folder: Path) -> float:
    folder.mkdir()
    port = _free_port()
    call = ["storescp", "-aet", "RECTALNODE", "-od", str(folder), str(port)]
    process = subprocess.Popen(call, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while echo("127.0.0.1", port, "RECTALNODE", "BENCH", 5):
            time.sleep(0.1)
        return _send(source, port, "RECTALNODE")
    finally:
        process.terminate()
        process.wait()


def _send(source: Path, port: int, called: str) -> float:
    start = time.monotonic()
    call = ["storescu", "-aec", called, "+sd", "127.0.0.1", str(port), str(source)]
    subprocess.run(call, env=ENVIRONMENT, check=True)
    return time.monotonic() - start


def _write_study(folder: Path, images: int, number: int) -> None:
    folder.mkdir()
    pixels = np.random.default_rng(number)
    for index in range(images):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID = MRImageStorage
        dataset.SOPInstanceUID = f"1.2.3.{number}.1.{index + 1}"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"1.2.3.{number}", f"1.2.3.{number}.1"
        dataset.Modality = "MR"
        dataset.Rows = dataset.Columns = 320
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
        dataset.PixelData = pixels.integers(0, 4000, (320, 320), dtype=np.uint16).tobytes()
        dataset.save_as(folder / f"{index:05d}.dcm", enforce_file_format=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    typer.run(main)
