"""A listener on a free port with an empty storage, and senders: DCMTK, and images made up here."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import _config

from node.services.acceptor import AcceptorLimits
from node.services.leases import LEASE_S
from node.services.listener import Listener
from node.settings import ListenerSettings, RemoteSettings
from storage import quarantine_entries
from storage.database import open_engine
from storage.files import ObjectStore
from storage.index import Index
from storage.ledger import Ledger
from storage.records import QuarantineRecord

# pynetdicom as a sender: files go as they lie on the disk, broken ones too.
_config.STORE_SEND_CHUNKED_DATASET = True

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

    def quarantined(self) -> tuple[QuarantineRecord, ...]:
        with self.index._engine.connect() as connection:
            return quarantine_entries.entries(connection, ended=False, limit=None)

    def files(self) -> list[Path]:
        return sorted(path for path in self.store.root.rglob("*.dcm") if path.is_file())


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Receiving]]:
    """Start listeners with the settings that a test wants; a free port unless it names one."""
    running: list[Receiving] = []

    def begin(
        remotes: tuple[RemoteSettings, ...] = (),
        lease_s: float = LEASE_S,
        limits: AcceptorLimits | None = None,
        **settings: object,
    ) -> Receiving:
        root = tmp_path / f"node{len(running)}"
        engine = open_engine(f"sqlite:///{root / 'index.sqlite'}")
        store, index = ObjectStore(root), Index(engine)
        values = ListenerSettings().model_copy(update={"port": 0, "minimum_free_gb": 0.0, **settings})
        receiving = Receiving(Listener(values, remotes, store, index, lease_s, limits), store, index, Ledger(engine))
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


def an_item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def a_pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBL", kind, 0, len(body)) + body


class RawScanner:
    """A sender that sends the bytes that it is told, and tells what comes back."""

    VERIFICATION, MR = b"1.2.840.10008.1.1", MRImageStorage.encode()

    def __init__(self, port: int, unconnected: socket.socket | None = None) -> None:
        self.socket = unconnected or socket.socket()
        self.socket.settimeout(10)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @staticmethod
    def request(
        called: bytes = b"RECTALNODE      ",
        calling: bytes = b"SCANNER         ",
        contexts: int = 1,
        syntaxes: int = 1,
        version: int = 1,
    ) -> bytes:
        """An A-ASSOCIATE-RQ; its first contexts are MR Image Storage and Verification."""
        proposed = b""
        for number in range(contexts):
            abstract = (RawScanner.MR, RawScanner.VERIFICATION)[number] if number < 2 else b"1.2.3.%d" % number
            transfer = [b"1.2.840.10008.1.2.1", *(b"1.2.840.99999.%d" % each for each in range(1, syntaxes))]
            proposed += an_item(
                0x20,
                bytes((2 * number + 1, 0, 0, 0))
                + an_item(0x30, abstract)
                + b"".join(an_item(0x40, s) for s in transfer),
            )
        user = an_item(0x50, an_item(0x51, struct.pack(">L", 16384)) + an_item(0x52, b"1.2.3.4.5"))
        items = an_item(0x10, b"1.2.840.10008.3.1.1.1") + proposed + user
        return a_pdu(0x01, struct.pack(">HH", version, 0) + called + calling + bytes(32) + items)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> str:
        """The PDU that comes next: its name, and the bytes that say why; "closed" where none comes."""
        kind, body = self.read()
        names = {0x02: "accepted", 0x03: "rejected", 0x04: "data", 0x06: "released", 0x07: "aborted"}
        reasons = {0x03: body[1:], 0x07: body[2:]}.get(kind, b"")
        return " ".join((names.get(kind, "closed"), *map(str, reasons)))

    def read(self) -> tuple[int, bytes]:
        """Type and body of the next PDU; type 0 where the connection has ended."""
        head = self._exactly(6)
        return (head[0], self._exactly(int.from_bytes(head[2:], "big"))) if len(head) == 6 else (0, b"")

    def associate(self, **asked: object) -> str:
        self.send(self.request(**asked))  # type: ignore[arg-type]
        return self.answer()

    @staticmethod
    def command(elements: dict[int, bytes], group_length: int | None = None) -> bytes:
        """A command set; the values as they are given."""
        body = b"".join(struct.pack("<HHL", 0, tag, len(value)) + value for tag, value in sorted(elements.items()))
        return struct.pack("<HHLL", 0, 0, 4, len(body) if group_length is None else group_length) + body

    @staticmethod
    def fragment(control: int, content: bytes, context: int = 1) -> bytes:
        """A fragment: control 1 command, 2 last."""
        return struct.pack(">LBB", len(content) + 2, context, control) + content

    def say(self, *fragments: bytes) -> None:
        """A P-DATA of fragments."""
        self.send(a_pdu(0x04, b"".join(fragments)))

    def status(self) -> str:
        """Status and message number of the response that comes; else what comes in its place."""
        kind, body = self.read()
        if kind != 0x04:
            return {0x07: "aborted", 0: "closed"}.get(kind, f"PDU {kind}")
        elements, data = {}, body[6:]
        while data:
            tag, length = struct.unpack_from("<2xHL", data)
            elements[tag], data = data[8 : 8 + length], data[8 + length :]
        number, status = (int.from_bytes(elements[tag], "little") for tag in (0x0120, 0x0900))
        return f"{status:04X} to {number}"

    def release(self) -> str:
        self.send(a_pdu(0x05, bytes(4)))
        return self.answer()

    def close(self) -> None:
        self.socket.close()

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            try:
                piece = self.socket.recv(count - len(data))
            except ConnectionError:
                return data
            if not piece:
                return data
            data += piece
        return data


@pytest.fixture
def scanner() -> Iterator[Callable[..., RawScanner]]:
    """Connects to a port."""
    opened: list[RawScanner] = []

    def connect(port: int, unconnected: socket.socket | None = None) -> RawScanner:
        opened.append(RawScanner(port, unconnected))
        return opened[-1]

    yield connect
    for each in opened:
        each.close()
