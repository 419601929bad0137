"""A receiver that takes an object, but so slowly that it would never have it."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from node.dicom.association import RemoteAE
from node.dicom.storing import LostAssociationError, StoreAssociation
from storage.filebytes import FileBytes

from .upper_layer import ASSOCIATE_AC, accepted, association_pdu, read_pdu

SIZE = 2**24


class Trickle:
    """Accepts an association, and then takes 256 kB each 50 ms, which is 3 s for the object."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port, self.taken = self._listening.getsockname()[1], 0
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        peer, _ = self._listening.accept()
        with peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
            peer.sendall(association_pdu(ASSOCIATE_AC, accepted(read_pdu(peer)[1]), 2**16))
            try:
                while piece := peer.recv(2**18, socket.MSG_WAITALL):
                    self.taken += len(piece)
                    time.sleep(0.05)
            except ConnectionError:
                return

    def stop(self) -> None:
        self._thread.join(60)
        self._listening.close()


def test_an_object_that_is_taken_too_slowly_is_broken_off(tmp_path: Path) -> None:
    """Each piece is taken within the time limit."""
    receiver = Trickle()
    association = RemoteAE("127.0.0.1", receiver.port, "SLOW", "NODE", 5).associate(
        [(MRImageStorage, ExplicitVRLittleEndian)]
    )
    sending = StoreAssociation(association, timeout_s=1, slowest_bytes_s=2**26)
    (tmp_path / "object").write_bytes(bytes(SIZE))
    with (tmp_path / "object").open("rb") as file, pytest.raises(LostAssociationError):
        sending.store(1, MRImageStorage, "1.2.3", FileBytes(file), 0)
    assert sending.is_over
    receiver.stop()
    assert receiver.taken < SIZE
