"""Receivers with ways of their own, and what they got: DCMTK, dcmjs-dimse, one that hangs up, one that coerces."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid
from pynetdicom import AE, AllStoragePresentationContexts, evt

from node.dicom.scu import echo

DCMJS = Path(__file__).parent / "dcmjs"


@dataclass(frozen=True)
class Receiver:
    """Where it listens, and every data set that it got, one as often as it came."""

    port: int
    data_sets: Callable[[], list[pydicom.Dataset]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def dcmtk_implicit_only(folder: Path) -> Iterator[Receiver]:
    """DCMTK's storescp, which accepts nothing but Implicit VR Little Endian and writes the bits as they came."""
    port = free_port()
    call = ["storescp", "+xi", "+B", "--unique-filenames", "-aet", "PACS", "-od", str(folder), str(port)]
    with _running(call, port):
        yield Receiver(port, lambda: [pydicom.dcmread(path) for path in sorted(folder.iterdir())])


@contextmanager
def dcmjs_dimse(folder: Path) -> Iterator[Receiver]:
    """dcmjs-dimse, which shares no code with the others; see `dcmjs_is_missing`."""
    port = free_port()
    call = ["node", str(DCMJS / "receiver.cjs"), str(port), str(folder)]
    with _running(call, port):
        yield Receiver(port, lambda: [_read(path) for path in sorted(folder.iterdir())])


def dcmjs_is_missing() -> str:
    """Why dcmjs-dimse cannot receive here; empty where it can."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "node and npm are not on this machine"
    if not (DCMJS / "node_modules" / "dcmjs-dimse").is_dir():
        return "dcmjs-dimse is not installed: `make tools` does it where the npm registry can be reached"
    return ""


@contextmanager
def hanging_up_after(count: int) -> Iterator[Receiver]:
    """A receiver that aborts each association at the object after so many."""
    got: list[bytes] = []
    asked: Counter[object] = Counter()
    lock = threading.Lock()

    def keep(event: evt.Event) -> int:
        with lock:
            asked[event.assoc] += 1
            stays = asked[event.assoc] <= count
            if stays:
                got.append(event.encoded_dataset())
        if not stays:
            event.assoc.abort()
        return 0

    with _storage_scp(keep) as port:
        yield Receiver(port, lambda: [pydicom.dcmread(BytesIO(each)) for each in got])


@contextmanager
def coercing_into(folder: Path) -> Iterator[Receiver]:
    """A router that gives every instance and series another UID, the same one each time, and files it in a folder."""
    got: list[bytes] = []

    def coerce(event: evt.Event) -> int:
        got.append(event.encoded_dataset())
        data_set = pydicom.dcmread(BytesIO(got[-1]))
        for keyword in ("SeriesInstanceUID", "SOPInstanceUID"):
            data_set[keyword].value = generate_uid(entropy_srcs=[str(data_set[keyword].value)])
        data_set.file_meta.MediaStorageSOPInstanceUID = data_set.SOPInstanceUID
        data_set.save_as(folder / f"{data_set.SOPInstanceUID}.dcm")
        return 0

    with _storage_scp(coerce) as port:
        yield Receiver(port, lambda: [pydicom.dcmread(BytesIO(each)) for each in got])


@contextmanager
def _storage_scp(store: Callable[[evt.Event], int]) -> Iterator[int]:
    """A storage SCP of pynetdicom's; gives its port."""
    ae = AE(ae_title="PACS")
    for context in AllStoragePresentationContexts:
        ae.add_supported_context(context.abstract_syntax, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        yield server.server_address[1]
    finally:
        ae.shutdown()


@contextmanager
def _running(call: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(call, env=os.environ | {"TCP_NODELAY": "1"}, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while echo("127.0.0.1", port, "PACS", "NODE", 60):
            assert process.poll() is None, f"{call[0]} has ended"
            assert time.monotonic() < deadline, f"{call[0]} does not answer"
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(60)


def _read(path: Path) -> pydicom.Dataset:
    """A data set without file meta information, whose name ends in its transfer syntax."""
    syntax = UID(path.stem.partition("-")[2])
    data_set = pydicom.filereader.read_dataset(
        BytesIO(path.read_bytes()), syntax.is_implicit_VR, syntax.is_little_endian
    )
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = syntax
    return data_set
