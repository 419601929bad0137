"""Socket options and races that pynetdicom leaves to its user."""

from __future__ import annotations

import socket
import time

import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification

from node.dicom.transport import end_waiting, keep_responses, send_at_once


class NeverResting:
    """A checkpoint of pynetdicom's reactor that holds it for a moment only: the race is lost in every round."""

    def wait(self) -> bool:
        time.sleep(0.002)
        return True

    def set(self) -> None:
        """It always is."""

    def clear(self) -> None:
        """It cannot be."""


@pytest.fixture
def receiver():
    """A storage SCP that answers after a moment; its port."""
    ae = AE()
    ae.add_supported_context(Verification)
    ae.add_supported_context(MRImageStorage, ExplicitVRLittleEndian)

    def answer(_event: evt.Event) -> int:
        time.sleep(0.005)
        return 0

    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, answer)])
    yield server.server_address[1]
    ae.shutdown()


def associate(port: int, *handlers):
    ae = AE()
    ae.dimse_timeout = 60
    ae.add_requested_context(MRImageStorage, ExplicitVRLittleEndian)
    return ae.associate("127.0.0.1", port, evt_handlers=list(handlers))


def an_image() -> Dataset:
    image = Dataset()
    image.file_meta = Dataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID, image.SOPInstanceUID = MRImageStorage, "1.2.3"
    return image


def test_a_response_that_the_reactor_took_reaches_the_sender(receiver):
    association = associate(receiver)
    keep_responses(association)
    association._reactor_checkpoint = NeverResting()
    assert [association.send_c_store(an_image()).Status for _ in range(20)] == [0] * 20
    association.abort()


def test_both_sides_send_small_segments_at_once(receiver):
    association = associate(receiver, (evt.EVT_CONN_OPEN, send_at_once))
    option = association.dul.socket.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert option != 0
    association.release()


def test_a_sender_does_not_wait_for_a_connection_that_is_closed():
    ae = AE()
    ae.add_supported_context(MRImageStorage, ExplicitVRLittleEndian)

    def hang_up(event: evt.Event) -> int:
        event.assoc.dul.socket.close()
        return 0

    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, hang_up)])
    association = associate(server.server_address[1], (evt.EVT_CONN_CLOSE, end_waiting))
    association.dimse_timeout = 600
    begin = time.monotonic()
    assert "Status" not in association.send_c_store(an_image())
    assert time.monotonic() - begin < 300
    ae.shutdown()
