"""The lengths of the fragments that leave (PS3.8 Annex E), read from the wire by peers that speak bytes."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from node.dicom.outcomes import StoreResult
from node.dicom.scu import store
from node.services.listener import Listener
from node.settings import ListenerSettings
from storage.database import open_engine
from storage.files import ObjectStore
from storage.index import Index

from .upper_layer import (
    ASSOCIATE_AC,
    ASSOCIATE_RQ,
    FIRST_CONTEXT,
    IMPLICIT,
    LAST,
    P_DATA,
    RELEASE_RP,
    RELEASE_RQ,
    VERIFICATION,
    RawReceiver,
    association_pdu,
    fragments,
    item,
    pdu,
    read_pdu,
)


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


@pytest.mark.parametrize("maximum", [1, 6, 7, None])
def test_to_a_receiver_whose_maximum_leaves_no_room_nothing_is_sent(image: Path, maximum: int | None) -> None:
    receiver = RawReceiver(maximum)
    (outcome,) = store([image], "127.0.0.1", receiver.port, "RECTALNODE", "NODE", 60)
    receiver.stop()
    said = "none" if maximum is None else f"{maximum} bytes"
    assert outcome.result is StoreResult.NOT_TRIED
    assert outcome.reason == f"the maximum length of PDUs that the receiver names leaves no room for an object: {said}"
    assert receiver.lengths == []


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
