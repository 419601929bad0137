"""The lengths of the fragments that leave (PS3.8 Annex E), read from the wire by peers that speak bytes."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from node.associations.listener import Listener
from node.network.outcomes import StoreResult
from node.network.scu import store
from node.settings import ListenerSettings
from storage.files import ObjectStore
from storage.index import Index
from storage.schema import open_engine

APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
VERIFICATION, IMPLICIT = b"1.2.840.10008.1.1", b"1.2.840.10008.1.2"
ASSOCIATE_RQ, ASSOCIATE_AC, P_DATA, RELEASE_RQ, RELEASE_RP = 1, 2, 4, 5, 6
FIRST_CONTEXT, LAST = 1, 2


def item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBL", kind, 0, len(body)) + body


def association_pdu(kind: int, contexts: bytes, maximum: int) -> bytes:
    titles = b"RECTALNODE".ljust(16) + b"RAW".ljust(16)
    user = item(0x50, item(0x51, struct.pack(">L", maximum)) + item(0x52, b"1.2.3"))
    return pdu(kind, b"\0\1\0\0" + titles + bytes(32) + item(0x10, APPLICATION_CONTEXT) + contexts + user)


def read_pdu(peer: socket.socket) -> tuple[int, bytes]:
    kind, _, length = struct.unpack(">BBL", read(peer, 6))
    return kind, read(peer, length)


def read(peer: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        more = peer.recv(count - len(found))
        assert more, "the connection was closed"
        found += more
    return found


def fragments(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Message control header and bytes of each fragment of a P-DATA-TF PDU."""
    while body:
        length, _, control = struct.unpack(">LBB", body[:6])
        yield control, body[6 : 4 + length]
        body = body[4 + length :]


def response(command_field: int, sop_class: bytes, status: int = 0) -> bytes:
    """A command set in Implicit VR Little Endian that answers message 1."""
    elements = {0x0002: sop_class + b"\0" * (len(sop_class) % 2), 0x0100: struct.pack("<H", command_field)}
    elements |= {0x0120: struct.pack("<H", 1), 0x0800: struct.pack("<H", 0x0101), 0x0900: struct.pack("<H", status)}
    body = b"".join(struct.pack("<HHL", 0, tag, len(value)) + value for tag, value in elements.items())
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


class RawReceiver:
    """An SCP of one association that names a maximum, answers C-STORE with Success and keeps fragment lengths."""

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self.lengths: list[int] = []
        self.longest_pdu = 0
        self.data_set = b""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        peer, _ = self._listening.accept()
        with peer:
            peer.settimeout(60)
            _, request = read_pdu(peer)
            peer.sendall(association_pdu(ASSOCIATE_AC, accepted(request), self._maximum))
            while (received := read_pdu(peer))[0] == P_DATA:
                self.longest_pdu = max(self.longest_pdu, len(received[1]))
                for control, fragment in fragments(received[1]):
                    self.lengths.append(len(fragment))
                    self.data_set += b"" if control & 1 else fragment
                    if control == LAST:
                        answer = response(0x8001, MRImageStorage.encode())
                        pdv = struct.pack(">LBB", len(answer) + 2, FIRST_CONTEXT, 3) + answer
                        peer.sendall(pdu(P_DATA, pdv))
            assert received[0] == RELEASE_RQ
            peer.sendall(pdu(RELEASE_RP, bytes(4)))

    def stop(self) -> None:
        self._listening.close()
        self._thread.join(60)


def accepted(request: bytes) -> bytes:
    """Result items for the presentation contexts of an A-ASSOCIATE-RQ: the first is accepted, the others are not."""
    results, rest = b"", request[68:]
    while rest:
        kind, _, length = struct.unpack(">BBH", rest[:4])
        if kind == 0x20:
            result = 0 if rest[4] == FIRST_CONTEXT else 4  # transfer syntaxes not supported
            results += item(0x21, bytes([rest[4], 0, result, 0]) + item(0x40, ExplicitVRLittleEndian.encode()))
        rest = rest[4 + length :]
    return results


@pytest.fixture
def image(tmp_path: Path) -> Path:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = MRImageStorage, "1.2.3.4.1"
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    made.PixelData = bytes(range(250)) * 200
    made["PixelData"].VR = "OW"
    made.save_as(tmp_path / "image.dcm", enforce_file_format=True)
    return tmp_path / "image.dcm"


@pytest.mark.parametrize("maximum", [16383, 4097, 23, 16384, 0])
def test_a_sender_keeps_its_fragments_even_and_within_the_maximum_of_the_receiver(image: Path, maximum: int) -> None:
    receiver = RawReceiver(maximum)
    (outcome,) = store([image], "127.0.0.1", receiver.port, "RECTALNODE", "NODE", 60)
    receiver.stop()
    assert outcome.result is StoreResult.SENT
    assert [length for length in receiver.lengths if length % 2] == []
    assert receiver.longest_pdu <= (maximum or 100_000)
    assert image.read_bytes().endswith(receiver.data_set)
    if not maximum:
        assert len(receiver.lengths) == 2  # command and data set, each in one piece


@pytest.mark.parametrize("maximum", [4097, 31, 32, 0])
def test_the_listener_keeps_the_fragments_of_its_answers_even(tmp_path: Path, maximum: int) -> None:
    settings = ListenerSettings(minimum_free_gb=0).model_copy(update={"port": 0})
    index = Index(open_engine(f"sqlite:///{tmp_path / 'index.sqlite'}"))
    listener = Listener(settings, (), ObjectStore(tmp_path), index)
    listener.start()
    try:
        with socket.create_connection(("127.0.0.1", listener.port), 60) as peer:
            context = item(0x20, bytes([FIRST_CONTEXT, 0, 0, 0]) + item(0x30, VERIFICATION) + item(0x40, IMPLICIT))
            peer.sendall(association_pdu(ASSOCIATE_RQ, context, maximum))
            assert read_pdu(peer)[0] == ASSOCIATE_AC
            lengths = list(echoed(peer))
            peer.sendall(pdu(RELEASE_RQ, bytes(4)))
            assert read_pdu(peer)[0] == RELEASE_RP
    finally:
        listener.stop()
    assert lengths
    assert [length for length in lengths if length % 2] == []


def echoed(peer: socket.socket) -> Iterator[int]:
    """Ask by C-ECHO; the lengths of the fragments of the answer."""
    elements = {0x0002: VERIFICATION + b"\0", 0x0100: struct.pack("<H", 0x0030)}
    elements |= {0x0110: struct.pack("<H", 1), 0x0800: struct.pack("<H", 0x0101)}
    body = b"".join(struct.pack("<HHL", 0, tag, len(value)) + value for tag, value in elements.items())
    command = struct.pack("<HHLL", 0, 0, 4, len(body)) + body
    peer.sendall(pdu(P_DATA, struct.pack(">LBB", len(command) + 2, FIRST_CONTEXT, 3) + command))
    last = False
    while not last:
        kind, received = read_pdu(peer)
        assert kind == P_DATA
        found = list(fragments(received))
        yield from (len(fragment) for _, fragment in found)
        last = bool(found[-1][0] & LAST)
